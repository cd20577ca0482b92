"""Student's t, and which of many hypotheses to reject."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 1e-100
"""Stands for 0 where it is divided by."""


def survival(t: Floats, degrees: float) -> Floats:
    """Return P(T > t) of Student's t, or of the normal distribution."""
    from scipy.stats import norm
    from scipy.stats import t as student_t

    p: Floats = student_t.sf(t, degrees) if math.isfinite(degrees) else norm.sf(t)
    return p


def quantile(probability: float, degrees: float = math.inf) -> float:
    """Return a quantile of Student's t, or of the normal distribution."""
    from scipy.stats import norm
    from scipy.stats import t as student_t

    if math.isfinite(degrees):
        return float(student_t.ppf(probability, degrees))
    return float(norm.ppf(probability))


def discoveries(p: Floats, level: float) -> NDArray[np.bool_]:
    """Return which hypotheses, (n,), Benjamini and Hochberg reject at a false discovery rate."""
    from scipy.stats import false_discovery_control

    if len(p) == 0:
        return np.zeros(0, dtype=bool)
    rejected: NDArray[np.bool_] = false_discovery_control(p, method="bh") <= level
    return rejected


def holm(p: Floats) -> Floats:
    """Return p values, (n,), adjusted for being n, after Holm (1979).

    To reject what is below a level keeps the probability of any false rejection below it.
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
