"""Curation: leave out the frames that hurt, as many as retraining shows, and confirm the gain."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from r2rise.demonstrations import Demonstrations
from r2rise.engines import Engine
from r2rise.errors import DemonstrationsError, MapError, NotReady
from r2rise.importance import ImportanceMap
from r2rise.intervals import MeanInterval, mean_interval, paired_returns
from r2rise.map_parts import MapPart
from r2rise.mapping import versions
from r2rise.results import WITH_FIGURE, Result, now
from r2rise.runner import OnProgress, Runner, RunsTasks
from r2rise.seeds import mask_generator
from r2rise.segments import Segment
from r2rise.selection import Mask, Ranking, matched_random
from r2rise.tasks import crossed_tasks
from r2rise.wording import counted

if TYPE_CHECKING:
    from r2rise.figures.canvas import Format

CHOOSING_REPETITIONS = 16
CONFIRMING_REPETITIONS = 40

MOST_DROPPED = 0.4
"""Share of the segments beyond which nothing is tried."""


class Trial(MapPart):
    """Return after leaving out the segments that hurt most.

    Attributes:
        n_dropped: How many were left out.
        mean_return: Return with its interval.
        gain: Gain over all frames, seed by seed.
    """

    n_dropped: int
    mean_return: MeanInterval
    gain: MeanInterval


class Confirmation(MapPart):
    """The chosen drop with seeds that the choice never saw.

    Attributes:
        all_frames: Return from all frames.
        curated: Return without the dropped segments.
        random_drop: Return without random segments, as many frames of as many demonstrations.
        gain: `curated` over `all_frames`, seed by seed. No winner's curse is in it.
        gain_over_random: `curated` over `random_drop`.
    """

    all_frames: MeanInterval
    curated: MeanInterval
    random_drop: MeanInterval
    gain: MeanInterval
    gain_over_random: MeanInterval


class Edit(MapPart):
    """Frames `start` up to, not including, `stop` of a demonstration to be left out, and why."""

    demonstration: int
    start: int
    stop: int
    reason: str


class Curation(Result):
    """Which frames to leave out, and what that gains.

    Attributes:
        outcome: `gain` when the confirmed gain's whole interval is above 0, else `no_gain`.
        trials: What was tried to choose how many to drop; these gains flatter the best.
        confirmation: The choice with fresh seeds; null when no trial was better than all frames.
        edits: What the choice leaves out; empty when nothing was chosen.
        n_failed: Failed retrainings; their repetitions are left out.
    """

    title: ClassVar[str] = "curation"
    file_name: ClassVar[str] = "curation.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE

    schema_: Literal["r2rise.curation"] = Field(default="r2rise.curation", alias="schema")
    schema_version: str = "1.0"
    created_at: datetime
    outcome: Literal["gain", "no_gain"]
    algorithm: str
    dataset: str
    map_revision: int
    map_study_hash: str
    unit: str
    trials: tuple[Trial, ...]
    confirmation: Confirmation | None
    edits: tuple[Edit, ...]
    n_retrainings: int
    n_failed: int
    versions: dict[str, str]

    def draw(self, file: IO[bytes], *, format: "Format" = "png") -> None:  # noqa: A002
        """Draw returns over the number of segments left out, and the confirmation."""
        from r2rise.figures import draw_curation

        draw_curation(self, file, format=format)

    def in_words(self) -> str:
        """Return what was found."""
        confirmed = self.confirmation
        what = counted(len(self.edits), "segment")
        if not self.trials:
            return "No gain: no segment seems to hurt, so that nothing was tried."
        if confirmed is None:
            return "No gain: leaving out what seems to hurt was never better than all frames."
        if self.outcome == "no_gain":
            return (
                f"No gain was confirmed: leaving out {what} changes the return "
                f"by {confirmed.gain} with fresh seeds."
            )
        return (
            f"Gain: without {what} the return is {confirmed.curated}, from all "
            f"frames {confirmed.all_frames}: a gain of {confirmed.gain}, confirmed with seeds "
            f"that the choice never saw. As many random segments less: {confirmed.random_drop}."
        )

    def apply(self, demonstrations: Demonstrations) -> Demonstrations:
        """Return demonstrations without the edits, split so that no transition bridges a cut.

        Raises:
            NotReady: When there is nothing to leave out.
            DemonstrationsError: When these are not the demonstrations of the map.
        """
        if demonstrations.content_hash != self.dataset:
            raise DemonstrationsError(
                f"The edits are for the demonstrations {self.dataset}, but got "
                f"{demonstrations.content_hash}: give the ones that were explained."
            )
        if not self.edits:
            raise NotReady("There is nothing to leave out: no trial was better than all frames.")
        return demonstrations.select(
            drop=[Segment(edit.demonstration, edit.start, edit.stop) for edit in self.edits]
        )


def curate(
    demonstrations: Demonstrations,
    importance_map: ImportanceMap,
    *,
    ledger: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    on_progress: OnProgress | None = None,
) -> Curation:
    """Choose how many harmful segments to drop on one set of seeds, confirm it on another.

    Args:
        demonstrations: What the map is about.
        importance_map: The map; one with signs, not one that knows the order only.
        ledger: Ledger file of the map's study, to add to.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.

    Raises:
        MapError: When the map knows no signs.
        StudyError: When the map is about other demonstrations.
        NotReady: When fewer than 2 repetitions succeed.
        StudyFailed: When more retrainings fail than the study allows.
    """
    runner = Runner(
        importance_map.study,
        demonstrations,
        ledger=ledger,
        workers=workers,
        engine=engine,
        on_progress=on_progress,
    )
    with runner:
        return curation(runner, importance_map)


def curation(runner: RunsTasks, importance_map: ImportanceMap) -> Curation:
    """Curate with the algorithm of a runner, asked to choose and then to confirm: see `curate`."""
    if importance_map.estimator.sign == "order_only":
        raise MapError(
            f"The estimator {importance_map.estimator.name!r} knows an order only, not what hurts: "
            f"explain again with another --estimator (nothing is retrained for that)."
        )
    return _Curator(runner, importance_map).curation()


class _Curator:
    """Chooses and confirms, and counts what that takes."""

    def __init__(self, runner: RunsTasks, importance_map: ImportanceMap) -> None:
        self._runner, self._map = runner, importance_map
        self._ranking = Ranking(importance_map)
        self._whole = np.ones(len(importance_map), dtype=bool)
        self._n_retrainings = self._n_failed = 0

    def curation(self) -> Curation:
        sizes = drop_sizes(self._map)
        trials = self._try(sizes) if sizes else ()
        best = max(trials, key=lambda trial: trial.gain.mean, default=None)
        chosen = best.n_dropped if best is not None and best.gain.mean > 0 else 0
        confirmation = self._confirm(chosen) if chosen else None
        confirmed = confirmation is not None and confirmation.gain.is_above_zero
        return Curation(
            created_at=now(),
            outcome="gain" if confirmed else "no_gain",
            algorithm=self._runner.study.algorithm.name,
            dataset=self._map.dataset.sha256,
            map_revision=self._map.revision,
            map_study_hash=self._map.study_hash,
            unit=self._map.estimator.unit,
            trials=trials,
            confirmation=confirmation,
            edits=self._edits(chosen),
            n_retrainings=self._n_retrainings,
            n_failed=self._n_failed,
            versions=versions(),
        )

    def _without(self, k: int) -> Mask:
        return self._whole & ~self._ranking.bottom(k)

    def _try(self, sizes: Sequence[int]) -> tuple[Trial, ...]:
        masks = [self._whole, *(self._without(k) for k in sizes)]
        returns = self._returns("curate", [masks] * CHOOSING_REPETITIONS)
        return tuple(
            Trial(
                n_dropped=k,
                mean_return=mean_interval(returns[:, arm]),
                gain=mean_interval(returns[:, arm] - returns[:, 0]),
            )
            for arm, k in enumerate(sizes, start=1)
        )

    def _confirm(self, k: int) -> Confirmation:
        dropped, known = self._ranking.bottom(k), self._ranking.all()
        study, segments = self._runner.study, self._runner.segments
        masks = []
        for number in range(CONFIRMING_REPETITIONS):
            generator = mask_generator(study.seed, number, "confirm")
            at_random = self._whole & ~matched_random(dropped, known, segments, generator)
            masks.append([self._whole, self._without(k), at_random])
        all_frames, curated, random_drop = self._returns("confirm", masks).T
        return Confirmation(
            all_frames=mean_interval(all_frames),
            curated=mean_interval(curated),
            random_drop=mean_interval(random_drop),
            gain=mean_interval(curated - all_frames),
            gain_over_random=mean_interval(curated - random_drop),
        )

    def _returns(
        self, kind: Literal["curate", "confirm"], masks: list[list[Mask]]
    ) -> NDArray[np.float64]:
        """Retrain and return mean returns (n_repetitions, n_arms)."""
        records = self._runner.run(crossed_tasks(kind, self._runner.study, masks))
        self._n_retrainings += len(records)
        self._n_failed += sum(record.status == "failed" for record in records)
        _, returns = paired_returns(records, len(masks[0]))
        if len(returns) < 2:
            raise NotReady(
                f"Curation needs at least 2 repetitions without a failed retraining, there are "
                f"{len(returns)} of {len(masks)}."
            )
        return returns

    def _edits(self, k: int) -> tuple[Edit, ...]:
        verdicts = self._map.verdicts
        edits = []
        for index in np.flatnonzero(self._ranking.bottom(k)).tolist():
            value, error = self._map.importance[index], self._map.std_error[index]
            reason = f"importance {value:+.4g} +- {error:.2g}"
            if verdicts is not None:
                reason = f"{verdicts.verdict[index]}: {reason}"
            edits.append(Edit(**self._map.segment(index)._asdict(), reason=reason))
        return tuple(edits)


def drop_sizes(importance_map: ImportanceMap) -> list[int]:
    """Return how many of the segments that seem to hurt are tried: 1, 2, 3, 4, 6, 8, 11, ..."""
    values = importance_map.importance
    n_known = int(np.isfinite(values).sum())
    most = min(int((values < 0).sum()), int(MOST_DROPPED * n_known))
    steps = sorted({round(2 ** (half / 2)) for half in range(64)})
    return [k for k in steps if k <= most]
