"""Verdicts: which segments help, hurt, do not matter, or cannot be told."""

import math

import numpy as np
from numpy.typing import NDArray

from r2rise.statistics.estimators import Estimate
from r2rise.statistics.estimators.sample import Chosen, Floats
from r2rise.statistics.significance import LEAST, discoveries, quantile, quantiles, survival
from r2rise.statistics.summaries import LEAST_EFFECT, Baseline, Verdicts
from r2rise.statistics.worth_explaining import is_weak
from r2rise.study.study import Study

_LONGEST = 10**9
"""Retrainings beyond which a forecast says no more than that there are too many."""


def judge(study: Study, found: Estimate, baseline: Baseline, n_retrainings: int) -> Verdicts | None:
    """Give every estimated segment (or demonstration) a verdict.

    The procedure of Benjamini and Hochberg (1995) runs once over the tests for helps and hurts,
    and once over the equivalence tests (two one-sided t-tests, Schuirmann 1987) for negligible.
    Helps and hurts are effects beyond a quarter of the margin (Hodges and Lehmann 1954): an effect
    that does not matter is not called helpful because it is known precisely. What is negligible
    stays so although its sign may be known. Where all masks share one training seed nothing is
    resolved: another seed may have other effects.

    Args:
        study: The resolved study.
        found: What was estimated.
        baseline: Returns of all frames and of random actions; the margin is a share of their
            difference.
        n_retrainings: Design retrainings that the estimate is from.

    Returns:
        None where the estimator gives no intervals, and for a policy that is too weak to be
        explained.
    """
    if found.covers is None or is_weak(study, baseline):
        return None
    rule = study.verdicts
    known = np.isfinite(found.importance) & np.isfinite(found.std_error)
    margin = _margin(baseline, rule.margin)
    tests = _Tests(found, known, margin)
    one_seed = found.covers == "masks"
    verdict = np.full(len(known), "unresolved", dtype=object)
    if not one_seed:
        differs = discoveries(tests.p_differs, rule.level)
        verdict[_spread(differs, known) & (found.importance > 0)] = "helps"
        verdict[_spread(differs, known) & (found.importance < 0)] = "hurts"
        verdict[_spread(discoveries(tests.p_negligible, rule.level), known)] = "negligible"
    open_ = verdict[known] == "unresolved"
    verdict[~known] = None
    width = found.std_error * _quantiles(found, rule.level, rule.simultaneous, int(known.sum()))
    more = tests.more_retrainings(rule.level, n_retrainings)[open_]
    if one_seed:
        more = np.maximum(more, study.masking.block_size or 1)
    return Verdicts(
        verdict=tuple(verdict.tolist()),
        lower=found.importance - width,
        upper=found.importance + width,
        confidence=1 - rule.level,
        covers=found.covers,
        simultaneous=rule.simultaneous,
        level=rule.level,
        margin=margin,
        more_for_half=_rounded(float(np.median(more))) if len(more) else None,
        more_for_all=_rounded(float(more.max())) if len(more) else None,
    )


class _Tests:
    """The tests of the known segments, (n,) each."""

    def __init__(self, found: Estimate, known: Chosen, margin: float | None) -> None:
        self._size = np.abs(found.importance[known])
        self._std_error = np.maximum(found.std_error[known], LEAST)
        self._degrees = found.degrees_of_freedom[known]
        self._margin = margin or 0.0

    @property
    def p_differs(self) -> Floats:
        """Two-sided p-values of an effect inside a quarter of the margin."""
        least = LEAST_EFFECT * self._margin
        above, below = (
            survival((self._size + sign * least) / self._std_error, self._degrees)
            for sign in (-1, 1)
        )
        return np.minimum(above + below, 1.0)

    @property
    def p_negligible(self) -> Floats:
        """p-values of an effect outside the margin; 1 where there is no margin."""
        inside = (self._margin - self._size) / self._std_error
        if self._margin <= 0:
            return np.ones_like(inside)
        return survival(inside, self._degrees)

    def more_retrainings(self, level: float, n: int) -> Floats:
        """Return the further retrainings at which each would be resolved as often as not."""
        beyond = np.maximum(self._size - LEAST_EFFECT * self._margin, LEAST)
        inside = np.maximum(self._margin - self._size, LEAST)
        to_differ = (quantile(1 - level / 2) * self._std_error / beyond) ** 2
        to_be_negligible = (quantile(1 - level) * self._std_error / inside) ** 2
        more: Floats = n * (np.minimum(to_differ, to_be_negligible) - 1)
        return np.clip(more, 1, _LONGEST)


def _margin(baseline: Baseline, share: float) -> float | None:
    gain = baseline.gain
    return share * gain if gain is not None and gain > 0 else None


def _spread(chosen: NDArray[np.bool_], known: Chosen) -> Chosen:
    whole = np.zeros(len(known), dtype=bool)
    whole[known] = chosen
    return whole


def _quantiles(found: Estimate, level: float, simultaneous: bool, n: int) -> Floats:
    """Return the half widths of intervals in standard errors (Sidak 1967 for all at once)."""
    each = 1 - (1 - level) ** (1 / max(n, 1)) if simultaneous else level
    return quantiles(1 - each / 2, found.degrees_of_freedom)


def _rounded(n: float) -> int:
    """Return two significant digits, upwards."""
    step: int = 10 ** max(0, math.floor(math.log10(max(n, 1))) - 1)
    return math.ceil(n / step) * step
