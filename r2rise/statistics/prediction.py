"""The reliability that a number of masks is expected to reach, and the masks that one takes.

Two maps of N masks correlate by rho = N / (N + segments * blur), blur being noise over signal of
one mask. Reliability is the rank correlation: for d normal effects Spearman's coefficient is
expected to be 6 / (pi (d + 1)) (arcsin rho + (d - 2) arcsin(rho / 2)) (Moran 1948).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FEWEST = 2
"""Segments that can be ranked."""

_LARGEST = 1 - 1e-12
"""Correlation of maps beyond which they are taken for equal."""


def expected_reliability(n_masks: ArrayLike, n_segments: int, blur: float) -> NDArray[np.float64]:
    """Return the reliability that numbers of masks are expected to reach, in their shape."""
    n = np.asarray(n_masks, dtype=np.float64)
    if not math.isfinite(blur):
        return np.zeros_like(n)
    return _rank_correlation(n / np.maximum(n + n_segments * blur, 1e-300), n_segments)


def masks_for(reliability: float, n_segments: int, blur: float) -> float:
    """Return the masks that are expected to reach a reliability below 1; may be infinite."""
    from scipy.optimize import brentq

    def above(rho: float) -> float:
        return float(_rank_correlation(np.asarray(rho), n_segments)) - reliability

    rho = min(float(brentq(above, 0.0, 1.0, xtol=1e-12)), _LARGEST)
    return n_segments * blur * rho / (1 - rho)


def _rank_correlation(rho: NDArray[np.float64], n_segments: int) -> NDArray[np.float64]:
    d = max(n_segments, _FEWEST)
    found: NDArray[np.float64] = np.arcsin(rho) + (d - 2) * np.arcsin(rho / 2)
    return 6 / (np.pi * (d + 1)) * found
