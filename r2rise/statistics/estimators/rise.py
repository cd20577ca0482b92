"""The paper's sum of masks weighted by returns, and its normalised form, for comparison.

Source: Zheng et al., arXiv 2301.01088. Only the order of the values has a meaning. Neither form
centres the returns, so that a segment ranks high if it happened to be kept often.
"""

import numpy as np

from r2rise.statistics.estimators.sample import Estimate, Floats, MaskedReturns


def rise(sample: MaskedReturns) -> Estimate:
    """Estimate sum_i mask_ij * return_i; the standard error is sqrt(n) times their sd."""
    n = len(sample.returns)
    total, squares, _ = _sums(sample)
    variance = (squares - total**2 / n) / (n - 1)
    return _estimate(sample, total, np.sqrt(n * np.maximum(variance, 0.0)))


def rise_normalized(sample: MaskedReturns) -> Estimate:
    """Estimate the mean return of masks that keep a segment.

    The standard error is sd / sqrt(n_kept), NaN for a single mask.
    """
    total, _, centred_squares = _sums(sample)
    kept = sample.n_kept.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / kept
        centred_mean = mean - sample.returns.mean()
        variance = (centred_squares - kept * centred_mean**2) / (kept - 1)
        std_error = np.sqrt(np.maximum(variance, 0.0) / kept)
    return _estimate(sample, mean, np.where(kept > 1, std_error, np.nan))


def _sums(sample: MaskedReturns) -> tuple[Floats, Floats, Floats]:
    """Return sums of y, y^2 and (y - mean)^2 over the masks that keep a segment, (d,) each."""
    sums = np.zeros((3, sample.n_segments))
    mean = sample.returns.mean()
    for masks, returns in sample.chunks(slice(0, len(sample))):
        sums += np.stack([returns, returns**2, (returns - mean) ** 2]) @ masks
    return sums[0], sums[1], sums[2]


def _estimate(sample: MaskedReturns, importance: Floats, std_error: Floats) -> Estimate:
    """Return an estimate with NaN for segments that do not vary."""
    std_error = np.where(sample.varies, std_error, np.nan)
    finite_errors = std_error[np.isfinite(std_error)]
    return Estimate(
        importance=np.where(sample.varies, importance, np.nan),
        std_error=std_error,
        degrees_of_freedom=np.full(len(std_error), np.inf),
        rank_noise=float(np.mean(finite_errors**2)) if len(finite_errors) else np.nan,
    )
