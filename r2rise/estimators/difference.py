"""Difference of means: the least-squares main effects of each block, averaged over blocks."""

import numpy as np
import scipy.linalg

from r2rise.errors import NotReady
from r2rise.estimators.sample import (
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

    Standard errors: with B >= 2 blocks sqrt(V / B), V = sum_jb (e_jb - e_j)^2 / (d (B - 1)),
    d (B - 1) degrees of freedom: training seeds differ in their effects, so the spread between
    blocks counts. With one block those of least squares, s^2 = RSS / (n - 1 - d).

    Raises:
        NotReady: When no block is of full rank.
    """
    chosen = sample.varies
    d = int(chosen.sum())
    usable = []
    for rows in sample.blocks:
        moments = sample.moments(rows)
        effects = _main_effects(moments, chosen, d)
        if effects is not None:
            usable.append((moments, effects))
    if not usable:
        raise NotReady(
            f"The difference estimator needs a block with at least {d + 2} successful masks of "
            f"full rank for {d} segments: more retrainings, or estimator 'ridge'."
        )
    n_waiting = len(sample.returns) - sum(moments.n for moments, _ in usable)
    if len(usable) == 1:
        moments, effects = usable[0]
        return _one_block(moments, effects, chosen, n_waiting)
    maps = np.array([effects for _, effects in usable])
    degrees = d * (len(maps) - 1)
    variance = ((maps - maps.mean(axis=0)) ** 2).sum() / degrees
    std_error = np.full(d, np.sqrt(variance / len(maps)))
    return Estimate(
        importance=spread(maps.mean(axis=0), chosen),
        std_error=spread(std_error, chosen),
        degrees_of_freedom=degrees,
        block_maps=spread(maps, chosen),
        n_waiting=n_waiting,
    )


def _main_effects(moments: Moments, chosen: Chosen, d: int) -> Floats | None:
    """Return the least-squares main effects (d,), or None when they are not determined."""
    if d == 0 or moments.n < d + 2:
        return None
    xx = moments.xx[np.ix_(chosen, chosen)]
    eigenvalues = scipy.linalg.eigvalsh(xx)
    if eigenvalues[0] < _RANK_TOLERANCE * eigenvalues[-1]:
        return None
    effects: Floats = scipy.linalg.solve(xx, moments.xy[chosen], assume_a="pos")
    return effects


def _one_block(moments: Moments, effects: Floats, chosen: Chosen, n_waiting: int) -> Estimate:
    xx = moments.xx[np.ix_(chosen, chosen)]
    degrees = moments.n - 1 - len(effects)
    rss = max(0.0, moments.yy - float(moments.xy[chosen] @ effects))
    covariance = rss / degrees * scipy.linalg.inv(xx)
    return Estimate(
        importance=spread(effects, chosen),
        std_error=spread(np.sqrt(np.diag(covariance)), chosen),
        degrees_of_freedom=degrees,
        rank_noise=rank_noise(covariance),
        n_waiting=n_waiting,
    )
