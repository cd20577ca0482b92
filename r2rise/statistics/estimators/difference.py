"""Difference of means: least-squares main effects of each block, averaged over blocks."""

import numpy as np
import scipy.linalg

from r2rise.errors import NotReady
from r2rise.statistics.estimators.moderation import moderated
from r2rise.statistics.estimators.sample import (
    Bools,
    Estimate,
    Floats,
    MaskedReturns,
    Moments,
    expand,
    rank_noise,
)

_RANK_TOLERANCE = 1e-9


def difference(sample: MaskedReturns) -> Estimate:
    """Estimate importance as the mean over blocks of their least-squares main effects.

    In a complete fold-over block these equal the differences between the mean returns of the
    masks that keep a segment and of those that mask it. A block that is not of full rank is left
    out, and counted in `n_waiting`.

    With two or more blocks, standard errors come from the spread between them, see `moderated`.
    With one block they are those of least squares, s^2 = RSS / (n - levels - d). These hold for
    any training seed if the block has several, and only for its own seed if it has one.

    Raises:
        NotReady: When no block is of full rank.
    """
    varying = sample.varies
    d = int(varying.sum())
    blocks = [sample.moments(rows) for rows in sample.blocks]
    fitted = [(moments, _main_effects(moments, varying, d)) for moments in blocks]
    usable = [(moments, effects) for moments, effects in fitted if effects is not None]
    if not usable:
        raise NotReady(
            f"The difference estimator needs a block with at least {d + 2} successful masks of "
            f"full rank for {d} segments: more retrainings, or estimator 'ridge'."
        )
    n_waiting = len(sample) - sum(moments.n for moments, _ in usable)
    if len(usable) == 1:
        return _one_block(sample, *usable[0], varying, n_waiting)
    maps = np.array([effects for _, effects in usable])
    errors = moderated(maps)
    return Estimate(
        importance=expand(maps.mean(axis=0), varying),
        std_error=expand(errors.std_error, varying),
        degrees_of_freedom=expand(errors.degrees_of_freedom, varying),
        covers="training_seeds",
        block_maps=expand(maps, varying),
        n_waiting=n_waiting,
    )


def _main_effects(moments: Moments, varying: Bools, d: int) -> Floats | None:
    """Return the least-squares main effects, (d,), or None if the block is not of full rank."""
    if d == 0 or moments.n - moments.n_levels < d + 1:
        return None
    xx = moments.xx[np.ix_(varying, varying)]
    eigenvalues = scipy.linalg.eigvalsh(xx)
    if eigenvalues[0] < _RANK_TOLERANCE * eigenvalues[-1]:
        return None
    effects: Floats = scipy.linalg.solve(xx, moments.xy[varying], assume_a="pos")
    # Where returns are equal up to rounding, the signs of effects would be noise.
    effects[np.abs(effects) <= moments.rounding] = 0.0
    return effects


def _one_block(
    sample: MaskedReturns, moments: Moments, effects: Floats, varying: Bools, n_waiting: int
) -> Estimate:
    """Return the estimate of a single block, with least-squares standard errors."""
    xx = moments.xx[np.ix_(varying, varying)]
    degrees = moments.n - moments.n_levels - len(effects)
    rss = max(0.0, moments.yy - float(moments.xy[varying] @ effects))
    covariance = rss / degrees * scipy.linalg.inv(xx)
    full_covariance = np.full((len(varying), len(varying)), np.nan)
    full_covariance[np.ix_(varying, varying)] = covariance
    return Estimate(
        importance=expand(effects, varying),
        std_error=expand(np.sqrt(np.diag(covariance)), varying),
        degrees_of_freedom=expand(np.full(len(effects), float(degrees)), varying),
        covers="masks" if sample.seeds == "block" else "training_seeds",
        covariance=full_covariance,
        rank_noise=rank_noise(covariance),
        n_waiting=n_waiting,
    )
