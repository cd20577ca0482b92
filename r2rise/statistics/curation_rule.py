"""Judge curated demonstrations against all frames, with training for longer as an alternative."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import NotReady
from r2rise.statistics.intervals import CONFIDENCE, MeanInterval, mean_interval
from r2rise.statistics.significance import quantile
from r2rise.statistics.summaries import MapPart

Floats = NDArray[np.float64]
CurationOutcome = Literal["fewer_frames_do", "gain", "trains_faster", "no_gain", "undecided"]

MIN_GAIN_SHARE = 0.05
"""A gain is at least this share of the better arm's gain over random actions."""

GOAL_SHARE = 0.95
"""Training speed is the time to this share of the best gain of all frames over random actions."""

MIN_SPEEDUP = 2.0
"""Smallest speedup that counts as faster training."""

AS_GOOD_MARGIN = 0.15
"""Random drops are as good if they lose less than this share of the better arm's gain."""

N_RESAMPLES = 2000

ROUNDING = 1e-9
"""Relative difference of returns up to which they count as equal."""


class Curves(NamedTuple):
    """Mean returns over the amount of training, (n_seeds, n_amounts).

    Both arms share training seeds and evaluation episodes: row i is the same seed in both.
    """

    all_frames: Floats
    curated: Floats


class Speed(MapPart):
    """How many times sooner the curated frames reach 95 % of what all frames ever gain.

    Amounts are read off the mean curves, between those that were tried.

    Attributes:
        times: `all_frames_amount / curated_amount`.
        lower: Its lower 95 % bound; 0 where the curated frames may never reach it.
        upper: Its upper 95 % bound.
        all_frames_amount: Where all frames reach it.
        curated_amount: Where the curated frames do.
    """

    times: float
    lower: float
    upper: float
    all_frames_amount: float
    curated_amount: float


class Judgement(MapPart):
    """What may be said, and the numbers behind it, all from the reporting seeds.

    Attributes:
        outcome: See `judge_curation`.
        all_frames_amount: Amount at which all frames are best on the choosing seeds.
        curated_amount: The same of the curated frames.
        compared_amount: Amount at which the outcome compares the curated frames with random drops.
        all_frames: Return of all frames at their best amount.
        curated: Return of the curated frames at theirs.
        gain: `curated` over `all_frames`, seed by seed.
        over_random: The curated frames over as many random frames left out, seed by seed, at the
            amount that the outcome is about; null where these were not trained there.
        speed: Null where the curated frames do not reach what is timed.
        least_gain: What a gain has to exceed, in return units.
        still_rising: Whether all frames still rise at the last amount.
    """

    outcome: CurationOutcome
    all_frames_amount: int
    curated_amount: int
    compared_amount: int
    all_frames: MeanInterval
    curated: MeanInterval
    gain: MeanInterval
    over_random: MeanInterval | None
    speed: Speed | None
    least_gain: float
    still_rising: bool


def amounts_for_random_drops(
    amounts: Sequence[int], choosing: Curves, random_policy: float
) -> list[int]:
    """Return the amounts at which `judge_curation` needs the returns of random drops.

    Args:
        amounts: Amounts of training, increasing.
        choosing: Curves of the seeds that choose amounts.
        random_policy: Mean return of random actions.
    """
    best, at_goal = _best_and_at_goal(choosing, random_policy)
    return [amounts[index] for index in sorted({best, at_goal})]


def judge_curation(
    amounts: Sequence[int],
    choosing: Curves,
    reporting: Curves,
    random_drop: Floats,
    random_policy: float,
) -> Judgement:
    """Judge whether leaving frames out gains more than training for longer.

    - `gain`: the curated frames at their best amount beat all frames at every amount, by more
      than 5 % of the better arm's gain over random actions, and the return of all frames no
      longer rises.
    - `trains_faster`: the curated frames reach 95 % of the best gain of all frames over random
      actions at least 2 times sooner than all frames do.
    - `fewer_frames_do`: one of these two holds, but leaving out as many random frames is as
      good: it loses less than 15 % of the gain over random actions, and keeps more than half of
      the advantage of the curated frames over all frames. So the choice of frames does not
      matter.
    - `undecided`: none of these holds, and the return of all frames still rises at the last
      amount.
    - `no_gain`: none of these holds.

    Every condition is tested with one-sided 95 % bounds.

    Args:
        amounts: Amounts of training, each twice the previous one.
        choosing: Curves of the seeds that only choose amounts.
        reporting: Curves of other seeds; every reported number is from these, so that the choice
            does not bias it.
        random_drop: (n_seeds, n_amounts) returns with as many random frames left out, for the
            seeds of `reporting`; NaN at amounts that were not trained.
        random_policy: Mean return of random actions.

    Raises:
        NotReady: With fewer than 2 reporting seeds or no choosing seed.
        ValueError: When shapes do not match or curves are not finite.
    """
    _check(len(amounts), choosing, reporting, random_drop)
    best_all_frames = _peak(choosing.all_frames.mean(axis=0))
    best_curated, at_goal = _best_and_at_goal(choosing, random_policy)
    all_frames = reporting.all_frames[:, best_all_frames]
    curated = reporting.curated[:, best_curated]
    best_gain = max(0.0, float(max(all_frames.mean(), curated.mean())) - random_policy)
    least_gain = MIN_GAIN_SHARE * best_gain
    lowest = min(_lower_bound(curated - column) for column in reporting.all_frames.T)
    still_rising = _is_still_rising(np.vstack([choosing.all_frames, reporting.all_frames]))
    has_amounts = len(amounts) > 1
    speed = _speed(amounts, reporting, best_all_frames, random_policy) if has_amounts else None

    outcome: CurationOutcome = "undecided" if still_rising else "no_gain"
    index, reference = best_curated, all_frames
    if lowest > least_gain and best_gain and not still_rising:
        outcome = "gain"
    elif speed is not None and speed.lower >= MIN_SPEEDUP:
        outcome, index, reference = "trains_faster", at_goal, reporting.all_frames[:, at_goal]
    curated_returns, random_returns = reporting.curated[:, index], random_drop[:, index]
    is_trained = bool(np.isfinite(random_returns).all())
    is_better = outcome in {"gain", "trains_faster"}
    margin = AS_GOOD_MARGIN * best_gain
    if (
        is_better
        and is_trained
        and _are_as_good(random_returns, curated_returns, reference, margin)
    ):
        outcome = "fewer_frames_do"
    return Judgement(
        outcome=outcome,
        all_frames_amount=amounts[best_all_frames],
        curated_amount=amounts[best_curated],
        compared_amount=amounts[index],
        all_frames=mean_interval(all_frames),
        curated=mean_interval(curated),
        gain=mean_interval(curated - all_frames),
        over_random=mean_interval(curated_returns - random_returns) if is_trained else None,
        speed=speed,
        least_gain=least_gain,
        still_rising=still_rising,
    )


