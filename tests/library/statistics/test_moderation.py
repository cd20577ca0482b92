"""Moderated standard errors: limits that are known, and a reference of the fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import drawn
from scipy.special import polygamma

from r2rise.statistics.estimators.demonstrations import per_demonstration
from r2rise.statistics.estimators.difference import difference
from r2rise.statistics.estimators.moderation import MAX_PRIOR_BLOCKS, _inverse_trigamma, moderated
from r2rise.statistics.estimators.sample import Estimate

SHAPES = st.tuples(st.integers(2, 8), st.integers(1, 30), st.integers(0, 10**6))


def maps(n_blocks, d, seed, effect=3.0, scale=0.3):
    """Return block maps whose effects scale with the block."""
    generator = np.random.default_rng(seed)
    effects = effect * generator.normal(size=d)
    scales = 1 + scale * generator.normal(size=(n_blocks, 1))
    return scales * effects + generator.normal(size=(n_blocks, d))


@given(SHAPES, st.floats(1e-3, 1e3), st.randoms())
def test_unit_and_order_of_segments_do_not_matter(shape, unit, random):
    own = maps(*shape)
    order = random.sample(range(shape[1]), shape[1])
    found, other = moderated(own), moderated(unit * own[:, order])
    np.testing.assert_allclose(other.std_error, unit * found.std_error[order], rtol=1e-5)
    np.testing.assert_allclose(other.degrees_of_freedom, found.degrees_of_freedom[order], rtol=1e-4)


@given(SHAPES)
def test_degrees_of_freedom_lie_between_the_blocks_own_and_the_priors_limit(shape):
    own_degrees = shape[0] - 1
    degrees = moderated(maps(*shape)).degrees_of_freedom
    assert (degrees >= own_degrees * (1 - 1e-9)).all()
    assert (degrees <= (1 + MAX_PRIOR_BLOCKS) * own_degrees * (1 + 1e-9)).all()


@pytest.mark.parametrize("d", [1, 2])
def test_one_or_two_segments_have_their_own_t_tests(d):
    own = maps(4, d, 0)
    found = moderated(own)
    np.testing.assert_allclose(found.std_error, own.std(axis=0, ddof=1) / 2)
    assert found.degrees_of_freedom.tolist() == [3.0] * d


def test_equal_variances_are_pooled():
    """Without effects and with equal variances, the prior is the pooled variance."""
    deviations = np.random.default_rng(0).normal(size=4000)
    found = moderated(np.array([deviations, -deviations]))
    weight, own = MAX_PRIOR_BLOCKS / (1 + MAX_PRIOR_BLOCKS), 2 * deviations**2
    want = weight * own.mean() + (1 - weight) * own
    np.testing.assert_allclose(found.std_error**2 * 2, want)
    np.testing.assert_allclose(found.degrees_of_freedom, 1 + MAX_PRIOR_BLOCKS)


def test_large_effects_that_scale_with_the_block_rest_on_the_blocks():
    generator = np.random.default_rng(1)
    effects = np.where(np.arange(40) < 5, 50.0, 0.0)
    own = (1 + 0.3 * generator.normal(size=(4, 1))) * effects + generator.normal(size=(4, 40))
    found = moderated(own)
    assert (found.degrees_of_freedom[:5] < 3.2).all()
    assert (found.degrees_of_freedom[5:] > 10).all()
    assert found.std_error[:5].min() > 4 * found.std_error[5:].max()


def test_variances_that_follow_no_rule_are_not_made_small():
    """Half of 400 segments vary 30 times as much as the others, whatever their effect is."""
    spread = np.tile([0.1, 3.0], 200)
    own = np.random.default_rng(2).normal(size=(8, 400)) * spread
    relative = moderated(own).std_error * np.sqrt(8) / spread
    assert relative[spread == 3.0].mean() == pytest.approx(1.0, abs=0.15)
    assert relative[spread == 0.1].min() > 1.0


def test_no_variation_is_certain():
    found = moderated(np.tile(np.arange(5.0), (3, 1)))
    assert found.std_error.tolist() == [0.0] * 5


@given(st.floats(1e-3, 1e3))
def test_the_inverse_of_trigamma(value):
    assert polygamma(1, _inverse_trigamma(value)) == pytest.approx(value, rel=1e-6)


def test_a_demonstration_is_judged_by_the_sums_of_its_blocks():
    _, _, sample = drawn("foldover", d=12, n_blocks=4, n=32)
    found = difference(sample)
    sums = per_demonstration(found, np.array([0, 5, 6]))
    by_block = np.add.reduceat(found.block_maps, [0, 5, 6], axis=1)
    np.testing.assert_allclose(sums.importance, by_block.mean(axis=0))
    np.testing.assert_allclose(sums.std_error, moderated(by_block).std_error)


def test_a_demonstration_in_one_block_is_a_contrast_of_least_squares():
    masks, returns, sample = drawn("bernoulli", d=6, n_blocks=1, n=40)
    sums = per_demonstration(difference(sample), np.array([0, 2]))
    matrix = np.column_stack([np.ones(40), masks])
    coefficients, rss, _, _ = np.linalg.lstsq(matrix, returns, rcond=None)
    covariance = rss[0] / 33 * np.linalg.inv(matrix.T @ matrix)
    for number, contrast in enumerate([[0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1]]):
        assert sums.importance[number] == pytest.approx(contrast @ coefficients)
        assert sums.std_error[number] == pytest.approx(np.sqrt(contrast @ covariance @ contrast))
    assert sums.degrees_of_freedom.tolist() == [33.0, 33.0]


def test_a_demonstration_with_an_unknown_segment_is_unknown():
    values = np.array([[1.0, np.nan, 2.0, 3.0], [1.5, np.nan, 2.5, 3.0]])
    found = Estimate(
        values.mean(axis=0), np.ones(4), np.ones(4), "training_seeds", block_maps=values
    )
    sums = per_demonstration(found, np.array([0, 2]))
    assert np.isnan(sums.importance).tolist() == [True, False]
    assert np.isnan(sums.std_error).tolist() == [True, False]
    assert sums.importance[1] == 5.25
