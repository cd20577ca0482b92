"""From the importance of segments to that of whole demonstrations."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from r2rise.statistics.estimators.moderation import moderated
from r2rise.statistics.estimators.sample import Estimate, Floats, rank_noise


def per_demonstration(estimate: Estimate, first_segment: NDArray[np.int64]) -> Estimate:
    """Return the sums of importance over the segments of each demonstration, as an estimate.

    Errors come from the sums of each block's map, or from the covariance of the one block: they
    are not independent between segments.

    Args:
        estimate: The importance of segments.
        first_segment: (n_demonstrations,) index of the first segment of each.
    """

    def summed(values: Floats) -> Floats:
        total: Floats = np.add.reduceat(values, first_segment, axis=-1)
        return total

    n = len(first_segment)
    sums = replace(
        estimate,
        importance=summed(estimate.importance),
        std_error=np.full(n, np.nan),
        degrees_of_freedom=np.full(n, np.nan),
        rank_noise=np.nan,
    )
    if estimate.block_maps is not None:
        maps = summed(estimate.block_maps)
        sums = replace(sums, block_maps=maps)
        known = np.isfinite(maps).all(axis=0)
        if estimate.covers is not None and known.any():
            errors = moderated(maps[:, known])
            sums.std_error[known] = errors.std_error
            sums.degrees_of_freedom[known] = errors.degrees_of_freedom
    elif estimate.covariance is not None:
        covariance = summed(summed(estimate.covariance).T)
        degrees = float(np.nanmin(estimate.degrees_of_freedom))
        sums = replace(
            sums,
            std_error=np.sqrt(np.diag(covariance)),
            degrees_of_freedom=np.full(n, degrees),
            covariance=covariance,
            rank_noise=rank_noise(covariance),
        )
    return sums
