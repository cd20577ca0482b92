"""Curation: drop harmful segments, choose by retraining how many, and confirm the gain."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms import (
    TrainsMany,
    amount_of,
    counts_training,
    least_amount_of,
    make_algorithm,
)
from r2rise.ask.arguments import AnyDemonstrations, AnyMap
from r2rise.ask.map_runner import map_runner
from r2rise.design.seeds import mask_generator
from r2rise.design.tasks import Task, crossed_tasks, path_tasks
from r2rise.errors import MapError, NotReady
from r2rise.results.curation import Confirmation, Curation, Edit, LongerTraining, Trial
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import now, versions
from r2rise.results.selection import Mask, Ranking, matched_random
from r2rise.run.engines import Engine
from r2rise.run.progress import OnProgress
from r2rise.run.runner import RunsTasks
from r2rise.statistics.curation_rule import (
    CurationOutcome,
    Curves,
    Judgement,
    amounts_for_random_drops,
    judge_curation,
)
from r2rise.statistics.intervals import mean_interval, mean_returns
from r2rise.study.study import Study

CHOOSING_REPETITIONS = 16
"""Training seeds for choosing how many segments to drop."""

AMOUNT_SEEDS, REPORTED_SEEDS, CONFIRMING_SEEDS = 8, 16, 40
"""Training seeds that choose amounts, that are reported of each amount, or of a single amount."""

DOUBLINGS, DOUBLINGS_ONE_BY_ONE = 7, 3
"""Doublings from half of the study's amount on: to 64 times it, or to 4 times it for learners that
train masks one by one."""

MAX_TRAINING = 100_000
"""Largest amount of training that is compared, unless the study's own is larger."""

MAX_DROPPED_SHARE = 0.4
"""Largest share of the segments that is dropped."""


def curate(
    demonstrations: AnyDemonstrations,
    importance_map: AnyMap,
    *,
    ledger: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    progress: bool | OnProgress = False,
) -> Curation:
    """Choose how many harmful segments to drop on one set of seeds, confirm it on another.

    Args:
        demonstrations: The demonstrations of the map or their file.
        importance_map: The map, its file or its directory; it must have signs, not only an order.
        ledger: Ledger file of the map's study; records are added to it.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        progress: Whether to show a progress bar, or a function to call after each shard.

    Raises:
        MapError: When the map has no signs.
        StudyError: When the map is about other demonstrations.
        NotReady: When fewer than 2 repetitions succeed.
        StudyFailed: When more retrainings fail than the study allows.
    """
    with map_runner(
        demonstrations,
        importance_map,
        ledger=ledger,
        workers=workers,
        engine=engine,
        progress=progress,
    ) as (runner, loaded_map):
        return curation(runner, loaded_map)


def curation(runner: RunsTasks, importance_map: ImportanceMap) -> Curation:
    """Curate with the algorithm of the runner's study; see `curate`."""
    if importance_map.estimator.sign == "order_only":
        raise MapError(
            f"The estimator {importance_map.estimator.name!r} only ranks segments and does not "
            f"show which ones hurt: run explain again with another estimator (this retrains "
            f"nothing)."
        )
    return _Curator(runner, importance_map).curation()


