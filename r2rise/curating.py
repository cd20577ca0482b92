"""Curating: leave out the frames that hurt, as many as retraining shows, and confirm the gain."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from r2rise.curation import Confirmation, Curation, Edit, Trial
from r2rise.demonstrations import Demonstrations
from r2rise.engines import Engine
from r2rise.errors import MapError, NotReady
from r2rise.importance import ImportanceMap
from r2rise.intervals import mean_interval, paired_returns
from r2rise.mapping import versions
from r2rise.results import now
from r2rise.runner import OnProgress, Runner, RunsTasks
from r2rise.seeds import mask_generator
from r2rise.selection import Mask, Ranking, matched_random
from r2rise.tasks import crossed_tasks

CHOOSING_REPETITIONS = 16
CONFIRMING_REPETITIONS = 40

MOST_DROPPED = 0.4
"""Share of the segments beyond which nothing is tried."""


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
