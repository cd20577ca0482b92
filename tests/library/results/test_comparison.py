"""Comparisons of maps against scipy, enumeration and published formulas."""

import math
from itertools import combinations

import numpy as np
import pytest
from golden import GOLDEN, KNOWN, changed, with_values
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from r2rise import ImportanceMap, compare
from r2rise.errors import MapError

N = int(KNOWN.sum())
VALUES = st.lists(st.integers(-20, 20), min_size=N, max_size=N)


def with_reliability(a_map: ImportanceMap, value: float | None) -> ImportanceMap:
    return a_map.model_copy(
        update={"quality": a_map.quality.model_copy(update={"reliability": value})}
    )


def test_a_map_compared_with_itself_and_with_its_opposite():
    same = compare(GOLDEN, GOLDEN, k=3)
    assert same.n_segments == N < len(GOLDEN)
    for correlation in (same.spearman, same.kendall):
        assert (correlation.value, correlation.lower, correlation.upper) == (1.0, 1.0, 1.0)
    assert same.top.share == same.bottom.share == 1.0
    assert same.study_hashes == (GOLDEN.study_hash,) * 2
    assert same.algorithms == (GOLDEN.study.algorithm.name,) * 2
    opposite = compare(GOLDEN, changed(importance=-GOLDEN.importance), k=3)
    for correlation in (opposite.spearman, opposite.kendall):
        assert (correlation.value, correlation.lower, correlation.upper) == (-1.0, -1.0, -1.0)
    assert opposite.top.share == 0.0
    assert opposite.top.by_chance == 3 / N
    assert opposite.top.p == 1.0


@given(VALUES, VALUES)
def test_correlations_and_their_intervals(ours, theirs):
    """Values are scipy's, ties included; intervals by Fieller, Hartley and Pearson (1957)."""
    assume(len(set(ours)) > 1 and len(set(theirs)) > 1)
    found = compare(with_values(ours), with_values(theirs))
    rho, tau = stats.spearmanr(ours, theirs).statistic, stats.kendalltau(ours, theirs).statistic
    for correlation, value, variance in (
        (found.spearman, rho, 1.06 / (N - 3)), (found.kendall, tau, 0.437 / (N - 4))
    ):  # fmt: skip
        assert correlation.value == pytest.approx(value)
        if abs(value) < 0.999:
            z = 0.5 * math.log((1 + value) / (1 - value))
            ends = [z - 1.959964 * math.sqrt(variance), z + 1.959964 * math.sqrt(variance)]
            want = [(math.exp(2 * e) - 1) / (math.exp(2 * e) + 1) for e in ends]
            assert [correlation.lower, correlation.upper] == pytest.approx(want, abs=1e-6)


def test_intervals_cover_what_they_should():
    """Normal pairs of known correlation: the 95 % intervals of 400 samples hold it."""
    generator = np.random.default_rng(0)
    r = 0.6
    true_rho, true_tau = 6 / np.pi * np.arcsin(r / 2), 2 / np.pi * np.arcsin(r)
    hits = np.zeros(2)
    for _ in range(400):
        ours = generator.normal(size=N)
        theirs = r * ours + math.sqrt(1 - r * r) * generator.normal(size=N)
        found = compare(with_values(ours), with_values(theirs))
        for i, (part, true) in enumerate(((found.spearman, true_rho), (found.kendall, true_tau))):
            hits[i] += part.lower <= true <= part.upper
    assert (hits / 400 >= 0.92).all()


def few(n: int) -> ImportanceMap:
    return with_values([float(i * i) if i < n else np.nan for i in range(N)])


@pytest.mark.parametrize(
    ("n", "spearman", "kendall"), [(2, False, False), (3, False, False), (4, True, False),
                                   (5, True, True)]
)  # fmt: skip
def test_intervals_need_a_few_segments(n, spearman, kendall):
    found = compare(few(n), few(n))
    assert found.n_segments == found.k == n
    assert (found.spearman.lower is not None) == spearman
    assert (found.kendall.upper is not None) == kendall
    assert found.kendall.value == pytest.approx(1.0)


def test_at_least_two_segments_in_both():
    with pytest.raises(MapError, match="Only 1 segments"):
        compare(few(1), few(5))


def test_corrected_for_what_both_maps_lack_in_reliability():
    order = np.arange(N, dtype=float)
    theirs = order.copy()
    theirs[[0, N - 1, 2]] = theirs[[N - 1, 0, 5]]
    a, b = with_reliability(with_values(order), 0.9), with_reliability(with_values(theirs), 0.4)
    found = compare(a, b)
    value = stats.spearmanr(order, theirs).statistic
    corrected = found.spearman_corrected
    assert corrected.value == pytest.approx(value / 0.6)
    assert corrected.lower == pytest.approx(max(-1, found.spearman.lower / 0.6))
    assert corrected.upper == pytest.approx(min(1, found.spearman.upper / 0.6))


def test_corrected_is_one_at_most():
    a = with_reliability(with_values(np.arange(N)), 0.5)
    assert compare(a, a).spearman_corrected.value == 1.0
    opposite = with_reliability(with_values(-np.arange(N)), 0.5)
    found = compare(a, opposite).spearman_corrected
    assert (found.value, found.lower) == (-1.0, -1.0)


