"""Standard errors from the spread between blocks, moderated across segments.

A block's effects scale with that block's return, so that large effects differ more between
training seeds than small ones. The prior variance of a segment is therefore
a + b * importance^2. Each segment's sample variance is shrunk towards it as in Smyth (2004),
"Linear models and empirical Bayes methods for assessing differential expression".
"""

from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.special

from r2rise.statistics.estimators.sample import Floats

MAX_PRIOR_BLOCKS = 8.0
"""The prior has at most eight times the degrees of freedom of the blocks.

All segments share the same few training seeds. The prior is therefore less certain than the number
of segments suggests. Without this limit, the 95 % intervals of two blocks of an undertrained
CartPole policy cover 91.5 %, with it 93.2 %.
"""

_N_STEPS = 20


class Moderated(NamedTuple):
    """Standard errors of means over blocks, (d,) each, and their degrees of freedom."""

    std_error: Floats
    degrees_of_freedom: Floats


def moderated(maps: Floats) -> Moderated:
    """Return standard errors of the mean of block maps, (n_blocks, d) with at least 2 blocks.

    The variance is (d0 prior + (B - 1) s^2) / (d0 + B - 1), where s^2 is the sample variance of a
    segment between B blocks and d0 are the degrees of freedom of the prior. The part
    b * importance^2 of the prior comes from the scale of each block's effects, which all segments
    share. It has B - 1 degrees of freedom, however many segments there are. Both parts are
    combined as in Satterthwaite (1946).
    """
    n_blocks = len(maps)
    sample_degrees = n_blocks - 1
    mean, sample_variance = maps.mean(axis=0), maps.var(axis=0, ddof=1)
    constant, slope = _trend(mean**2, sample_variance)
    prior = constant + slope * mean**2
    max_degrees = min(MAX_PRIOR_BLOCKS, max(len(mean) - 2, 0)) * sample_degrees
    prior_degrees = min(_prior_degrees(sample_variance, prior, sample_degrees), max_degrees)
    degrees = prior_degrees + sample_degrees
    moderated_variance = (prior_degrees * prior + sample_degrees * sample_variance) / degrees
    slope_share = np.divide(slope * mean**2, prior, out=np.zeros_like(prior), where=prior > 0)
    satterthwaite = 1 / ((1 - slope_share) ** 2 / degrees + slope_share**2 / sample_degrees)
    return Moderated(
        std_error=np.sqrt(moderated_variance / n_blocks),
        degrees_of_freedom=np.minimum(satterthwaite, degrees),
    )


def _trend(squares: Floats, variance: Floats) -> tuple[float, float]:
    """Fit variance = a + b * squares with a, b >= 0.

    The standard deviation of a sample variance is proportional to the true variance, so that the
    weights depend on the fit: iteratively reweighted non-negative least squares.
    """
    coefficients = np.array([variance.mean(), 0.0])
    if coefficients[0] == 0.0:
        return 0.0, 0.0
    columns = np.stack([np.ones_like(squares), squares], axis=1)
    min_variance = 1e-12 * coefficients[0]
    for _ in range(_N_STEPS):
        weight = 1 / np.maximum(columns @ coefficients, min_variance)
        coefficients, _ = scipy.optimize.nnls(columns * weight[:, None], variance * weight)
    return float(coefficients[0]), float(coefficients[1])


def _prior_degrees(sample_variance: Floats, prior: Floats, sample_degrees: int) -> float:
    """Return the degrees of freedom of the prior (Smyth 2004, eq. 6).

    The logarithm of a sample variance over its prior varies by trigamma(sample_degrees / 2) from
    sampling alone. The excess is trigamma(prior_degrees / 2); infinite without an excess.
    """
    is_positive = (sample_variance > 0) & (prior > 0)
    if is_positive.sum() < 2:
        return np.inf
    log_variance = float(np.log(sample_variance[is_positive] / prior[is_positive]).var(ddof=1))
    excess = log_variance - float(scipy.special.polygamma(1, sample_degrees / 2))
    if excess <= 0:
        return np.inf
    return 2 * _inverse_trigamma(excess)


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value, by Newton's method on 1 / trigamma (Smyth 2004, appendix).

    From this start convergence is monotone, as 1 / trigamma is convex.
    """
    x = 0.5 + 1 / value
    for _ in range(_N_STEPS):
        trigamma = float(scipy.special.polygamma(1, x))
        x += trigamma * (1 - trigamma / value) / float(scipy.special.polygamma(2, x))
    return x
