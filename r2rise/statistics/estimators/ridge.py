"""Ridge regression, for designs and budgets in which not every block is of full rank.

The model is y = a_block + c * frames kept + sum_j beta_j x_j + noise, with beta_j ~ N(0, tau^2).
The block means and c are not penalised. The ratio sigma^2 / tau^2 maximises the restricted
marginal likelihood (Patterson and Thompson 1971). The result is
importance_j = beta_j + c * frames of j.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize

from r2rise.errors import NotReady
from r2rise.statistics.estimators.sample import (
    Bools,
    Estimate,
    Floats,
    MaskedReturns,
    expand,
    rank_noise,
)
from r2rise.statistics.significance import quantile

_LEVEL = 0.05
"""Significance level of the test whether the worth of a frame, c, differs from 0."""

_LOG_PENALTY_RANGE = (-12.0, 20.0)
"""Range of the natural logarithm of sigma^2 / tau^2 that is searched."""


@dataclass(frozen=True, eq=False)
class _Problem:
    """Sums over all blocks of masks and returns, centred on their level means.

    Attributes:
        xx: (d, d), xy: (d,), yy: sums of products of masks and returns.
        n_free: Number of masks minus the fixed effects, which are the means and c.
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

    There are no standard errors, since the bias of shrunk estimates cannot be estimated.

    Raises:
        NotReady: When the number of frames kept does not vary, or there are too few masks.
    """
    varying = sample.varies
    problem = _problem(sample, varying)
    xx, xy, yy = problem.without_frames_kept()
    eigenvalues, eigenvectors = scipy.linalg.eigh(xx)
    # The sums of products are positive semidefinite; rounding may leave small negative ones.
    eigenvalues = np.maximum(eigenvalues, 0.0)
    penalty, noise = _fit_penalty(eigenvalues, eigenvectors.T @ xy, yy, problem.n_free)
    inverse = (eigenvectors / (eigenvalues + penalty)) @ eigenvectors.T
    beta = inverse @ xy
    frames = problem.frames
    fx = problem.xx @ frames
    ff = float(frames @ fx)
    # c by generalised least squares given beta, and its standard error under the random effects.
    level = float(frames @ problem.xy - fx @ beta) / ff
    level_error = np.sqrt(noise * (1 + fx @ inverse @ fx / ff) / ff)
    has_level = abs(level) > quantile(1 - _LEVEL / 2, problem.n_free) * level_error
    # importance = mixing @ beta + frames * (frames^T X^T y) / ff, so that its posterior covariance
    # follows from that of beta, noise * inverse.
    mixing = np.eye(len(beta)) - np.outer(frames, fx) / ff
    covariance = noise * (mixing @ inverse @ mixing.T + np.outer(frames, frames) / ff)
    no_errors = np.full(len(varying), np.nan)
    return Estimate(
        importance=expand(beta + level * frames, varying),
        std_error=no_errors,
        degrees_of_freedom=no_errors,
        block_maps=_block_maps(sample, varying, penalty, frames, with_level=bool(has_level)),
        rank_noise=rank_noise(covariance),
        shrunk=True,
    )


def _problem(sample: MaskedReturns, varying: Bools) -> _Problem:
    d = int(varying.sum())
    xx, xy, yy = np.zeros((d, d)), np.zeros(d), 0.0
    for rows in sample.blocks:
        moments = sample.moments(rows)
        xx += moments.xx[np.ix_(varying, varying)]
        xy += moments.xy[varying]
        yy += moments.yy
    frames = sample.n_frames[varying] / sample.n_frames.mean()
    n_free = len(sample) - len(np.unique(sample.level)) - 1
    if d == 0 or n_free < 2 or frames @ xx @ frames < 1e-9 * np.trace(xx):
        raise NotReady(
            f"Ridge regression needs more than these {len(sample.returns)} retrainings, "
            f"with different numbers of frames kept."
        )
    return _Problem(xx, xy, yy, n_free, frames)


def _fit_penalty(
    eigenvalues: Floats, projected: Floats, yy: float, n_free: int
) -> tuple[float, float]:
    """Return the penalty sigma^2 / tau^2 and the noise variance sigma^2 of maximum likelihood.

    The likelihood is the restricted one, of contrasts that the fixed effects do not change.

    Args:
        eigenvalues: (d,) eigenvalues of the masks' sums of products.
        projected: (d,) sums of products with the returns along their eigenvectors.
        yy: Sum of squares of the returns.
        n_free: Residual degrees of freedom.
    """

    def noise_variance(penalty: float) -> float:
        return max(yy - float((projected**2 / (eigenvalues + penalty)).sum()), 1e-12 * yy) / n_free

    def loss(log_penalty: float) -> float:
        # Minus twice the restricted log-likelihood with sigma^2 profiled out, up to a constant.
        penalty = np.exp(log_penalty)
        return float(
            n_free * np.log(noise_variance(penalty)) + np.log1p(eigenvalues / penalty).sum()
        )

    if yy <= 0.0:  # all returns are equal
        return float(np.exp(_LOG_PENALTY_RANGE[1])), 0.0
    optimum = scipy.optimize.minimize_scalar(loss, bounds=_LOG_PENALTY_RANGE, method="bounded")
    penalty = float(np.exp(optimum.x))
    return penalty, noise_variance(penalty)


def _block_maps(
    sample: MaskedReturns, varying: Bools, penalty: float, frames: Floats, *, with_level: bool
) -> Floats | None:
    """Return the map of each block alone, (n_blocks, n_segments), with the common penalty.

    The level, c, is left out if it may be 0. Segments of unequal length would otherwise be ranked
    by its sign alone, and the maps of two blocks of noise would correlate strongly, positively or
    negatively, by chance.
    """
    if len(sample.blocks) < 2:
        return None
    maps = [
        _block_map(sample, rows, varying, penalty, frames, with_level=with_level)
        for rows in sample.blocks
    ]
    return expand(np.array(maps), varying)


def _block_map(
    sample: MaskedReturns,
    rows: slice,
    varying: Bools,
    penalty: float,
    frames: Floats,
    *,
    with_level: bool,
) -> Floats:
    """Return the map of one block, (d,), with or without the level of importance in that block."""
    masks = sample.centred_masks(rows)[:, varying]
    returns = sample.centred_returns(rows)
    kept = masks @ frames
    squares = float(kept @ kept)
    projection = kept / squares if squares > 0 else np.zeros_like(kept)
    residual_masks = masks - np.outer(kept, projection @ masks)
    # The dual form of ridge regression: it solves for the n masks of the block, not d segments.
    kernel = residual_masks @ residual_masks.T + penalty * np.eye(len(residual_masks))
    beta = residual_masks.T @ np.linalg.solve(kernel, returns - kept * (projection @ returns))
    if not with_level:
        return beta
    block_map: Floats = beta + float(projection @ (returns - masks @ beta)) * frames
    return block_map