@pytest.mark.parametrize("reliabilities", [(None, 0.9), (0.9, None), (0.0, 0.9), (0.9, 0.0)])
def test_what_cannot_be_corrected(reliabilities):
    a, b = (with_reliability(with_values(np.arange(N)), value) for value in reliabilities)
    found = compare(a, b)
    assert found.spearman_corrected.value is None
    assert found.spearman_corrected.lower is found.spearman_corrected.upper is None
    assert found.spearman.value == pytest.approx(1.0)


@pytest.mark.parametrize("k", range(1, N + 1))
def test_overlap_by_counting_every_list_that_chance_could_give(k):
    theirs = np.random.default_rng(5).permutation(N)
    found = compare(with_values(np.arange(N)), with_values(theirs), k=k)
    for overlap, sign in ((found.top, -1), (found.bottom, 1)):
        first = set(np.argsort(sign * np.arange(N))[:k].tolist())
        second = set(np.argsort(sign * theirs)[:k].tolist())
        shared = len(first & second)
        lists = [len(first & set(chance)) for chance in combinations(range(N), k)]
        assert overlap.share == pytest.approx(shared / k)
        assert overlap.by_chance == pytest.approx(np.mean(lists) / k)
        assert overlap.p == pytest.approx(np.mean([n >= shared for n in lists]))


def test_k_is_at_most_all():
    assert compare(GOLDEN, GOLDEN).k == min(10, N)
    found = compare(GOLDEN, GOLDEN, k=1000)
    assert found.k == N
    assert found.top.p == 1.0


def test_a_constant_map_has_no_rank_correlation():
    found = compare(GOLDEN, with_values(1.0))
    for correlation in (found.spearman, found.kendall, found.spearman_corrected):
        assert correlation.value is correlation.lower is correlation.upper is None


def test_differences_by_hand():
    """z of 0, 1, 3, -3, 2.5 and 0s; p 0.0027 and 0.0124 pass Benjamini and Hochberg, 0.317 not."""
    ours = np.zeros(N)
    ours[:5] = [7.0, 8.0, 10.0, 4.0, 9.5]
    theirs = np.zeros(N)
    theirs[:5] = 7.0
    found = compare(with_values(ours, 0.6), with_values(theirs, 0.8)).difference
    np.testing.assert_allclose(found.difference[KNOWN][:5], [0, 1, 3, -3, 2.5])
    np.testing.assert_allclose(found.std_error[KNOWN], 1.0)
    verdict = np.array(found.verdict, dtype=object)
    assert verdict[KNOWN].tolist() == [
        "unresolved", "unresolved", "helps", "hurts", "helps", *["unresolved"] * (N - 5)
    ]  # fmt: skip
    assert all(v is None for v in verdict[~KNOWN])
    assert np.isnan(found.difference[~KNOWN]).all()


def test_differences_with_students_t_have_welchs_degrees_of_freedom():
    """Errors 0.6 with 5 and 0.8 with 3: 1 / (0.1296 / 5 + 0.4096 / 3) = 6.16 degrees."""
    degrees = 1 / (0.36**2 / 5 + 0.64**2 / 3)
    limit = stats.t.ppf(1 - 0.05 / N / 2, degrees)
    for size, verdict in ((limit * 1.001, "helps"), (limit * 0.999, "unresolved")):
        ours = np.zeros(N)
        ours[0] = size  # one among N: it has to reach the level over N
        found = compare(with_values(ours, 0.6, 5.0), with_values(np.arange(N) * 0.0, 0.8, 3.0))
        assert next(v for v in found.difference.verdict if v) == verdict
    ours[0] = limit * 0.999
    normal = compare(with_values(ours, 0.6), with_values(np.zeros(N), 0.8))
    assert next(v for v in normal.difference.verdict if v) == "helps"


def test_equal_maps_differ_nowhere_more_often_than_they_may():
    """Two studies of the same truth: any difference at all in 5 % of the comparisons."""
    generator = np.random.default_rng(1)
    truth = 5 * generator.normal(size=N)
    any_found = 0
    for _ in range(400):
        a, b = (with_values(truth + s * generator.normal(size=N), s) for s in (1.0, 2.0))
        any_found += bool({"helps", "hurts"} & set(compare(a, b).difference.verdict))
    assert stats.binomtest(any_found, 400, 0.05).pvalue > 0.001


def test_other_units_and_orders_without_a_unit_have_no_differences():
    success = changed(estimator=GOLDEN.estimator.model_copy(update={"unit": "info:success"}))
    assert compare(GOLDEN, success).difference is None
    assert compare(success, success).difference is not None
    order = changed(estimator=GOLDEN.estimator.model_copy(update={"sign": "order_only"}))
    assert compare(GOLDEN, order).difference is None
    assert compare(order, order).difference is None
    assert compare(GOLDEN, order).spearman.value == pytest.approx(1.0)


def test_maps_of_other_demonstrations_or_segments_are_not_compared():
    other = GOLDEN.dataset.model_copy(update={"sha256": "sha256:0"})
    with pytest.raises(MapError, match="different demonstrations"):
        compare(GOLDEN, changed(dataset=other))
    table = GOLDEN.segments.model_copy(update={"stop": GOLDEN.segments.stop - 1})
    with pytest.raises(MapError, match="different segments"):
        compare(GOLDEN, changed(segments=table))
