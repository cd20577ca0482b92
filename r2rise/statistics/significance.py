"""Student's t, and which of many hypotheses to reject."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 1e-100
"""Stands for 0 where it is divided by."""


def survival(t: Floats, degrees: Floats) -> Floats:
    """Return P(T > t) of Student's t; with infinite degrees of freedom, of the normal."""
    from scipy.stats import t as student_t

    return np.asarray(student_t.sf(t, degrees))


def quantile(probability: float, degrees: float = np.inf) -> float:
    """Return a quantile of Student's t, or of the normal distribution."""
    return float(quantiles(probability, np.array(degrees)))


def quantiles(probability: float, degrees: Floats) -> Floats:
    """Return quantiles of Student's t for several degrees of freedom, infinite ones included."""
    from scipy.stats import t as student_t

    return np.asarray(student_t.ppf(probability, degrees))


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
