"""Ridge regression: for designs and budgets in which not every block is of full rank.

y = a_block + c * frames kept + sum_j beta_j x_j + noise, beta_j ~ N(0, tau^2). The block means
and c are not penalised; the ratio sigma^2 / tau^2 maximises the restricted marginal likelihood
(Patterson and Thompson 1971). importance_j = beta_j + c * frames of j.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize

from r2rise.errors import NotReady
from r2rise.statistics.estimators.sample import (
    Chosen,
    Estimate,
    Floats,
    MaskedReturns,
    rank_noise,
    spread,
)
from r2rise.statistics.significance import quantile

_LEVEL = 0.05
"""Of the test whether what a frame is worth differs from 0."""

_LOG_PENALTY_RANGE = (-12.0, 20.0)
"""Natural logarithms of sigma^2 / tau^2 that are searched."""


@dataclass(frozen=True, eq=False)
class _Problem:
    """Sums over all blocks, each centred on its own mean.

    Attributes:
        xx: (d, d), xy: (d,), yy: sums of products of masks and returns.
        n_free: Masks minus block means minus one for c.
        frames: (d,) frames of each segment, scaled to mean 1.
    """

    xx: Floats
    xy: Floats
    yy: float
    n_free: int
    frames: Floats

    def without_frames_kept(self) -> tuple[Floats, Floats, float]:
        """Return xx, xy and yy after the regression on the number of frames kept."""
        fx, fy = self.xx @ self.frames, float(self.frames @ self.xy)
        ff = float(self.frames @ fx)
        return (
            self.xx - np.outer(fx, fx) / ff,
            self.xy - fx * fy / ff,
            max(0.0, self.yy - fy**2 / ff),
        )


def ridge(sample: MaskedReturns) -> Estimate:
    """Estimate importance by ridge regression.

    There are no standard errors: what is shrunk is biased by an amount that the data do not show.

    Raises:
        NotReady: When the number of frames kept does not vary, or there are too few masks.
    """
    chosen = sample.varies
    problem = _problem(sample, chosen)
    xx, xy, yy = problem.without_frames_kept()
    values, vectors = scipy.linalg.eigh(xx)
    values = np.maximum(values, 0.0)
    penalty, noise = _strength(values, vectors.T @ xy, yy, problem.n_free)
    inverse = (vectors / (values + penalty)) @ vectors.T
    beta = inverse @ xy
    frames = problem.frames
    fx = problem.xx @ frames
    ff = float(frames @ fx)
    level = float(frames @ problem.xy - fx @ beta) / ff
    level_error = np.sqrt(noise * (1 + fx @ inverse @ fx / ff) / ff)
    differs = abs(level) > quantile(1 - _LEVEL / 2, problem.n_free) * level_error
    mixing = np.eye(len(beta)) - np.outer(frames, fx) / ff
    covariance = noise * (mixing @ inverse @ mixing.T + np.outer(frames, frames) / ff)
    unknown = np.full(len(chosen), np.nan)
    return Estimate(
        importance=spread(beta + level * frames, chosen),
        std_error=unknown,
        degrees_of_freedom=unknown,
        block_maps=_block_maps(sample, chosen, penalty, frames, with_level=bool(differs)),
        rank_noise=rank_noise(covariance),
        shrunk=True,
    )


def _problem(sample: MaskedReturns, chosen: Chosen) -> _Problem:
    d = int(chosen.sum())
    xx, xy, yy = np.zeros((d, d)), np.zeros(d), 0.0
    for rows in sample.blocks:
        moments = sample.moments(rows)
        xx += moments.xx[np.ix_(chosen, chosen)]
        xy += moments.xy[chosen]
        yy += moments.yy
    frames = sample.n_frames[chosen] / sample.n_frames.mean()
    n_free = len(sample) - len(np.unique(sample.level)) - 1
    if d == 0 or n_free < 2 or frames @ xx @ frames < 1e-9 * np.trace(xx):
        raise NotReady(
            f"Ridge regression needs more retrainings than the {len(sample.returns)} there are, "
            f"with different numbers of frames kept."
        )
    return _Problem(xx, xy, yy, n_free, frames)


def _strength(values: Floats, projected: Floats, yy: float, n_free: int) -> tuple[float, float]:
    """Return penalty sigma^2 / tau^2 and noise variance sigma^2 of highest restricted likelihood.

    Args:
        values: (d,) eigenvalues of the masks' sums of products.
        projected: (d,) sums of products with the returns along their eigenvectors.
        yy: Sum of squares of the returns.
        n_free: Degrees of freedom.
    """

    def noise_variance(penalty: float) -> float:
        return max(yy - float((projected**2 / (values + penalty)).sum()), 1e-12 * yy) / n_free

    def loss(log_penalty: float) -> float:
        penalty = np.exp(log_penalty)
        return float(n_free * np.log(noise_variance(penalty)) + np.log1p(values / penalty).sum())

    if yy <= 0.0:
        return float(np.exp(_LOG_PENALTY_RANGE[1])), 0.0
    found = scipy.optimize.minimize_scalar(loss, bounds=_LOG_PENALTY_RANGE, method="bounded")
    penalty = float(np.exp(found.x))
    return penalty, noise_variance(penalty)


def _block_maps(
    sample: MaskedReturns, chosen: Chosen, penalty: float, frames: Floats, *, with_level: bool
) -> Floats | None:
    """Return what each block alone says, (n_blocks, d), with the penalty of all.

    Where the level of importance may be 0, blocks are compared without it: segments of unequal
    length are ranked alike, or the other way round, by the sign of this one number alone, so that
    two blocks of noise would agree as often as not.
    """
    if len(sample.blocks) < 2:
        return None
    maps = [
        _block_map(sample, rows, chosen, penalty, frames, with_level=with_level)
        for rows in sample.blocks
    ]
    return spread(np.array(maps), chosen)


def _block_map(
    sample: MaskedReturns,
    rows: slice,
    chosen: Chosen,
    penalty: float,
    frames: Floats,
    *,
    with_level: bool,
) -> Floats:
    """Return the map of one block, (d,), with or without its own level of importance."""
    masks = sample.centred_masks(rows)[:, chosen]
    returns = sample.centred_returns(rows)
    kept = masks @ frames
    squares = float(kept @ kept)
    along = kept / squares if squares > 0 else np.zeros_like(kept)
    free = masks - np.outer(kept, along @ masks)
    kernel = free @ free.T + penalty * np.eye(len(free))
    beta = free.T @ np.linalg.solve(kernel, returns - kept * (along @ returns))
    if not with_level:
        return beta
    block_map: Floats = beta + float(along @ (returns - masks @ beta)) * frames
    return block_map
