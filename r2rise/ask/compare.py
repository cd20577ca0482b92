"""Comparison of importance maps over the same segments, without retraining."""

import math
from typing import Literal

import numpy as np

from r2rise.ask.arguments import AnyMap, to_map
from r2rise.errors import InputError, MapError
from r2rise.limits import check_count
from r2rise.results.comparison import Comparison, Correlation, Difference, Overlap
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import now
from r2rise.statistics.intervals import CONFIDENCE
from r2rise.statistics.significance import TINY, Floats, discoveries, quantile, survival

_FIELLER = {"spearman": (1.06, 3), "kendall": (0.437, 4)}
"""For each correlation (factor, offset): the variance of Fisher's z is factor / (n - offset).
Fieller, Hartley and Pearson 1957."""

_ROUNDING = 1e-12


def compare(
    a: AnyMap, b: AnyMap, *, k: int = 10, names: tuple[str, str] | None = None
) -> Comparison:
    """Compare two maps over the same segments of the same demonstrations.

    Args:
        a: The first map, its file or its directory.
        b: The second map, likewise.
        k: Length of the top and bottom lists.
        names: Names of the maps in the result.

    Raises:
        InputError: When an argument cannot be used.
        MapError: When demonstrations or segments differ, or fewer than 2 segments are estimated in
            both maps.
    """
    check_count("k", k, least=1)
    check_names(names)
    a, b = to_map(a, "a"), to_map(b, "b")
    check_comparable(a, b)
    in_both = np.isfinite(a.importance) & np.isfinite(b.importance)
    n = int(in_both.sum())
    if n < 2:
        raise MapError(f"Only {n} segments are estimated in both maps: at least 2 are needed.")
    values_a, values_b = a.importance[in_both], b.importance[in_both]
    k = min(k, n)
    spearman = rank_correlation("spearman", values_a, values_b)
    return Comparison(
        created_at=now(),
        study_hashes=(a.study_hash, b.study_hash),
        algorithms=(a.study.algorithm.name, b.study.algorithm.name),
        names=names,
        n_segments=n,
        spearman=spearman,
        kendall=rank_correlation("kendall", values_a, values_b),
        spearman_corrected=corrected(spearman, a.quality.reliability, b.quality.reliability),
        k=k,
        top=_overlap(-values_a, -values_b, k),
        bottom=_overlap(values_a, values_b, k),
        difference=_difference(a, b),
    )


def check_names(names: object) -> None:
    """Check the names of two maps.

    Raises:
        InputError: When they are neither two texts nor None.
    """
    if names is None:
        return
    kinds = [type(name) for name in names] if isinstance(names, tuple | list) else []
    if kinds != [str, str]:
        raise InputError(f'names should be two texts, such as ("bc", "bco"), got {names!r}.')


def check_comparable(a: ImportanceMap, b: ImportanceMap) -> None:
    """Check that two maps are over the same segments of the same demonstrations.

    Raises:
        MapError: When they are not.
    """
    if a.dataset.sha256 != b.dataset.sha256:
        raise MapError(
            f"The maps are about different demonstrations ({a.dataset.sha256[:19]}... and "
            f"{b.dataset.sha256[:19]}...): only maps of the same demonstrations can be compared."
        )
    if [a.segment(i) for i in range(len(a))] != [b.segment(i) for i in range(len(b))]:
        raise MapError(
            f"The maps have different segments ({len(a)} and {len(b)}): use the same "
            f"segment_length or boundaries for both."
        )


def rank_correlation(name: Literal["spearman", "kendall"], a: Floats, b: Floats) -> Correlation:
    """Return the rank correlation of two arrays, (n,) each, with Fisher's interval."""
    from scipy.stats import kendalltau, spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return Correlation(value=None, lower=None, upper=None)
    result = spearmanr(a, b) if name == "spearman" else kendalltau(a, b)
    value = float(result.statistic)
    factor, offset = _FIELLER[name]
    n = len(a)
    if n <= offset:
        return Correlation(value=value, lower=None, upper=None)
    if abs(value) > 1 - _ROUNDING:  # Fisher's z is infinite
        perfect = math.copysign(1.0, value)
        return Correlation(value=perfect, lower=perfect, upper=perfect)
    width = quantile((1 + CONFIDENCE) / 2) * math.sqrt(factor / (n - offset))
    centre = math.atanh(value)
    return Correlation(
        value=value, lower=math.tanh(centre - width), upper=math.tanh(centre + width)
    )


def corrected(correlation: Correlation, *reliabilities: float | None) -> Correlation:
    """Return a correlation corrected for noise in both of its variables.

    It is divided by the root of the product of their reliabilities, the largest correlation that
    noise leaves possible (Spearman's correction for attenuation), and clipped to [-1, 1]. It is
    unknown where a reliability is unknown or 0.
    """
    positive = [value for value in reliabilities if value]
    if correlation.value is None or len(positive) < len(reliabilities):
        return Correlation(value=None, lower=None, upper=None)
    ceiling = math.sqrt(math.prod(positive))
    values = (correlation.value, correlation.lower, correlation.upper)
    value, lower, upper = (None if v is None else max(-1.0, min(1.0, v / ceiling)) for v in values)
    return Correlation(value=value, lower=lower, upper=upper)


def _overlap(a: Floats, b: Floats, k: int) -> Overlap:
    """Compare the segments of the k smallest values of both arrays."""
    from scipy.stats import hypergeom

    first, second = (set(np.argsort(v, kind="stable")[:k].tolist()) for v in (a, b))
    shared, n = len(first & second), len(a)
    return Overlap(
        share=shared / k, by_chance=k / n, p=min(1.0, float(hypergeom.sf(shared - 1, n, k, k)))
    )


def _difference(a: ImportanceMap, b: ImportanceMap) -> Difference | None:
    signs = {a.estimator.sign, b.estimator.sign}
    if a.estimator.unit != b.estimator.unit or "order_only" in signs:
        return None
    difference = a.importance - b.importance
    variances = np.array([a.std_error**2, b.std_error**2])
    std_error = np.sqrt(variances.sum(axis=0))
    testable = np.isfinite(difference) & np.isfinite(std_error)
    degrees = _degrees(variances, np.array([a.degrees, b.degrees]))[testable]
    t = np.abs(difference[testable]) / np.maximum(std_error[testable], TINY)
    verdict = np.full(len(difference), None, dtype=object)
    verdict[np.isfinite(difference)] = "unresolved"
    differs = discoveries(np.minimum(2 * survival(t, degrees), 1.0), 1 - CONFIDENCE)
    if any(has_one_training_seed(m) for m in (a, b)):
        differs[:] = False
    significant = np.flatnonzero(testable)[differs]
    verdict[significant] = np.where(difference[significant] > 0, "helps", "hurts")
    return Difference(difference=difference, std_error=std_error, verdict=tuple(verdict.tolist()))


def has_one_training_seed(importance_map: ImportanceMap) -> bool:
    """Return whether all masks of a map share their training seed."""
    quality = importance_map.quality
    return importance_map.study.masking.shares_seeds and quality.reliability_method == "model"


def _degrees(variances: Floats, degrees: Floats) -> Floats:
    """Return the degrees of freedom of differences, (n,) (Welch 1947).

    Args:
        variances: Squared standard errors of both maps, (2, n).
        degrees: Degrees of freedom of both maps, (2, n).
    """
    total = (variances**2 / degrees).sum(axis=0)
    squares = variances.sum(axis=0) ** 2
    result: Floats = np.divide(squares, total, out=np.full_like(total, np.inf), where=total > 0)
    return result
