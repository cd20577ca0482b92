"""Difference of means: the least-squares main effects of each block, averaged over blocks."""

import numpy as np
import scipy.linalg

from r2rise.errors import NotReady
from r2rise.statistics.estimators.moderation import moderated
from r2rise.statistics.estimators.sample import (
    Chosen,
    Estimate,
    Floats,
    MaskedReturns,
    Moments,
    rank_noise,
    spread,
)

_RANK_TOLERANCE = 1e-9


def difference(sample: MaskedReturns) -> Estimate:
    """Estimate importance as the mean over blocks of their least-squares main effects.

    In a complete fold-over block these equal the differences between the mean returns of the
    masks that keep a segment and of those that mask it. A block that is not of full rank waits.

    Standard errors: with two or more blocks from the spread between them, see `moderated`. With
    one block those of least squares, s^2 = RSS / (n - levels - d): they hold for other training
    seeds where the block has several, and for its own seed alone where it has one.

    Raises:
        NotReady: When no block is of full rank.
    """
    chosen = sample.varies
    d = int(chosen.sum())
    blocks = [sample.moments(rows) for rows in sample.blocks]
    fitted = [(moments, _main_effects(moments, chosen, d)) for moments in blocks]
    usable = [(moments, effects) for moments, effects in fitted if effects is not None]
    if not usable:
        raise NotReady(
            f"The difference estimator needs a block with at least {d + 2} successful masks of "
            f"full rank for {d} segments: more retrainings, or estimator 'ridge'."
        )
    n_waiting = len(sample) - sum(moments.n for moments, _ in usable)
    if len(usable) == 1:
        return _one_block(sample, *usable[0], chosen, n_waiting)
    maps = np.array([effects for _, effects in usable])
    errors = moderated(maps)
    return Estimate(
        importance=spread(maps.mean(axis=0), chosen),
        std_error=spread(errors.std_error, chosen),
        degrees_of_freedom=spread(errors.degrees_of_freedom, chosen),
        covers="training_seeds",
        block_maps=spread(maps, chosen),
        n_waiting=n_waiting,
    )


def _main_effects(moments: Moments, chosen: Chosen, d: int) -> Floats | None:
    """Return the least-squares main effects (d,), or None when they are not determined."""
    if d == 0 or moments.n - moments.n_levels < d + 1:
        return None
    xx = moments.xx[np.ix_(chosen, chosen)]
    eigenvalues = scipy.linalg.eigvalsh(xx)
    if eigenvalues[0] < _RANK_TOLERANCE * eigenvalues[-1]:
        return None
    effects: Floats = scipy.linalg.solve(xx, moments.xy[chosen], assume_a="pos")
    effects[np.abs(effects) <= moments.rounding] = 0.0
    return effects


def _one_block(
    sample: MaskedReturns, moments: Moments, effects: Floats, chosen: Chosen, n_waiting: int
) -> Estimate:
    xx = moments.xx[np.ix_(chosen, chosen)]
    degrees = moments.n - moments.n_levels - len(effects)
    rss = max(0.0, moments.yy - float(moments.xy[chosen] @ effects))
    covariance = rss / degrees * scipy.linalg.inv(xx)
    whole = np.full((len(chosen), len(chosen)), np.nan)
    whole[np.ix_(chosen, chosen)] = covariance
    return Estimate(
        importance=spread(effects, chosen),
        std_error=spread(np.sqrt(np.diag(covariance)), chosen),
        degrees_of_freedom=spread(np.full(len(effects), float(degrees)), chosen),
        covers="masks" if sample.seeds == "block" else "training_seeds",
        covariance=whole,
        rank_noise=rank_noise(covariance),
        n_waiting=n_waiting,
    )
