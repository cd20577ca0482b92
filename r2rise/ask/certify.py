"""Certification: retrain on the segments that a map ranks high and low, and compare."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms import training_of
from r2rise.ask.arguments import AnyDemonstrations, AnyMap
from r2rise.ask.map_runner import map_runner
from r2rise.data.segments import Segments
from r2rise.design.seeds import mask_generator
from r2rise.design.tasks import Task, baseline_tasks, crossed_tasks
from r2rise.errors import NotReady
from r2rise.limits import check_repetitions
from r2rise.results.certificate import Certificate, CertificateOutcome, KeepLevel
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import now, versions
from r2rise.results.selection import Mask, Ranking, matched_random
from r2rise.run.engines import Engine
from r2rise.run.progress import OnProgress
from r2rise.run.runner import RunsTasks
from r2rise.statistics.baselines import measured_baseline
from r2rise.statistics.directions import (
    Differences,
    Direction,
    compare_arms,
    direction,
    luck_threshold,
)
from r2rise.statistics.intervals import MeanInterval, mean_interval, paired_returns
from r2rise.statistics.luck import half_luck_p, luck_p
from r2rise.statistics.summaries import Baseline
from r2rise.study.study import Study

KEEP_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the segments that are kept: the paper's degradation levels."""

REPETITIONS = 20

FAIL_SHARE = 0.25
"""A map fails when top and bottom differ by less than this share of the baseline's gain."""

LUCK_LEVEL = 0.001
"""A map passes when at most this share of shuffled maps fits the random arms as well as it."""

_ARMS = ("top", "bottom", "random_as_top", "random_as_bottom")


def certify(
    demonstrations: AnyDemonstrations,
    importance_map: AnyMap,
    *,
    repetitions: int = REPETITIONS,
    ledger: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    progress: bool | OnProgress = False,
) -> Certificate:
    """Retrain on the top, the bottom and random segments of a map, and compare.

    All arms of a repetition share a training and an evaluation seed that no map uses.

    Args:
        demonstrations: The demonstrations of the map or their file.
        importance_map: The map, its file or its directory; it may rank segments without signs.
        repetitions: Number of training seeds.
        ledger: Ledger file of the map's study; records are added to it.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        progress: Whether to show a progress bar, or a function to call after each shard.

    Raises:
        InputError: When repetitions or workers are out of range; nothing has been spent.
        StudyError: When the map is about other demonstrations.
        NotReady: When fewer than 2 segments were estimated, or fewer than 2 repetitions succeed.
        StudyFailed: When more retrainings fail than the study allows.
    """
    check_repetitions(repetitions)
    with map_runner(
        demonstrations,
        importance_map,
        ledger=ledger,
        workers=workers,
        engine=engine,
        progress=progress,
    ) as (runner, loaded_map):
        return certificate(runner, loaded_map, repetitions)


def certificate_tasks(
    study: Study, segments: Segments, importance_map: ImportanceMap, repetitions: int
) -> list[Task]:
    """Return the tasks of a certificate: baselines, then the arms of each repetition.

    Raises:
        NotReady: When fewer than 2 segments were estimated.
    """
    baselines = baseline_tasks(study, len(segments), study.budget.baseline_retrainings)
    masks = _masks(study, segments, _plan(importance_map, segments), repetitions)
    return [*baselines, *crossed_tasks("certify", study, masks)]


def certificate(runner: RunsTasks, importance_map: ImportanceMap, repetitions: int) -> Certificate:
    """Certify a map with the algorithm of the runner's study; see `certify`."""
    study, segments = runner.study, runner.segments
    plan = _plan(importance_map, segments)
    tasks = certificate_tasks(study, segments, importance_map, repetitions)
    records = [record for record in runner.run(tasks) if record.kind == "certify"]
    complete, returns = paired_returns(records, len(plan.sizes) * len(_ARMS))
    if len(returns) < 2:
        raise NotReady(
            f"A certificate needs at least 2 repetitions without a failed retraining, but there "
            f"are {len(returns)} of {repetitions}."
        )
    by_arm = returns.reshape(len(returns), len(plan.sizes), len(_ARMS))
    areas = _areas(by_arm, plan.keep)
    baseline = measured_baseline(runner.ledger, study)
    masks = np.array([record.mask(len(segments)) for record in records])
    arms = masks.reshape(repetitions, *by_arm.shape[1:], -1)[complete]
    generator = mask_generator(study.seed, repetitions, "certify")
    values = importance_map.importance
    luck = luck_p(*_random_arms(arms, by_arm), values, generator)
    differences = compare_arms(by_arm)
    bottom, top = _directions(arms, by_arm, differences, plan, values, generator)
    return Certificate(
        created_at=now(),
        outcome=_outcome(bottom, top, areas, luck, baseline),
        algorithm=study.algorithm.name,
        training=training_of(study.algorithm),
        map_algorithm=importance_map.study.algorithm.name,
        map_revision=importance_map.revision,
        map_study_hash=importance_map.study_hash,
        unit=study.evaluation.unit,
        levels=_levels(by_arm, plan, differences),
        **areas._asdict(),
        leaving_out_bottom=bottom,
        keeping_top=top,
        luck_p=luck,
        baseline=baseline,
        n_retrainings=len(records),
        n_failed=sum(record.status == "failed" for record in records),
        versions=versions(),
    )


