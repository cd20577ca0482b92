"""The certificate: is the map right? Train on what it calls important and unimportant."""

from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from r2rise.baselines import baseline
from r2rise.demonstrations import Demonstrations
from r2rise.engines import Engine
from r2rise.errors import NotReady
from r2rise.importance import ImportanceMap
from r2rise.intervals import MeanInterval, mean_interval, paired_returns
from r2rise.luck import luck_p
from r2rise.map_parts import Baseline, MapPart
from r2rise.mapping import versions
from r2rise.results import WITH_FIGURE, Result, now
from r2rise.runner import OnProgress, Runner
from r2rise.seeds import mask_generator
from r2rise.segments import Segments
from r2rise.selection import Mask, Ranking, matched_random
from r2rise.tasks import baseline_tasks, crossed_tasks

if TYPE_CHECKING:
    from r2rise.figures.canvas import Format

KEEP_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the segments that are kept, the paper's degradation levels."""

REPETITIONS = 20

FAIL_SHARE = 0.25
"""A map fails when top and bottom differ by less than this share of what there is to lose."""

LUCK_LEVEL = 0.001
"""A map passes when at most this share of shuffled maps fits the random arms as well."""

FEWEST_FOR_LUCK = 7
"""Segments with enough orders, 7! = 5040, that luck can be rare enough."""

Outcome = Literal["pass", "fail", "undecided"]
_ARMS = ("top", "bottom", "random_as_top", "random_as_bottom")


class KeepLevel(MapPart):
    """Returns after training on some of the segments.

    Attributes:
        n_segments: Segments kept.
        keep: Their share of all estimated ones.
        top: Return from the most important ones.
        bottom: Return from the least important ones.
        random_as_top: Return from random ones, as many frames and demonstrations as `top`.
        random_as_bottom: The same for `bottom`.
    """

    n_segments: int
    keep: float
    top: MeanInterval
    bottom: MeanInterval
    random_as_top: MeanInterval
    random_as_bottom: MeanInterval


class Certificate(Result):
    """Whether what a map calls important is important, found with seeds that no map has used.

    Areas are mean differences over the keep levels, in return units.

    Attributes:
        outcome: `pass`: the top is better than random and random better than the bottom, both
            intervals above 0, and luck is ruled out (`luck_p` at most 0.001). `fail`: top and
            bottom differ by less than a quarter of what all frames gain over random actions.
            Else `undecided`.
        algorithm: What was retrained.
        map_algorithm: Whose map it is; another one in a transfer.
        map_revision: Design retrainings behind the map.
        luck_p: How often a shuffled map fits the returns of the random arms as well; null where
            it cannot be told.
        n_failed: Failed retrainings; their repetitions are left out.
    """

    title: ClassVar[str] = "certificate"
    file_name: ClassVar[str] = "certificate.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE

    schema_: Literal["r2rise.certificate"] = Field(default="r2rise.certificate", alias="schema")
    schema_version: str = "1.0"
    created_at: datetime
    outcome: Outcome
    algorithm: str
    map_algorithm: str
    map_revision: int
    map_study_hash: str
    unit: str
    levels: tuple[KeepLevel, ...]
    area_top_random: MeanInterval
    area_random_bottom: MeanInterval
    area_top_bottom: MeanInterval
    luck_p: float | None
    baseline: Baseline
    n_retrainings: int
    n_failed: int
    versions: dict[str, str]

    def draw(self, file: IO[bytes], *, format: "Format" = "png") -> None:  # noqa: A002
        """Draw returns over keep levels for the top, the bottom and random segments."""
        from r2rise.figures import draw_certificate

        draw_certificate(self, file, format=format)

    @property
    def levels_against(self) -> list[float]:
        """Keep levels at which the most important segments train worse than random ones."""
        return [
            level.keep
            for level in self.levels
            if level.top.upper is not None
            and level.random_as_top.lower is not None
            and level.top.upper < level.random_as_top.lower
        ]

    @property
    def is_upside_down(self) -> bool:
        """Whether the least important segments train better than the most important ones."""
        upper = self.area_top_bottom.upper
        return upper is not None and upper < 0

    @property
    def n_ranked(self) -> int:
        """Segments that the map ranks."""
        first = self.levels[0]
        return round(first.n_segments / first.keep)

    def in_words(self) -> str:
        """Return what the outcome means."""
        words = {
            "pass": "Pass: over all levels together, training on what the map calls important is "
            "better than training on random segments, and those are better than what it calls "
            "unimportant.",
            "fail": "Fail: the map is upside down. What it calls unimportant trains better "
            "policies than what it calls important."
            if self.is_upside_down
            else "Fail: there is nothing to tell apart. What the map calls important and "
            "unimportant train policies that are nearly as good.",
            "undecided": "Undecided: there is nothing to tell apart with these retrainings. More "
            "repetitions, or a map of more retrainings, may decide.",
        }[self.outcome]
        if self.outcome == "undecided" and self.n_ranked < FEWEST_FOR_LUCK:
            words += (
                f" With fewer than {FEWEST_FOR_LUCK} segments luck cannot be ruled out: use "
                f"shorter segments."
            )
        if self.levels_against:
            shares = ", ".join(f"{keep:.0%}" for keep in self.levels_against)
            words += (
                f" Not at every level: of {shares} of the segments, the most important ones "
                f"together train worse policies than random ones."
            )
        return words


