"""Returns so far from the others that where they fall decides the map."""

import numpy as np

from r2rise.statistics.estimators.sample import MaskedReturns, Outliers

_FAR = 10.0
"""Robust standard deviations beyond which a return is far from the others."""

_MOST_VARIANCE = 0.5
"""Share of the variance that such returns may make up."""

_FEW = 0.02
"""Share of the returns that are few. More of them belong to the distribution, skewed as it is."""


def outliers(sample: MaskedReturns) -> Outliers | None:
    """Return the returns that make up most of the variance, or None where there are none.

    Distances are from the median of a block, in units of 1.4826 times the median distance.
    """
    distances = np.concatenate(
        [sample.returns[rows] - np.median(sample.returns[rows]) for rows in sample.blocks]
    )
    scale = 1.4826 * float(np.median(np.abs(distances)))
    far = np.abs(distances) > _FAR * scale
    if scale == 0.0 or not 0 < far.mean() <= _FEW:
        return None
    share = float((distances[far] ** 2).sum() / (distances**2).sum())
    if share <= _MOST_VARIANCE:
        return None
    farthest = int(np.argmax(np.abs(distances)))
    return Outliers(int(far.sum()), share, float(sample.returns[farthest]))
