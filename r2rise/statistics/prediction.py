"""The expected reliability of a number of masks, and the masks that a reliability takes.

Two maps of N masks correlate by rho = N / (N + segments * blur), where blur is the ratio of noise
to signal of one mask. Reliability is the rank correlation: for d normal effects Spearman's
coefficient is expected to be 6 / (pi (d + 1)) (arcsin rho + (d - 2) arcsin(rho / 2)) (Moran 1948).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MIN_SEGMENTS = 2
"""Smallest number of segments that can be ranked."""

_MAX_CORRELATION = 1 - 1e-12
"""Correlation of maps above which they count as equal; keeps the number of masks finite."""


def expected_reliability(n_masks: ArrayLike, n_segments: int, blur: float) -> NDArray[np.float64]:
    """Return the expected reliability of numbers of masks, in their shape; 0 for infinite blur."""
    n = np.asarray(n_masks, dtype=np.float64)
    if not math.isfinite(blur):
        return np.zeros_like(n)
    return _rank_correlation(n / np.maximum(n + n_segments * blur, 1e-300), n_segments)


def masks_for(reliability: float, n_segments: int, blur: float) -> float:
    """Return the number of masks expected to reach a reliability below 1; may be infinite."""
    from scipy.optimize import brentq

    def excess(rho: float) -> float:
        return float(_rank_correlation(np.asarray(rho), n_segments)) - reliability

    rho = min(float(brentq(excess, 0.0, 1.0, xtol=1e-12)), _MAX_CORRELATION)
    return n_segments * blur * rho / (1 - rho)


def _rank_correlation(rho: NDArray[np.float64], n_segments: int) -> NDArray[np.float64]:
    """Return the expected Spearman correlation of maps that correlate by rho (Moran 1948)."""
    d = max(n_segments, _MIN_SEGMENTS)
    arcsines: NDArray[np.float64] = np.arcsin(rho) + (d - 2) * np.arcsin(rho / 2)
    return 6 / (np.pi * (d + 1)) * arcsines
