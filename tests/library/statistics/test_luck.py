"""The test against luck: brute force where all shuffles can be listed, and its error rate."""

import numpy as np
import pytest
from by_hand import p_by_hand
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from r2rise.statistics.luck import N_PERMUTATIONS, luck_p


def drawn_masks(n_groups: int, n: int, d: int, generator: np.random.Generator) -> np.ndarray:
    """Return masks that keep equally many segments within each group, and others between."""
    masks = np.zeros((n_groups, n, d), bool)
    for group in range(n_groups):
        k = 1 + group % (d - 1)
        for row in masks[group]:
            row[generator.choice(d, k, replace=False)] = True
    return masks


@pytest.mark.parametrize("d", [4, 5])
@pytest.mark.parametrize("signal", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("n_groups", [1, 3])
def test_p_is_the_share_of_all_orders_that_fit_as_well(d, signal, n_groups):
    generator = np.random.default_rng([d, n_groups])
    masks = drawn_masks(n_groups, 12, d, generator)
    values = generator.normal(size=d)
    returns = 100 + signal * masks @ values + generator.normal(size=(n_groups, 12))
    want = p_by_hand(masks, returns, values)
    p = luck_p(masks, returns, values, np.random.default_rng(0))
    # a share of 9999 random orders, and the order itself
    assert p == pytest.approx(want, abs=4 * np.sqrt(want * (1 - want) / N_PERMUTATIONS) + 2e-4)


def test_groups_are_compared_within_themselves_only():
    """Groups of other sizes have other levels and spreads: neither tells of the ranking."""
    generator = np.random.default_rng(0)
    masks = drawn_masks(3, 12, 5, generator)
    values = generator.normal(size=5)
    returns = masks @ values + generator.normal(size=(3, 12))
    plain = luck_p(masks, returns, values, np.random.default_rng(1))
    moved = returns * np.array([[1.0], [50.0], [0.1]]) + np.array([[0.0], [1e4], [-7.0]])
    assert luck_p(masks, moved, values, np.random.default_rng(1)) == plain
    assert luck_p(masks, returns, 3 * values + 8, np.random.default_rng(1)) == plain


def test_what_was_not_estimated_is_never_shuffled():
    generator = np.random.default_rng(3)
    masks = drawn_masks(2, 12, 5, generator)
    values = generator.normal(size=5)
    returns = masks @ values + generator.normal(size=(2, 12))
    with_unknown = np.insert(masks, 2, generator.random((2, 12)) < 0.5, axis=2)
    values_too = np.insert(values, 2, np.nan)
    assert luck_p(with_unknown, returns, values_too, np.random.default_rng(1)) == luck_p(
        masks, returns, values, np.random.default_rng(1)
    )
    assert p_by_hand(with_unknown, returns, values_too) == p_by_hand(masks, returns, values)


def ps(n_replications: int, *, true: bool, noise: float = 1.0) -> np.ndarray:
    """Return p, many times, for the true values or for values made up."""
    found = []
    for replication in range(n_replications):
        generator = np.random.default_rng([7, replication])
        masks = drawn_masks(3, 20, 8, generator)
        truth = generator.normal(size=8)
        values = truth if true else generator.normal(size=8)
        returns = masks @ truth + noise * generator.normal(size=(3, 20))
        found.append(luck_p(masks, returns, values, generator))
    return np.array(found)


def test_without_any_relation_p_is_uniform():
    """Also though the returns follow the masks: it is the ranking that is tested."""
    found = ps(200, true=False)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    for level in (0.05, 0.2):
        count = int((found <= level).sum())
        assert stats.binomtest(count, 200, level).pvalue > 0.01


def test_the_true_map_is_not_luck():
    assert (ps(20, true=True, noise=0.3) <= 0.001).mean() >= 0.9
    assert (ps(20, true=True) < 0.02).all()


def test_p_is_never_zero():
    """Of 12! orders none but the true one fits: it counts as one of the shuffles."""
    generator = np.random.default_rng(0)
    masks, truth = drawn_masks(3, 40, 12, generator), np.arange(12.0)
    assert luck_p(masks, masks @ truth, truth, generator) == 1 / 10_000


def test_shuffled_true_values_are_no_better_than_values_made_up():
    found = []
    for replication in range(200):
        generator = np.random.default_rng([8, replication])
        masks = drawn_masks(3, 20, 8, generator)
        truth = generator.normal(size=8)
        returns = masks @ truth + generator.normal(size=(3, 20))
        found.append(luck_p(masks, returns, generator.permutation(truth), generator))
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert stats.ks_2samp(found, ps(200, true=False)).pvalue > 0.01


@given(st.integers(0, 1000))
def test_the_opposite_of_the_true_map_is_the_worst(seed):
    generator = np.random.default_rng(seed)
    masks = drawn_masks(2, 30, 4, generator)
    truth = np.array([5.0, 1.0, -2.0, -4.0])
    p = luck_p(masks, masks @ truth, -truth, generator)
    assert p > 0.9


@pytest.mark.parametrize(
    ("values", "returns"),
    [
        ([1.0, 1.0, 1.0], [[1.0, 2.0, 3.0]]),
        ([1.0, 2.0, 3.0], [[2.0, 2.0, 2.0]]),
        ([1.0, np.nan, np.nan], [[1.0, 2.0, 3.0]]),
        ([np.nan, np.nan, np.nan], [[1.0, 2.0, 3.0]]),
    ],
)
def test_where_it_cannot_be_told(values, returns):
    masks = np.eye(3, dtype=bool)[None]
    generator = np.random.default_rng(0)
    assert luck_p(masks, np.array(returns), np.array(values), generator) is None


def test_a_group_of_equal_returns_says_nothing():
    generator = np.random.default_rng(4)
    masks = drawn_masks(1, 12, 5, generator)
    values = generator.normal(size=5)
    returns = masks @ values + generator.normal(size=(1, 12))
    with_group = np.concatenate([masks, drawn_masks(1, 12, 5, generator)])
    more = np.concatenate([returns, np.full((1, 12), 3.3)])
    p = luck_p(with_group, more, values, np.random.default_rng(0))
    assert 0 < p <= 1


def test_few_segments_are_shuffled_in_every_order_once():
    """Of 4! orders, the true one alone explains additive returns best."""
    generator = np.random.default_rng(5)
    masks = generator.random((3, 40, 4)) < 0.5
    values = np.array([4.0, 1.0, -2.0, 0.5])
    returns = masks @ values
    assert luck_p(masks, returns, values, generator) == 1 / 24
    assert luck_p(masks, returns, -values, generator) == pytest.approx(1.0, abs=1 / 24)
