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
"""Most that chance may explain of the order in a half."""

FEWEST_IN_HALF = 4
"""Segments: of their 24 orders none but the best is taken for more than chance."""

FEWEST_LEVELS = 2
"""Keep levels that have to show a direction."""

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
        """Whether the claim holds."""
        return self.verdict == "shown"

    def __str__(self) -> str:
        details = [f"better than random at {percentages(self.levels)}"]
        if self.against:
            details.append(f"contradicted at {percentages(self.against)}")
        if self.luck_p is not None:
            details.append(f"chance ordering within this half p = {self.luck_p:.2g}")
        return f"{'shown' if self.is_shown else 'not shown'} ({'; '.join(details)})"


class Differences(NamedTuple):
    """The comparisons of each keep level."""

    top_random: list[Difference]
    random_bottom: list[Difference]


def percentages(keep: Sequence[float]) -> str:
    """Return keep levels in words, such as `10 % and 30 % kept`, or `no level`."""
    *others, last = [f"{100 * level:.0f} %" for level in keep] or [""]
    return " and ".join(filter(None, [", ".join(others), f"{last} kept"])) if last else "no level"


def compare_arms(returns: NDArray[np.float64]) -> Differences:
    """Compare top with random and random with bottom at each level, by paired t tests.

    Args:
        returns: (n, n_levels, 4) of top, bottom, random as top, random as bottom.
    """
    top, bottom, as_top, as_bottom = np.moveaxis(returns, 2, 0)
    pairs = np.concatenate([top - as_top, as_bottom - bottom], axis=1)
    t = _paired_t(pairs)
    degrees = np.full(len(t), len(pairs) - 1.0)
    above, below = (holm(survival(side, degrees)) for side in (t, -t))
    found = [_difference(*column) for column in zip(pairs.T, above, below, strict=True)]
    n_levels = returns.shape[1]
    return Differences(found[:n_levels], found[n_levels:])


def most_by_luck(n_segments: int) -> float:
    """Return the largest p of the order in a half of so many segments that is not chance."""
    best = 1 / math.factorial(FEWEST_IN_HALF) + 1e-9
    return best if n_segments == FEWEST_IN_HALF else HALF_LUCK_LEVEL


def direction(
    found: Differences,
    keep: NDArray[np.float64],
    *,
    few: bool,
    luck: float | None,
    most_luck: float = HALF_LUCK_LEVEL,
) -> Direction:
    """Return what the levels say of one end of the ranking.

    Args:
        found: The comparisons of each level.
        keep: (n_levels,) shares kept.
        few: The levels at which half of the segments or less are kept, which is about the top;
            else those that leave out less than half, which is about the bottom. Bottom arms are
            the other way round: to keep few of the bottom is about the bottom.
        luck: Chance of the order in this half, as of `half_luck_p`.
        most_luck: The largest that is not chance, as of `most_by_luck`.
    """
    own = (keep <= 0.5) == few
    shown = _levels(found.top_random, keep, own, "above")
    against = _levels(found.top_random, keep, own, "below")
    against |= _levels(found.random_bottom, keep, ~own, "below")
    enough = len(shown) >= FEWEST_LEVELS and luck is not None and luck <= most_luck
    verdict: DirectionVerdict = "contradicted" if against else "shown" if enough else "not_shown"
    return Direction(
        verdict=verdict, levels=tuple(sorted(shown)), against=tuple(sorted(against)), luck_p=luck
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


def _levels(
    differences: list[Difference],
    keep: NDArray[np.float64],
    own: NDArray[np.bool_],
    verdict: DifferenceVerdict,
) -> set[float]:
    rows = zip(differences, keep, own, strict=True)
    return {float(level) for found, level, is_own in rows if is_own and found.verdict == verdict}


def _paired_t(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return t of each column, (n, n_columns); infinite where a difference is always the same."""
    means = differences.mean(axis=0)
    errors = differences.std(axis=0, ddof=1) / math.sqrt(len(differences))
    always = np.where(means == 0, 0.0, np.copysign(np.inf, means))
    t: NDArray[np.float64] = np.divide(means, errors, out=always, where=errors > 0)
    return t
