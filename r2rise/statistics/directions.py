"""The two claims of a certificate: leaving out the bottom helps, keeping only the top suffices."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.statistics.intervals import MeanInterval, mean_interval
from r2rise.statistics.significance import holm, survival
from r2rise.statistics.summaries import MapPart
from r2rise.statistics.wording import SIGNIFICANCE

HALF_LUCK_LEVEL = 0.025
"""Largest p-value at which the order within a half does not count as chance."""

MIN_IN_HALF = 4
"""Smallest number of segments in a half that can be tested: of 24 orders only the best passes."""

MIN_LEVELS = 2
"""Smallest number of keep levels that must show a direction."""

DifferenceVerdict = Literal["above", "below", "open"]
DirectionVerdict = Literal["shown", "contradicted", "not_shown"]


class Difference(MapPart):
    """Two arms of a keep level compared, repetition by repetition.

    Attributes:
        interval: Their difference, in return units.
        p_above: That it is so far above 0 by chance; one-sided, paired, adjusted by Holm for all
            levels and both comparisons.
        p_below: The same for below 0.
        verdict: `above` or `below` 0 where the adjusted p is below 0.05, else `open`.
    """

    interval: MeanInterval
    p_above: float
    p_below: float
    verdict: DifferenceVerdict


class Direction(MapPart):
    """Whether one end of a ranking is right.

    Attributes:
        verdict: `shown`: at two keep levels or more, none contradicts, and the order within this
            half of the ranking explains the returns of random segments better than chance.
            `contradicted`: some level is significantly the other way. Else `not_shown`.
        levels: Keep levels at which the top is significantly better than random segments.
        against: Keep levels that contradict.
        luck_p: How often this half's order, shuffled, explains the returns of the random arms as
            well; null where it cannot be determined.
    """

    verdict: DirectionVerdict
    levels: tuple[float, ...]
    against: tuple[float, ...]
    luck_p: float | None

    @property
    def is_shown(self) -> bool:
        """Whether the claim is shown."""
        return self.verdict == "shown"

    def __str__(self) -> str:
        details = [f"better than random at {percentages(self.levels)}"]
        if self.against:
            details.append(f"contradicted at {percentages(self.against)}")
        if self.luck_p is not None:
            details.append(f"chance ordering within this half p = {self.luck_p:.2g}")
        return f"{'shown' if self.is_shown else 'not shown'} ({'; '.join(details)})"


class Differences(NamedTuple):
    """The two comparisons at each keep level, (n_levels,) each."""

    top_random: list[Difference]
    random_bottom: list[Difference]


def percentages(keep: Sequence[float]) -> str:
    """Return keep levels as text, such as `10 % and 30 % kept`, or `no level`."""
    *first, last = [f"{100 * level:.0f} %" for level in keep] or [""]
    return " and ".join(filter(None, [", ".join(first), f"{last} kept"])) if last else "no level"


def compare_arms(returns: NDArray[np.float64]) -> Differences:
    """Compare top with random and random with bottom at each level, by paired t-tests.

    Args:
        returns: (n, n_levels, 4) returns of the arms top, bottom, random as top, random as bottom.
    """
    top, bottom, random_as_top, random_as_bottom = np.moveaxis(returns, 2, 0)
    pairs = np.concatenate([top - random_as_top, random_as_bottom - bottom], axis=1)
    t = _paired_t(pairs)
    degrees = np.full(len(t), len(pairs) - 1.0)
    above, below = (holm(survival(side, degrees)) for side in (t, -t))
    differences = [_difference(*column) for column in zip(pairs.T, above, below, strict=True)]
    n_levels = returns.shape[1]
    return Differences(differences[:n_levels], differences[n_levels:])


def luck_threshold(n_segments: int) -> float:
    """Return the largest p-value at which the order of `n_segments` in a half is not chance.

    With few segments the p-value is a multiple of 1 / n!. At 4 segments only the best order is
    accepted; the margin covers rounding.
    """
    smallest_p = 1 / math.factorial(MIN_IN_HALF) + 1e-9
    return smallest_p if n_segments == MIN_IN_HALF else HALF_LUCK_LEVEL


def direction(
    differences: Differences,
    keep: NDArray[np.float64],
    *,
    few: bool,
    luck: float | None,
    threshold: float = HALF_LUCK_LEVEL,
) -> Direction:
    """Return whether the levels show that one end of the ranking is right.

    Args:
        differences: The comparisons at each level.
        keep: (n_levels,) shares kept.
        few: Whether to use the levels that keep half of the segments or fewer, which test the
            top; else those that leave out less than half, which test the bottom. For bottom arms
            it is the reverse: keeping few of the bottom tests the bottom.
        luck: p-value of the order in this half, from `half_luck_p`.
        threshold: Largest p-value that is not chance, from `luck_threshold`.
    """
    is_relevant = (keep <= 0.5) == few
    better_levels = _levels_with_verdict(differences.top_random, keep, is_relevant, "above")
    opposed_levels = _levels_with_verdict(differences.top_random, keep, is_relevant, "below")
    opposed_levels |= _levels_with_verdict(differences.random_bottom, keep, ~is_relevant, "below")
    has_evidence = len(better_levels) >= MIN_LEVELS and luck is not None and luck <= threshold
    verdict: DirectionVerdict = (
        "contradicted" if opposed_levels else "shown" if has_evidence else "not_shown"
    )
    return Direction(
        verdict=verdict,
        levels=tuple(sorted(better_levels)),
        against=tuple(sorted(opposed_levels)),
        luck_p=luck,
    )


def _difference(pair: NDArray[np.float64], above: float, below: float) -> Difference:
    verdict: DifferenceVerdict = "open"
    if above < SIGNIFICANCE:
        verdict = "above"
    elif below < SIGNIFICANCE:
        verdict = "below"
    return Difference(
        interval=mean_interval(pair), p_above=float(above), p_below=float(below), verdict=verdict
    )


def _levels_with_verdict(
    differences: list[Difference],
    keep: NDArray[np.float64],
    selected: NDArray[np.bool_],
    verdict: DifferenceVerdict,
) -> set[float]:
    rows = zip(differences, keep, selected, strict=True)
    return {
        float(level)
        for difference, level, is_selected in rows
        if is_selected and difference.verdict == verdict
    }


def _paired_t(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return t of each column of (n, n_columns); infinite where all differences are equal."""
    means = differences.mean(axis=0)
    errors = differences.std(axis=0, ddof=1) / math.sqrt(len(differences))
    without_spread = np.where(means == 0, 0.0, np.copysign(np.inf, means))
    t: NDArray[np.float64] = np.divide(means, errors, out=without_spread, where=errors > 0)
    return t