def certify(
    demonstrations: Demonstrations,
    importance_map: ImportanceMap,
    *,
    repetitions: int = REPETITIONS,
    ledger: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    on_progress: OnProgress | None = None,
) -> Certificate:
    """Retrain on the top, the bottom and random segments of a map, and compare.

    All arms of a repetition share a training and an evaluation seed, which no map has used.

    Args:
        demonstrations: What the map is about.
        importance_map: The map; also one that knows the order only.
        repetitions: Training seeds.
        ledger: Ledger file of the map's study, to add to.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.

    Raises:
        StudyError: When the map is about other demonstrations.
        NotReady: When fewer than 2 segments were estimated, or fewer than 2 repetitions succeed.
        StudyFailed: When more retrainings fail than the study allows.
    """
    runner = Runner(
        importance_map.study,
        demonstrations,
        ledger=Path(ledger) if ledger is not None else None,
        workers=workers,
        engine=engine,
        on_progress=on_progress,
    )
    with runner:
        return certificate(runner, importance_map, repetitions)


def certificate(runner: Runner, importance_map: ImportanceMap, repetitions: int) -> Certificate:
    """Certify a map with the algorithm of a runner; see `certify`."""
    plan = _plan(importance_map, runner.segments)
    study = runner.study
    masks = [
        plan.masks(runner.segments, mask_generator(study.seed, number, "certify"))
        for number in range(repetitions)
    ]
    n_segments = len(runner.segments)
    crossed = crossed_tasks("certify", study, masks)
    baselines = baseline_tasks(study, n_segments, study.budget.baseline_retrainings)
    records = runner.run([*baselines, *crossed])[len(baselines) :]
    complete, returns = paired_returns(records, len(masks[0]))
    if len(returns) < 2:
        raise NotReady(
            f"A certificate needs at least 2 repetitions without a failed retraining, there are "
            f"{len(returns)} of {repetitions}."
        )
    by_arm = returns.reshape(len(returns), len(plan.sizes), len(_ARMS))
    areas = _areas(by_arm, plan.keep)
    against = baseline(runner.ledger, study)
    arms = np.array(masks)[complete].reshape(*by_arm.shape, n_segments)
    generator = mask_generator(study.seed, repetitions, "certify")
    luck = luck_p(*_random_arms(arms, by_arm), importance_map.importance, generator)
    return Certificate(
        created_at=now(),
        outcome=_outcome(areas, luck, against),
        algorithm=study.algorithm.name,
        map_algorithm=importance_map.study.algorithm.name,
        map_revision=importance_map.revision,
        map_study_hash=importance_map.study_hash,
        unit=study.evaluation.unit,
        levels=_levels(by_arm, plan),
        **areas._asdict(),
        luck_p=luck,
        baseline=against,
        n_retrainings=len(records),
        n_failed=sum(record.status == "failed" for record in records),
        versions=versions(),
    )


class _Plan(NamedTuple):
    """What is retrained: `sizes` segments at a time, of a ranking."""

    ranking: Ranking
    sizes: tuple[int, ...]

    @property
    def keep(self) -> NDArray[np.float64]:
        return np.array(self.sizes) / len(self.ranking)

    def masks(self, segments: Segments, generator: np.random.Generator) -> list[Mask]:
        """Return the masks of one repetition: for each size those of `_ARMS`."""
        masks, all_ = [], self.ranking.all()
        for k in self.sizes:
            top, bottom = self.ranking.top(k), self.ranking.bottom(k)
            masks += [top, bottom]
            masks += [matched_random(own, all_, segments, generator) for own in (top, bottom)]
        return masks


def _plan(importance_map: ImportanceMap, segments: Segments) -> _Plan:
    ranking = Ranking(importance_map)
    n = len(ranking)
    if n < 2 or len(segments) < 2:
        raise NotReady(f"A certificate needs at least 2 estimated segments, there are {n}.")
    sizes = sorted({min(max(round(level * n), 1), n - 1) for level in KEEP_LEVELS})
    return _Plan(ranking, tuple(sizes))


class _Areas(NamedTuple):
    area_top_random: MeanInterval
    area_random_bottom: MeanInterval
    area_top_bottom: MeanInterval


def _areas(returns: NDArray[np.float64], keep: NDArray[np.float64]) -> _Areas:
    """Return the mean heights between the curves over keep levels, from (n, levels, arms)."""
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
    """Return the random masks and returns of each level, (n_levels, 2 n, ...)."""
    n, n_levels = returns.shape[:2]
    drawn = masks[:, :, 2:].swapaxes(0, 1).reshape(n_levels, 2 * n, -1)
    return drawn, returns[:, :, 2:].swapaxes(0, 1).reshape(n_levels, 2 * n)


def _outcome(areas: _Areas, luck: float | None, against: Baseline) -> Outcome:
    better = areas.area_top_random.is_above_zero and areas.area_random_bottom.is_above_zero
    if better and luck is not None and luck <= LUCK_LEVEL:
        return "pass"
    upper, gain = areas.area_top_bottom.upper, against.gain
    if gain is not None and upper is not None and upper < FAIL_SHARE * gain:
        return "fail"
    return "undecided"


def _levels(returns: NDArray[np.float64], plan: _Plan) -> tuple[KeepLevel, ...]:
    def level(number: int) -> KeepLevel:
        intervals = [mean_interval(arm) for arm in returns[:, number].T]
        keep = float(plan.keep[number])
        return KeepLevel(
            n_segments=plan.sizes[number], keep=keep, **dict(zip(_ARMS, intervals, strict=True))
        )

    return tuple(level(number) for number in range(len(plan.sizes)))
