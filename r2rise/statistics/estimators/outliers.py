"""Detect returns so far from the others that they alone decide the map."""

import numpy as np

from r2rise.statistics.estimators.sample import MaskedReturns, Outliers

_MIN_DISTANCE = 10.0
"""Distance in robust standard deviations beyond which a return is an outlier."""

_MIN_VARIANCE_SHARE = 0.5
"""Outliers decide the map if they contribute more than this share of the variance."""

_MAX_SHARE = 0.02
"""Largest share of the returns that can be outliers; more belong to a skewed distribution."""


def outliers(sample: MaskedReturns) -> Outliers | None:
    """Return the few returns that contribute most of the variance, or None without any.

    Distances are from the median of the block, in units of 1.4826 times the median absolute
    deviation, which is the standard deviation of a normal distribution.
    """
    distances = np.concatenate(
        [sample.returns[rows] - np.median(sample.returns[rows]) for rows in sample.blocks]
    )
    scale = 1.4826 * float(np.median(np.abs(distances)))
    far = np.abs(distances) > _MIN_DISTANCE * scale
    if scale == 0.0 or not 0 < far.mean() <= _MAX_SHARE:
        return None
    share = float((distances[far] ** 2).sum() / (distances**2).sum())
    if share <= _MIN_VARIANCE_SHARE:
        return None
    farthest = int(np.argmax(np.abs(distances)))
    return Outliers(int(far.sum()), share, float(sample.returns[farthest]))
