"""Student's t distribution, and corrections for multiple testing."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TINY = 1e-100
"""Replaces 0 in denominators."""


def survival(t: Floats, degrees: Floats) -> Floats:
    """Return P(T > t) of Student's t; infinite degrees of freedom give the normal distribution."""
    from scipy.stats import t as student_t

    return np.asarray(student_t.sf(t, degrees))


def quantile(probability: float, degrees: float = np.inf) -> float:
    """Return a quantile of Student's t, by default of the normal distribution."""
    return float(quantiles(probability, np.array(degrees)))


def quantiles(probability: float, degrees: Floats) -> Floats:
    """Return quantiles of Student's t for several degrees of freedom, infinite ones included."""
    from scipy.stats import t as student_t

    return np.asarray(student_t.ppf(probability, degrees))


def discoveries(p: Floats, level: float) -> NDArray[np.bool_]:
    """Return which of n hypotheses are rejected at a false discovery rate, (n,).

    The procedure is that of Benjamini and Hochberg (1995).
    """
    from scipy.stats import false_discovery_control

    if len(p) == 0:
        return np.zeros(0, dtype=bool)
    rejected: NDArray[np.bool_] = false_discovery_control(p, method="bh") <= level
    return rejected


def holm(p: Floats) -> Floats:
    """Return n p-values, (n,), adjusted for multiple testing after Holm (1979).

    Rejecting adjusted p-values below a level keeps the probability of any false rejection below
    that level.
    """
    order = np.argsort(p)
    # Step-down: an adjusted p-value is never below that of a smaller p-value.
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