class _Curator:
    """Chooses and confirms, and counts the retrainings that this takes."""

    def __init__(self, runner: RunsTasks, importance_map: ImportanceMap) -> None:
        self._runner, self._map = runner, importance_map
        self._ranking = Ranking(importance_map)
        self._all_frames = np.ones(len(importance_map), dtype=bool)
        self._n_retrainings = self._n_failed = 0

    def curation(self) -> Curation:
        sizes = drop_sizes(self._map)
        trials = self._try(sizes) if sizes else ()
        best = max(trials, key=lambda trial: trial.gain.mean, default=None)
        chosen = best.n_dropped if best is not None and best.gain.mean > 0 else 0
        judgement = self._judge(chosen) if chosen else None
        outcome, confirmation, longer_training = judgement or ("no_gain", None, None)
        return Curation(
            created_at=now(),
            outcome=outcome,
            algorithm=self._runner.study.algorithm.name,
            dataset=self._map.dataset.sha256,
            map_revision=self._map.revision,
            map_study_hash=self._map.study_hash,
            unit=self._map.estimator.unit,
            trials=trials,
            confirmation=confirmation,
            longer_training=longer_training,
            edits=self._edits(chosen),
            n_retrainings=self._n_retrainings,
            n_failed=self._n_failed,
            versions=versions(),
        )

    def _without(self, k: int) -> Mask:
        return self._all_frames & ~self._ranking.bottom(k)

    def _try(self, sizes: Sequence[int]) -> tuple[Trial, ...]:
        masks = [self._all_frames, *(self._without(k) for k in sizes)]
        tasks = crossed_tasks("curate", self._runner.study, [masks] * CHOOSING_REPETITIONS)
        returns = self._returns(tasks, CHOOSING_REPETITIONS, len(masks))
        returns = returns[_complete(returns)]
        return tuple(
            Trial(
                n_dropped=k,
                mean_return=mean_interval(returns[:, arm]),
                gain=mean_interval(returns[:, arm] - returns[:, 0]),
            )
            for arm, k in enumerate(sizes, start=1)
        )

    def _judge(self, k: int) -> tuple[CurationOutcome, Confirmation, LongerTraining]:
        """Train both arms for increasing amounts, and judge how much of the gain remains."""
        study, segments = self._runner.study, self._runner.segments
        amounts = compared_amounts(study, int((segments.stop - segments.start).sum()))
        one_amount = len(amounts) == 1
        n_choosing, n = (0, CONFIRMING_SEEDS) if one_amount else (AMOUNT_SEEDS, REPORTED_SEEDS)
        arms = [self._all_frames, self._without(k)]
        choosing = path_tasks("amounts", study, [arms] * n_choosing, amounts)
        reporting = path_tasks("confirm", study, [arms] * n, amounts)
        returns = self._returns([*choosing, *reporting], n_choosing + n, 2, len(amounts))
        reported = returns[n_choosing:]
        chance = self._random_policy
        choosing_returns = reported if one_amount else returns[:n_choosing]
        choosing_curves = _curves(choosing_returns[_complete(choosing_returns)])
        drop_amounts = amounts_for_random_drops(amounts, choosing_curves, chance)
        masks = self._random_drop_masks(k, n)
        tasks = path_tasks("confirm", study, masks, drop_amounts, first_index=len(reporting))
        drop_returns = self._returns(tasks, n, len(drop_amounts))
        random_drops = np.full((n, len(amounts)), np.nan)
        random_drops[:, [amounts.index(amount) for amount in drop_amounts]] = drop_returns
        complete = _complete(reported) & _complete(drop_returns)
        curves, random_drops = _curves(reported[complete]), random_drops[complete]
        judgement = judge_curation(amounts, choosing_curves, curves, random_drops, chance)
        random_drop = random_drops[:, amounts.index(judgement.compared_amount)]
        return (
            judgement.outcome,
            _confirmation(judgement, random_drop),
            _longer_training(study, amounts, curves, judgement),
        )

    @property
    def _random_policy(self) -> float:
        random_policy = self._map.baseline.random_policy
        if random_policy is None:
            raise NotReady("Curation needs the return of random actions, which the map lacks.")
        return random_policy.mean

    def _random_drop_masks(self, k: int, n: int) -> list[list[Mask]]:
        """Return for each of n repetitions the mask that drops k random segments."""
        dropped, estimated = self._ranking.bottom(k), self._ranking.all()
        generators = (mask_generator(self._runner.study.seed, i, "confirm") for i in range(n))
        return [
            [
                self._all_frames
                & ~matched_random(dropped, estimated, self._runner.segments, generator)
            ]
            for generator in generators
        ]

    def _returns(self, tasks: Sequence[Task], *shape: int) -> NDArray[np.float64]:
        """Retrain and return mean returns as an array of `shape`; NaN where a retraining failed."""
        records = self._runner.run(tasks)
        self._n_retrainings += len(records)
        self._n_failed += sum(record.status == "failed" for record in records)
        return mean_returns(records).reshape(shape)

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
    """Return how many segments of negative importance to try dropping: 1, 2, 3, 4, 6, 8, ..."""
    values = importance_map.importance
    n_estimated = int(np.isfinite(values).sum())
    max_size = min(int((values < 0).sum()), int(MAX_DROPPED_SHARE * n_estimated))
    steps = sorted({round(2 ** (half / 2)) for half in range(64)})
    return [k for k in steps if k <= max_size]


