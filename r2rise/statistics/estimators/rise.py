"""The paper's sum of masks weighted by returns, and its normalised form. Their order counts only.

Zheng et al., arXiv 2301.01088. Neither centres the returns: a segment ranks high when it happened
to be kept often. Kept for comparison.
"""

import numpy as np

from r2rise.statistics.estimators.sample import Estimate, Floats, MaskedReturns


def rise(sample: MaskedReturns) -> Estimate:
    """Estimate sum_i mask_ij * return_i; standard error sqrt(n) times the sd of the summands."""
    n = len(sample.returns)
    total, squares, _ = _sums(sample)
    variance = (squares - total**2 / n) / (n - 1)
    return _masked(sample, total, np.sqrt(n * np.maximum(variance, 0.0)))


def rise_normalized(sample: MaskedReturns) -> Estimate:
    """Estimate the mean return when kept; standard error sd / sqrt(n kept), NaN for one mask."""
    total, _, centred_squares = _sums(sample)
    kept = sample.n_kept.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / kept
        centred_mean = mean - sample.returns.mean()
        variance = (centred_squares - kept * centred_mean**2) / (kept - 1)
        std_error = np.sqrt(np.maximum(variance, 0.0) / kept)
    return _masked(sample, mean, np.where(kept > 1, std_error, np.nan))


def _sums(sample: MaskedReturns) -> tuple[Floats, Floats, Floats]:
    """Return sums over kept masks of y, y^2 and (y - mean)^2, (d,) each."""
    sums = np.zeros((3, sample.n_segments))
    mean = sample.returns.mean()
    for masks, returns in sample.chunks(slice(0, len(sample))):
        sums += np.stack([returns, returns**2, (returns - mean) ** 2]) @ masks
    return sums[0], sums[1], sums[2]


def _masked(sample: MaskedReturns, importance: Floats, std_error: Floats) -> Estimate:
    std_error = np.where(sample.varies, std_error, np.nan)
    known = std_error[np.isfinite(std_error)]
    return Estimate(
        importance=np.where(sample.varies, importance, np.nan),
        std_error=std_error,
        degrees_of_freedom=np.full(len(std_error), np.inf),
        rank_noise=float(np.mean(known**2)) if len(known) else np.nan,
    )
