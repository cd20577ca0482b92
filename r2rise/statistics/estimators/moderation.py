"""Standard errors from the spread between blocks, moderated across segments.

A block's effects scale with that block's return, so that large effects differ more between
training seeds than small ones: the prior variance of a segment is a + b * importance^2. Each
segment's own variance is drawn towards it as in Smyth (2004), "Linear models and empirical Bayes
methods for assessing differential expression".
"""

from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.special

from r2rise.statistics.estimators.sample import Floats

MOST_PRIOR_BLOCKS = 8.0
"""The prior counts at most as much as eight times the blocks that there are.

All segments see the same few training seeds. The prior is therefore never as certain as their
number suggests: without this limit intervals of two blocks of an undertrained CartPole policy
cover 91.5 %, with it 93.2 %.
"""

_STEPS = 20


class Moderated(NamedTuple):
    """Standard errors of means over blocks, (d,) each, and their degrees of freedom."""

    std_error: Floats
    degrees_of_freedom: Floats


def moderated(maps: Floats) -> Moderated:
    """Return standard errors of the mean of block maps, (n_blocks, d) with at least 2 blocks.

    The variance is (d0 prior + (B - 1) s^2) / (d0 + B - 1), s^2 a segment's own between B blocks.
    The part b * importance^2 of the prior comes from what all segments share, how strong the
    effects of each block are, and rests on B - 1 degrees of freedom however many segments there
    are (Satterthwaite 1946).
    """
    n_blocks = len(maps)
    own_degrees = n_blocks - 1
    mean, own = maps.mean(axis=0), maps.var(axis=0, ddof=1)
    constant, slope = _trend(mean**2, own)
    prior = constant + slope * mean**2
    most = min(MOST_PRIOR_BLOCKS, max(len(mean) - 2, 0)) * own_degrees
    prior_degrees = min(_prior_degrees(own, prior, own_degrees), most)
    degrees = prior_degrees + own_degrees
    variance = (prior_degrees * prior + own_degrees * own) / degrees
    shared = np.divide(slope * mean**2, prior, out=np.zeros_like(prior), where=prior > 0)
    satterthwaite = 1 / ((1 - shared) ** 2 / degrees + shared**2 / own_degrees)
    return Moderated(
        std_error=np.sqrt(variance / n_blocks),
        degrees_of_freedom=np.minimum(satterthwaite, degrees),
    )


def _trend(squares: Floats, variance: Floats) -> tuple[float, float]:
    """Fit variance = a + b * squares with a, b >= 0, errors in proportion to the variance."""
    fitted = np.array([variance.mean(), 0.0])
    if fitted[0] == 0.0:
        return 0.0, 0.0
    columns = np.stack([np.ones_like(squares), squares], axis=1)
    least = 1e-12 * fitted[0]
    for _ in range(_STEPS):
        weight = 1 / np.maximum(columns @ fitted, least)
        fitted, _ = scipy.optimize.nnls(columns * weight[:, None], variance * weight)
    return float(fitted[0]), float(fitted[1])


def _prior_degrees(own: Floats, prior: Floats, own_degrees: int) -> float:
    """Return what the prior counts, from how far the variances lie from it (Smyth 2004, eq. 6)."""
    varies = (own > 0) & (prior > 0)
    if varies.sum() < 2:
        return np.inf
    spread = float(np.log(own[varies] / prior[varies]).var(ddof=1))
    beyond = spread - float(scipy.special.polygamma(1, own_degrees / 2))
    if beyond <= 0:
        return np.inf
    return 2 * _inverse_trigamma(beyond)


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value (Newton's method, Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(_STEPS):
        trigamma = float(scipy.special.polygamma(1, x))
        x += trigamma * (1 - trigamma / value) / float(scipy.special.polygamma(2, x))
    return x