def compared_amounts(study: Study, n_frames: int) -> tuple[int, ...]:
    """Return the amounts of training at which curated frames are compared with all frames.

    They double from half of the study's amount (or of the algorithm's least amount, where the study
    names epochs). It is a single 0 for algorithms that do not say how they count their training.
    """
    least = least_amount_of(study.algorithm, n_frames)
    if least is None:
        return (0,)
    study_amount = amount_of(study.algorithm) or least
    trains_many = isinstance(make_algorithm(study.algorithm), TrainsMany)
    doublings = DOUBLINGS if trains_many else DOUBLINGS_ONE_BY_ONE
    max_amount = max(MAX_TRAINING, study_amount)
    amounts = (max(1, study_amount // 2) * 2**k for k in range(doublings + 1))
    return tuple(amount for amount in amounts if amount <= max_amount)


def max_judging_evaluations(study: Study, n_frames: int) -> int:
    """Return the largest number of evaluated policies that judging a choice can take."""
    n = len(compared_amounts(study, n_frames))
    if n == 1:
        return 3 * CONFIRMING_SEEDS
    return 2 * n * (AMOUNT_SEEDS + REPORTED_SEEDS) + 2 * REPORTED_SEEDS


def _complete(returns: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which repetitions have no failed retraining, (n_repetitions,) bool.

    Raises:
        NotReady: When fewer than 2 have none.
    """
    complete: NDArray[np.bool_] = np.all(np.isfinite(returns.reshape(len(returns), -1)), axis=1)
    if complete.sum() < 2:
        raise NotReady(
            f"Curation needs at least 2 repetitions without a failed retraining, but there are "
            f"{complete.sum()} of {len(complete)}."
        )
    return complete


def _curves(returns: NDArray[np.float64]) -> Curves:
    """Return the curves of both arms from returns (n_seeds, 2, n_amounts)."""
    return Curves(all_frames=returns[:, 0], curated=returns[:, 1])


def _confirmation(judgement: Judgement, random_drop: NDArray[np.float64]) -> Confirmation:
    over_random = judgement.over_random
    if over_random is None:
        raise NotReady("Random drops were not trained where the curated frames are compared.")
    return Confirmation(
        all_frames=judgement.all_frames,
        curated=judgement.curated,
        random_drop=mean_interval(random_drop),
        gain=judgement.gain,
        gain_over_random=over_random,
    )


def _longer_training(
    study: Study, amounts: tuple[int, ...], curves: Curves, judgement: Judgement
) -> LongerTraining:
    amount = counts_training(study.algorithm)
    return LongerTraining(
        amounts=amounts,
        unit=amount.unit if amount else "",
        all_frames=tuple(mean_interval(column) for column in curves.all_frames.T),
        curated=tuple(mean_interval(column) for column in curves.curated.T),
        all_frames_amount=judgement.all_frames_amount,
        curated_amount=judgement.curated_amount,
        speed=judgement.speed,
        least_gain=judgement.least_gain,
        still_rising=judgement.still_rising,
    )
