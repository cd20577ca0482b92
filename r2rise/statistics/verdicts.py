"""Verdicts: which segments help, hurt, are negligible, or are unresolved."""

import math

import numpy as np
from numpy.typing import NDArray

from r2rise.statistics.estimators import Estimate
from r2rise.statistics.estimators.sample import Bools, Floats
from r2rise.statistics.significance import TINY, discoveries, quantile, quantiles, survival
from r2rise.statistics.summaries import LEAST_EFFECT, Baseline, Verdicts
from r2rise.statistics.worth_explaining import is_weak
from r2rise.study.study import Study

_MAX_FORECAST = 10**9
"""Largest number of retrainings that is forecast; it stands for any larger one."""


def judge(
    study: Study, estimate: Estimate, baseline: Baseline, n_retrainings: int
) -> Verdicts | None:
    """Give every estimated segment (or demonstration) a verdict.

    The procedure of Benjamini and Hochberg (1995) runs once over the tests for helps and hurts,
    and once over the equivalence tests (two one-sided t-tests, Schuirmann 1987) for negligible.
    Segments help or hurt if their effect exceeds a quarter of the margin (Hodges and Lehmann
    1954), so that an effect that does not matter is not called helpful only because it is known
    precisely. `negligible` takes precedence, even where the sign is known. Where all masks share
    one training seed nothing is resolved: another seed may have other effects.

    Args:
        study: The resolved study.
        estimate: Importance of segments or demonstrations, with standard errors.
        baseline: Returns of all frames and of random actions; the margin is a share of their
            difference.
        n_retrainings: Number of design retrainings behind the estimate.

    Returns:
        The verdicts; None where the estimator gives no intervals, or the policy is too weak to be
        explained.
    """
    if estimate.covers is None or is_weak(study, baseline):
        return None
    rule = study.verdicts
    finite = np.isfinite(estimate.importance) & np.isfinite(estimate.std_error)
    margin = _margin(baseline, rule.margin)
    tests = _Tests(estimate, finite, margin)
    one_seed = estimate.covers == "masks"
    verdict = np.full(len(finite), "unresolved", dtype=object)
    if not one_seed:
        differs = discoveries(tests.p_differs, rule.level)
        verdict[_expand(differs, finite) & (estimate.importance > 0)] = "helps"
        verdict[_expand(differs, finite) & (estimate.importance < 0)] = "hurts"
        verdict[_expand(discoveries(tests.p_negligible, rule.level), finite)] = "negligible"
    is_unresolved = verdict[finite] == "unresolved"
    verdict[~finite] = None
    width = estimate.std_error * _half_widths(
        estimate, rule.level, rule.simultaneous, int(finite.sum())
    )
    further = tests.more_retrainings(rule.level, n_retrainings)[is_unresolved]
    if one_seed:
        further = np.maximum(further, study.masking.block_size or 1)
    return Verdicts(
        verdict=tuple(verdict.tolist()),
        lower=estimate.importance - width,
        upper=estimate.importance + width,
        confidence=1 - rule.level,
        covers=estimate.covers,
        simultaneous=rule.simultaneous,
        level=rule.level,
        margin=margin,
        more_for_half=_round_up(float(np.median(further))) if len(further) else None,
        more_for_all=_round_up(float(further.max())) if len(further) else None,
    )


class _Tests:
    """The tests of the segments with an estimate, (n,) each."""

    def __init__(self, estimate: Estimate, finite: Bools, margin: float | None) -> None:
        self._magnitude = np.abs(estimate.importance[finite])
        self._std_error = np.maximum(estimate.std_error[finite], TINY)
        self._degrees = estimate.degrees_of_freedom[finite]
        self._margin = margin or 0.0

    @property
    def p_differs(self) -> Floats:
        """p-values of the hypothesis that an effect lies within a quarter of the margin."""
        min_effect = LEAST_EFFECT * self._margin
        above, below = (
            survival((self._magnitude + sign * min_effect) / self._std_error, self._degrees)
            for sign in (-1, 1)
        )
        return np.minimum(above + below, 1.0)

    @property
    def p_negligible(self) -> Floats:
        """p-values of the hypothesis that an effect lies outside the margin; 1 without a margin."""
        inside = (self._margin - self._magnitude) / self._std_error
        if self._margin <= 0:
            return np.ones_like(inside)
        return survival(inside, self._degrees)

    def more_retrainings(self, level: float, n: int) -> Floats:
        """Return the further retrainings after which each is resolved with probability 1/2, (n,).

        The standard error falls with the root of the number of retrainings.
        """
        beyond = np.maximum(self._magnitude - LEAST_EFFECT * self._margin, TINY)
        inside = np.maximum(self._margin - self._magnitude, TINY)
        to_differ = (quantile(1 - level / 2) * self._std_error / beyond) ** 2
        to_be_negligible = (quantile(1 - level) * self._std_error / inside) ** 2
        further: Floats = n * (np.minimum(to_differ, to_be_negligible) - 1)
        return np.clip(further, 1, _MAX_FORECAST)


def _margin(baseline: Baseline, share: float) -> float | None:
    gain = baseline.gain
    return share * gain if gain is not None and gain > 0 else None


def _expand(values: NDArray[np.bool_], finite: Bools) -> Bools:
    """Return values of the finite segments as a mask over all, False elsewhere."""
    full = np.zeros(len(finite), dtype=bool)
    full[finite] = values
    return full


def _half_widths(estimate: Estimate, level: float, simultaneous: bool, n: int) -> Floats:
    """Return half widths of intervals in standard errors; simultaneous ones after Sidak (1967)."""
    level_of_one = 1 - (1 - level) ** (1 / max(n, 1)) if simultaneous else level
    return quantiles(1 - level_of_one / 2, estimate.degrees_of_freedom)


def _round_up(n: float) -> int:
    """Return a number rounded up to two significant digits."""
    step: int = 10 ** max(0, math.floor(math.log10(max(n, 1))) - 1)
    return math.ceil(n / step) * step
