"""What may be said of curated demonstrations once "just train longer" is answered."""

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

LEAST_GAIN = 0.05
"""A gain is at least this share of what the better arm gains over random actions."""

REACHED = 0.95
"""Share of all frames' best gain over random actions whose first reaching is timed."""

LEAST_SPEED = 2.0
"""Training is faster from this factor on."""

AS_WELL = 0.15
"""Random drops that miss less than this share of the better arm's gain do as well."""

N_RESAMPLES = 2000

ROUNDING = 1e-9
"""Returns that differ by less than this share are equal."""


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
    amounts: Sequence[int], chosen: Curves, random_policy: float
) -> list[int]:
    """Return the amounts at which `judge_curation` looks at random drops.

    Args:
        amounts: Amounts of training, rising.
        chosen: Curves of the choosing seeds.
        random_policy: Mean return of random actions.
    """
    best, first = _looked_at(chosen, random_policy)
    return [amounts[index] for index in sorted({best, first})]


def judge_curation(
    amounts: Sequence[int],
    chosen: Curves,
    reported: Curves,
    random_drop: Floats,
    random_policy: float,
) -> Judgement:
    """Judge whether leaving frames out gains what longer training does not.

    - `gain`: the curated frames at their best amount beat all frames at every amount, by more
      than 5 % of the better one's gain over random actions, and all frames do not still rise.
    - `trains_faster`: the curated frames reach 95 % of what all frames ever gain over random
      actions at least 2 times sooner than all frames.
    - `fewer_frames_do`: one of these two, but as many random frames left out do as well: they
      miss less than 15 % of the gain over random actions, and have more than half of what the
      curated frames have over all frames. So it is not for these very frames.
    - `undecided`: none of these, and all frames still rise at the last amount.
    - `no_gain`: none of these was shown.

    All of it is shown by one-sided 95 % bounds.

    Args:
        amounts: Amounts of training, each twice the one before.
        chosen: Curves of seeds that only choose amounts.
        reported: Curves of other seeds, from which every number is.
        random_drop: (n_seeds, n_amounts) as many frames left out at random, with the seeds of
            `reported`; NaN at amounts where they were not trained.
        random_policy: Mean return of random actions.

    Raises:
        NotReady: With fewer than 2 reporting seeds or no choosing seed.
        ValueError: When shapes do not go together or curves are not finite.
    """
    _check(len(amounts), chosen, reported, random_drop)
    best_all = _best(chosen.all_frames.mean(axis=0))
    best, first = _looked_at(chosen, random_policy)
    all_frames, curated = reported.all_frames[:, best_all], reported.curated[:, best]
    best_gain = max(0.0, float(max(all_frames.mean(), curated.mean())) - random_policy)
    least_gain = LEAST_GAIN * best_gain
    beaten = min(_lower(curated - column) for column in reported.all_frames.T) > least_gain
    rising = _still_rises(np.vstack([chosen.all_frames, reported.all_frames]))
    timed = len(amounts) > 1
    speed = _speed(amounts, reported, best_all, random_policy) if timed else None

    outcome: CurationOutcome = "undecided" if rising else "no_gain"
    compared, before = best, all_frames
    if beaten and best_gain and not rising:
        outcome = "gain"
    elif speed is not None and speed.lower >= LEAST_SPEED:
        outcome, compared, before = "trains_faster", first, reported.all_frames[:, first]
    picked, at_random = reported.curated[:, compared], random_drop[:, compared]
    trained = bool(np.isfinite(at_random).all())
    claimed = outcome in {"gain", "trains_faster"}
    if claimed and trained and _do_as_well(at_random, picked, before, AS_WELL * best_gain):
        outcome = "fewer_frames_do"
    return Judgement(
        outcome=outcome,
        all_frames_amount=amounts[best_all],
        curated_amount=amounts[best],
        compared_amount=amounts[compared],
        all_frames=mean_interval(all_frames),
        curated=mean_interval(curated),
        gain=mean_interval(curated - all_frames),
        over_random=mean_interval(picked - at_random) if trained else None,
        speed=speed,
        least_gain=least_gain,
        still_rising=rising,
    )


def _check(n_amounts: int, chosen: Curves, reported: Curves, random_drop: Floats) -> None:
    if len(reported.all_frames) < 2 or not len(chosen.all_frames):
        raise NotReady(
            f"Curation needs at least 2 seeds to report and 1 to choose without a failed "
            f"retraining, there are {len(reported.all_frames)} and {len(chosen.all_frames)}."
        )
    for curves in (chosen, reported):
        shape = (len(curves.all_frames), n_amounts)
        for curve in curves:
            if curve.shape != shape or not np.isfinite(curve).all():
                raise ValueError(f"Expected finite curves of shape {shape}, got {curve.shape}.")
    if random_drop.shape != reported.curated.shape:
        raise ValueError(f"Expected {reported.curated.shape} random drops, got {random_drop.shape}")


def _lower(values: Floats) -> float:
    """Return the lower 95 % bound of a mean."""
    n = len(values)
    width = quantile(CONFIDENCE, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return float(values.mean()) - width


def _do_as_well(at_random: Floats, picked: Floats, before: Floats, margin: float) -> bool:
    """Return whether random drops miss little, and have most of what was gained, (n_seeds,)."""
    misses_little = _lower(at_random - picked) > -margin
    return misses_little and _lower(at_random - (picked + before) / 2) > 0


def _best(curve: Floats) -> int:
    """Return the first of the highest points; where sums were rounded makes no difference."""
    return int((curve >= curve.max() - ROUNDING * np.abs(curve).max()).argmax())


def _looked_at(chosen: Curves, random_policy: float) -> tuple[int, int]:
    """Return where curated frames are best, and where they first reach what is timed."""
    all_frames, curated = (curve.mean(axis=0) for curve in chosen)
    best = _best(curated)
    reaches = curated >= random_policy + REACHED * (all_frames.max() - random_policy)
    return best, int(reaches.argmax()) if reaches.any() else best


def _still_rises(curves: Floats) -> bool:
    """Return whether the last amount is above the two before it, or too few were looked at.

    A single amount is all that there is.
    """
    if curves.shape[1] < 3:
        return len(curves.T) > 1
    return _lower(curves[:, -1] - curves[:, -3:-1].mean(axis=1)) > 0


def _speed(
    amounts: Sequence[int], curves: Curves, best_all: int, random_policy: float
) -> Speed | None:
    """Time both arms on the mean curves; the bounds are of resampled seeds."""
    n = len(curves.all_frames)
    order = np.lexsort(np.hstack(curves).T)  # so that the order of seeds does not matter
    picks = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), N_RESAMPLES) / n
    weights = np.vstack([np.full(n, 1 / n), picks])
    all_frames, curated = (weights @ curve[order] for curve in curves)
    best_gain = all_frames[:, best_all] - random_policy
    goal = random_policy + REACHED * best_gain
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
    """Return where each curve, (n, n_amounts), first reaches its goal, (n,); inf for never."""
    reaches = curves >= goal[:, None]
    after = reaches.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(curves))
    low, high = curves[rows, before], curves[rows, after]
    share = np.divide(goal - low, high - low, out=np.zeros(len(rows)), where=after > before)
    where = doublings[before] + share * (doublings[after] - doublings[before])
    found: Floats = np.where(reaches.any(axis=1), where, np.inf)
    return found
