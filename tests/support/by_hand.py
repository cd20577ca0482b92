"""Answers that are worked out by hand."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats


def check(interval, values) -> None:
    """Compare an interval with the paired t-test's."""
    assert (interval.mean, interval.n) == (pytest.approx(np.mean(values)), len(values))
    want = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (interval.lower, interval.upper) == (pytest.approx(want.low), pytest.approx(want.high))


def p_by_hand(masks: np.ndarray, returns: np.ndarray, values: np.ndarray) -> float:
    """List every order of the known values and count those that fit as well."""
    known = np.flatnonzero(np.isfinite(values))
    standardised = np.concatenate([(own - own.mean()) / own.std() for own in returns])

    def fit(order: tuple[float, ...]) -> float:
        scores = masks[:, :, known] @ np.array(order)
        centred = np.concatenate([own - own.mean() for own in scores])
        return stats.pearsonr(centred, standardised).statistic if np.ptp(centred) else 0.0

    observed = fit(tuple(values[known]))
    fits = [fit(order) for order in permutations(values[known])]
    return float(np.mean([f >= observed - 1e-9 for f in fits]))


def area(curve, keep) -> float:
    """Mean height of a curve: trapezoids over the range of keep levels."""
    pieces = [(keep[i + 1] - keep[i]) * (curve[i] + curve[i + 1]) / 2 for i in range(len(keep) - 1)]
    return sum(pieces) / (keep[-1] - keep[0])