class _Plan(NamedTuple):
    """The arms of a certificate: for each of `sizes`, that many segments of a ranking are kept."""

    ranking: Ranking
    sizes: tuple[int, ...]

    @property
    def keep(self) -> NDArray[np.float64]:
        return np.array(self.sizes) / len(self.ranking)

    def masks(self, segments: Segments, generator: np.random.Generator) -> list[Mask]:
        """Return the masks of one repetition: for each size, in the order of `_ARMS`."""
        masks, estimated = [], self.ranking.all()
        for k in self.sizes:
            top, bottom = self.ranking.top(k), self.ranking.bottom(k)
            masks += [top, bottom]
            masks += [matched_random(m, estimated, segments, generator) for m in (top, bottom)]
        return masks


def _masks(study: Study, segments: Segments, plan: _Plan, repetitions: int) -> list[list[Mask]]:
    """Return the masks of each repetition."""
    return [
        plan.masks(segments, mask_generator(study.seed, number, "certify"))
        for number in range(repetitions)
    ]


def _plan(importance_map: ImportanceMap, segments: Segments) -> _Plan:
    ranking = Ranking(importance_map)
    n = len(ranking)
    if n < 2 or len(segments) < 2:
        raise NotReady(f"A certificate needs at least 2 estimated segments, but there are {n}.")
    sizes = sorted({min(max(round(level * n), 1), n - 1) for level in KEEP_LEVELS})
    return _Plan(ranking, tuple(sizes))


class _Areas(NamedTuple):
    area_top_random: MeanInterval
    area_random_bottom: MeanInterval
    area_top_bottom: MeanInterval


def _areas(returns: NDArray[np.float64], keep: NDArray[np.float64]) -> _Areas:
    """Return the mean heights between the curves over keep levels.

    Args:
        returns: (n_repetitions, n_levels, n_arms).
        keep: Shares of the segments that are kept, (n_levels,).
    """
    if len(keep) == 1:
        heights = returns[:, 0]
    else:
        heights = np.trapezoid(returns, keep, axis=1) / (keep[-1] - keep[0])
    top, bottom, as_top, as_bottom = heights.T
    return _Areas(
        mean_interval(top - as_top), mean_interval(as_bottom - bottom), mean_interval(top - bottom)
    )


def _random_arms(
    masks: NDArray[np.bool_], returns: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return masks and returns of both random arms, (n_levels, 2 * n_repetitions, ...)."""
    n, n_levels = returns.shape[:2]
    random_masks = masks[:, :, 2:].swapaxes(0, 1).reshape(n_levels, 2 * n, -1)
    return random_masks, returns[:, :, 2:].swapaxes(0, 1).reshape(n_levels, 2 * n)


def _directions(
    arms: NDArray[np.bool_],
    returns: NDArray[np.float64],
    differences: Differences,
    plan: _Plan,
    values: NDArray[np.float64],
    generator: np.random.Generator,
) -> tuple[Direction, Direction]:
    """Return the verdicts on leaving out the bottom half and on keeping only the top half."""
    masks, random_returns = _random_arms(arms, returns)
    n_levels, n_random = random_returns.shape
    repetition = np.tile(np.arange(n_random) // 2, (n_levels, 1))
    half = len(plan.ranking) // 2

    def verdict_on(half_mask: Mask, *, few: bool) -> Direction:
        luck = half_luck_p(masks, random_returns, values, half_mask, repetition, generator)
        most_luck = luck_threshold(half)
        return direction(differences, plan.keep, few=few, luck=luck, threshold=most_luck)

    return (
        verdict_on(plan.ranking.bottom(half), few=False),
        verdict_on(plan.ranking.top(half), few=True),
    )


def _outcome(
    bottom: Direction, top: Direction, areas: _Areas, luck: float | None, baseline: Baseline
) -> CertificateOutcome:
    upper, gain = areas.area_top_bottom.upper, baseline.gain
    if upper is not None and upper < 0:
        return "fail"
    if bottom.is_shown and top.is_shown:
        return "pass" if luck is not None and luck <= LUCK_LEVEL else "undecided"
    if bottom.is_shown:
        return "right_at_bottom"
    if top.is_shown:
        return "right_at_top"
    if gain is not None and upper is not None and upper < FAIL_SHARE * gain:
        return "fail"
    return "undecided"


def _levels(
    returns: NDArray[np.float64], plan: _Plan, differences: Differences
) -> tuple[KeepLevel, ...]:
    def level(number: int) -> KeepLevel:
        intervals = [mean_interval(arm) for arm in returns[:, number].T]
        return KeepLevel(
            n_segments=plan.sizes[number],
            keep=float(plan.keep[number]),
            **dict(zip(_ARMS, intervals, strict=True)),
            top_random=differences.top_random[number],
            random_bottom=differences.random_bottom[number],
        )

    return tuple(level(number) for number in range(len(plan.sizes)))
