"""The importance of whole demonstrations, as sums over their segments."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from r2rise.statistics.estimators.moderation import moderated
from r2rise.statistics.estimators.sample import Estimate, Floats, rank_noise


def per_demonstration(estimate: Estimate, first_segment: NDArray[np.int64]) -> Estimate:
    """Return the sums of importance over the segments of each demonstration, as an estimate.

    Errors are not independent between segments, so their variances cannot be added. They are
    estimated from the sums of each block's map, or from the covariance of a single block.

    Args:
        estimate: The importance of segments.
        first_segment: (n_demonstrations,) index of the first segment of each, ascending.
    """

    def sum_segments(values: Floats) -> Floats:
        totals: Floats = np.add.reduceat(values, first_segment, axis=-1)
        return totals

    n = len(first_segment)
    sums = replace(
        estimate,
        importance=sum_segments(estimate.importance),
        std_error=np.full(n, np.nan),
        degrees_of_freedom=np.full(n, np.nan),
        rank_noise=np.nan,
    )
    if estimate.block_maps is not None:
        maps = sum_segments(estimate.block_maps)
        sums = replace(sums, block_maps=maps)
        finite = np.isfinite(maps).all(axis=0)
        if estimate.covers is not None and finite.any():
            errors = moderated(maps[:, finite])
            sums.std_error[finite] = errors.std_error
            sums.degrees_of_freedom[finite] = errors.degrees_of_freedom
    elif estimate.covariance is not None:
        # Both axes are summed: A C A^T for the matrix A that sums segments.
        covariance = sum_segments(sum_segments(estimate.covariance).T)
        degrees = float(np.nanmin(estimate.degrees_of_freedom))
        sums = replace(
            sums,
            std_error=np.sqrt(np.diag(covariance)),
            degrees_of_freedom=np.full(n, degrees),
            covariance=covariance,
            rank_noise=rank_noise(covariance),
        )
    return sums