def _check(n_amounts: int, choosing: Curves, reporting: Curves, random_drop: Floats) -> None:
    if len(reporting.all_frames) < 2 or not len(choosing.all_frames):
        raise NotReady(
            f"Curation needs at least 2 seeds to report and 1 to choose without a failed "
            f"retraining, but there are {len(reporting.all_frames)} and {len(choosing.all_frames)}."
        )
    for curves in (choosing, reporting):
        shape = (len(curves.all_frames), n_amounts)
        for curve in curves:
            if curve.shape != shape or not np.isfinite(curve).all():
                raise ValueError(f"Expected finite curves of shape {shape}, got {curve.shape}.")
    if random_drop.shape != reporting.curated.shape:
        raise ValueError(
            f"Expected {reporting.curated.shape} random drops, got {random_drop.shape}"
        )


def _lower_bound(values: Floats) -> float:
    """Return the one-sided lower 95 % bound of a mean, by Student's t."""
    n = len(values)
    width = quantile(CONFIDENCE, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return float(values.mean()) - width


def _are_as_good(
    random_returns: Floats, curated_returns: Floats, reference: Floats, margin: float
) -> bool:
    """Return whether random drops lose little and keep most of the gain; returns are (n_seeds,).

    The gain is that of the curated frames over the reference.
    """
    misses_little = _lower_bound(random_returns - curated_returns) > -margin
    return misses_little and _lower_bound(random_returns - (curated_returns + reference) / 2) > 0


def _peak(curve: Floats) -> int:
    """Return the index of the first maximum, up to rounding errors."""
    return int((curve >= curve.max() - ROUNDING * np.abs(curve).max()).argmax())


def _best_and_at_goal(choosing: Curves, random_policy: float) -> tuple[int, int]:
    """Return the indices where the curated frames are best and where they first reach the goal.

    If no amount reaches the goal, both are the same.
    """
    all_frames, curated = (curve.mean(axis=0) for curve in choosing)
    best = _peak(curated)
    reaches = curated >= random_policy + GOAL_SHARE * (all_frames.max() - random_policy)
    return best, int(reaches.argmax()) if reaches.any() else best


def _is_still_rising(curves: Floats) -> bool:
    """Return whether the last amount is above the two before it, or there are too few to tell.

    A single amount never counts as rising: no other could be tried.
    """
    if curves.shape[1] < 3:
        return len(curves.T) > 1
    return _lower_bound(curves[:, -1] - curves[:, -3:-1].mean(axis=1)) > 0


def _speed(
    amounts: Sequence[int], curves: Curves, best_all_frames: int, random_policy: float
) -> Speed | None:
    """Return the speedup read off the mean curves, with bounds from bootstrapped seeds.

    None where the curated frames never reach the goal, or all frames gain nothing.
    """
    n = len(curves.all_frames)
    order = np.lexsort(np.hstack(curves).T)  # resampling must not depend on the order of seeds
    resampled = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), N_RESAMPLES) / n
    weights = np.vstack([np.full(n, 1 / n), resampled])
    all_frames, curated = (weights @ curve[order] for curve in curves)
    best_gain = all_frames[:, best_all_frames] - random_policy
    goal = random_policy + GOAL_SHARE * best_gain
    doublings = np.log2(np.array(amounts, dtype=np.float64))
    reached = _first_reached(doublings, all_frames, goal)
    reached_curated = _first_reached(doublings, curated, goal)
    if best_gain[0] <= 0 or not np.isfinite(reached_curated[0]):
        return None
    times = np.where(best_gain > 0, 2.0 ** (reached - reached_curated), 0.0)
    lower, upper = np.quantile(times[1:], [1 - CONFIDENCE, CONFIDENCE])
    return Speed(
        times=float(times[0]),
        lower=float(lower),
        upper=float(upper),
        all_frames_amount=float(2.0 ** reached[0]),
        curated_amount=float(2.0 ** reached_curated[0]),
    )


def _first_reached(doublings: Floats, curves: Floats, goal: Floats) -> Floats:
    """Return the log2 amount where each curve, (n, n_amounts), first reaches its goal, (n,).

    Between two amounts the curve is linear in log2 of the amount; inf where it never reaches it.
    """
    reaches = curves >= goal[:, None]
    after = reaches.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(curves))
    low, high = curves[rows, before], curves[rows, after]
    share = np.divide(goal - low, high - low, out=np.zeros(len(rows)), where=after > before)
    crossing = doublings[before] + share * (doublings[after] - doublings[before])
    first_reached: Floats = np.where(reaches.any(axis=1), crossing, np.inf)
    return first_reached
