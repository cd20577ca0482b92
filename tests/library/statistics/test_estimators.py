"""Estimators against closed forms and plain least squares."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import drawn, sample_of
from scipy.stats import t as student

from r2rise.design.masks import foldover_block_size
from r2rise.errors import NotReady
from r2rise.statistics.estimators import estimate
from r2rise.statistics.estimators.moderation import moderated
from r2rise.statistics.estimators.sample import rank_noise


@given(st.integers(1, 20), st.integers(1, 3), st.integers(0, 99), st.floats(-1e3, 1e3))
def test_difference_of_complete_foldover_blocks_is_the_difference_of_means(d, b, seed, mean):
    n = foldover_block_size(d)
    masks, returns, _ = drawn("foldover", d=d, n_blocks=b, n=n, seed=seed)
    ok = masks.any(axis=1)
    if not ok.all():
        return  # a mask that keeps nothing fails: the block is no longer complete
    sample = sample_of(masks, returns + mean, np.repeat(np.arange(b), n))
    found = estimate("difference", sample)
    want = [(returns[masks[:, j]].mean() - returns[~masks[:, j]].mean()) for j in range(d)]
    np.testing.assert_allclose(found.importance, want, atol=1e-8)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("design", ["balanced", "bernoulli"])
def test_difference_is_the_mean_of_each_blocks_least_squares(design, p):
    masks, returns, sample = drawn(design, p)
    effects = []
    for rows in (slice(0, 32), slice(32, 64)):
        matrix = np.column_stack([np.ones(32), masks[rows]])
        effects.append(np.linalg.lstsq(matrix, returns[rows], rcond=None)[0][1:])
    found = estimate("difference", sample)
    np.testing.assert_allclose(found.importance, np.mean(effects, axis=0), atol=1e-9)
    np.testing.assert_allclose(found.block_maps, effects, atol=1e-9)
    errors = moderated(np.array(effects))
    np.testing.assert_allclose(found.std_error, errors.std_error)
    np.testing.assert_allclose(found.degrees_of_freedom, errors.degrees_of_freedom)
    assert found.covers == "training_seeds"


def test_standard_errors_of_one_block_are_those_of_least_squares():
    masks, returns, sample = drawn(n_blocks=1)
    matrix = np.column_stack([np.ones(32), masks])
    coefficients, rss, _, _ = np.linalg.lstsq(matrix, returns, rcond=None)
    covariance = rss[0] / (32 - 7) * np.linalg.inv(matrix.T @ matrix)[1:, 1:]
    found = estimate("difference", sample)
    np.testing.assert_allclose(found.importance, coefficients[1:])
    np.testing.assert_allclose(found.std_error, np.sqrt(np.diag(covariance)))
    np.testing.assert_allclose(found.rank_noise, rank_noise(covariance))
    assert found.degrees_of_freedom.tolist() == [25] * 6
    assert found.covers == "masks"
    own_seeds = replace(sample, seeds="mask")
    assert estimate("difference", own_seeds).covers == "training_seeds"


def test_standard_errors_of_one_complete_foldover_block_are_4_s2_over_n():
    masks, returns, sample = drawn("foldover", d=10, n_blocks=1)
    matrix = np.column_stack([np.ones(32), masks])
    rss = np.linalg.lstsq(matrix, returns, rcond=None)[1][0]
    want = np.sqrt(4 * rss / (32 - 1 - 10) / 32)
    np.testing.assert_allclose(estimate("difference", sample).std_error, want)


def test_a_block_that_is_not_of_full_rank_waits():
    masks, returns, _ = drawn("foldover", d=10, n_blocks=2)
    part = sample_of(masks[:40], returns[:40], np.repeat([0, 1], 32)[:40])
    found = estimate("difference", part)
    assert found.n_waiting == 8
    whole = estimate("difference", sample_of(masks[:32], returns[:32]))
    np.testing.assert_allclose(found.importance, whole.importance)
    with pytest.raises(NotReady, match="at least 12 successful masks"):
        estimate("difference", sample_of(masks[:8], returns[:8]))


def ridge_by_hand(masks, returns, block, frames, penalty):
    """Solve the penalised problem as one augmented least-squares problem."""
    d = masks.shape[1]
    dummies = (block[:, None] == np.unique(block)).astype(float)
    matrix = np.column_stack([dummies, masks @ frames, masks.astype(float)])
    rows = np.column_stack([np.zeros((d, dummies.shape[1] + 1)), np.sqrt(penalty) * np.eye(d)])
    solution = np.linalg.lstsq(
        np.vstack([matrix, rows]), np.concatenate([returns, np.zeros(d)]), rcond=None
    )[0]
    c, beta = solution[dummies.shape[1]], solution[dummies.shape[1] + 1 :]
    return beta + c * frames


@pytest.mark.parametrize("frames", [None, [10, 10, 10, 10, 10, 3]])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_ridge_solves_its_penalised_problem(p, frames, monkeypatch):
    module = import_module("r2rise.statistics.estimators.ridge")
    monkeypatch.setattr(module, "_fit_penalty", lambda *_: (2.5, 1.0))
    masks, returns, sample = drawn("balanced", p, frames=frames)
    scaled = sample.n_frames / sample.n_frames.mean()
    want = ridge_by_hand(masks, returns, sample.block, scaled, 2.5)
    np.testing.assert_allclose(estimate("ridge", sample).importance, want, atol=1e-8)


def test_ridge_maximises_the_restricted_likelihood():
    from scipy.stats import multivariate_normal

    masks, returns, sample = drawn("bernoulli", 0.5, d=5, n_blocks=2, n=16)
    module = import_module("r2rise.statistics.estimators.ridge")
    problem = module._problem(sample, sample.varies)
    xx, xy, yy = problem.without_frames_kept()
    values, vectors = np.linalg.eigh(xx)
    penalty, noise = module._fit_penalty(np.maximum(values, 0), vectors.T @ xy, yy, problem.n_free)

    fixed = np.column_stack([sample.block[:, None] == [0, 1], masks.sum(axis=1)]).astype(float)
    basis = np.linalg.svd(fixed)[0][:, 3:]  # contrasts that the fixed effects do not touch

    def log_likelihood(penalty, noise):
        features = basis.T @ masks
        covariance = noise * (np.eye(len(features)) + features @ features.T / penalty)
        return multivariate_normal(cov=covariance).logpdf(basis.T @ returns)

    best = log_likelihood(penalty, noise)
    for p, s in [(1.1, 1), (0.9, 1), (1, 1.05), (1, 0.95)]:
        assert log_likelihood(penalty * p, noise * s) < best


def test_rise_and_its_normalised_form_equal_their_closed_forms():
    masks, returns, _ = drawn("bernoulli", 0.3, n_blocks=1, n=40)
    sample = sample_of(masks, returns)
    weighted = masks * returns[:, None]
    plain = estimate("rise", sample)
    np.testing.assert_allclose(plain.importance, weighted.sum(axis=0))
    np.testing.assert_allclose(plain.std_error, np.sqrt(40) * weighted.std(axis=0, ddof=1))
    normalised = estimate("rise_normalized", sample)
    kept = [returns[masks[:, j]] for j in range(6)]
    np.testing.assert_allclose(normalised.importance, [own.mean() for own in kept])
    np.testing.assert_allclose(
        normalised.std_error, [own.std(ddof=1) / np.sqrt(len(own)) for own in kept]
    )


@pytest.mark.parametrize("name", ["difference", "ridge", "rise", "rise_normalized"])
def test_a_segment_never_kept_or_never_masked_is_nan(name):
    masks, returns, _ = drawn(n_blocks=1, n=40)
    masks[:, 1], masks[:, 4] = False, True
    sample = sample_of(masks, returns)
    found = estimate(name, sample)
    assert np.isnan(found.importance).tolist() == [False, True, False, False, True, False]
    unknown = [name == "ridge" or j in (1, 4) for j in range(6)]  # ridge has no standard errors
    assert np.isnan(found.std_error).tolist() == unknown
    assert sample.n_kept[[1, 4]].tolist() == [0, 40]


@pytest.mark.parametrize("name", ["difference", "ridge"])
@pytest.mark.parametrize("shift", [1000.0, -1000.0])
def test_a_constant_added_to_the_reward_changes_nothing(name, shift):
    masks, returns, sample = drawn("balanced", 0.2)
    moved = sample_of(masks, returns + shift, sample.block)
    one, other = estimate(name, sample), estimate(name, moved)
    np.testing.assert_allclose(one.importance, other.importance, atol=1e-6)
    np.testing.assert_allclose(one.std_error, other.std_error, atol=1e-6)


def test_chunks_change_nothing(monkeypatch):
    _, _, sample = drawn(n=64)
    whole = estimate("ridge", sample)
    monkeypatch.setattr("r2rise.statistics.estimators.sample._CHUNK_SIZE", 7)
    np.testing.assert_allclose(estimate("ridge", sample).importance, whole.importance)


@pytest.mark.parametrize("name", ["difference", "ridge", "rise", "rise_normalized"])
def test_too_few_retrainings(name):
    with pytest.raises(NotReady):
        estimate(name, sample_of(np.ones((1, 3)), [1.0]))


def test_ridge_needs_different_numbers_of_frames_kept():
    masks = np.array([[1, 0], [0, 1]] * 8, bool)
    with pytest.raises(NotReady, match="different numbers of frames kept"):
        estimate("ridge", sample_of(masks, np.arange(16)))


def test_ridge_gives_no_intervals():
    _, _, sample = drawn("balanced", 0.2)
    found = estimate("ridge", sample)
    assert found.covers is None
    assert np.isnan(found.std_error).all()


@pytest.mark.parametrize("frames", [None, [10, 10, 10, 10, 10, 3]])
def test_a_block_map_of_ridge_is_of_its_block_alone(frames, monkeypatch):
    module = import_module("r2rise.statistics.estimators.ridge")
    monkeypatch.setattr(module, "_fit_penalty", lambda *_: (2.5, 1.0))
    masks, returns, sample = drawn("balanced", 0.7, frames=frames)
    scaled = sample.n_frames / sample.n_frames.mean()
    returns = returns + 50 * masks @ scaled
    sample = sample_of(masks, returns, sample.block, sample.n_frames)
    for block, rows in enumerate(sample.blocks):
        want = ridge_by_hand(masks[rows], returns[rows], sample.block[rows], scaled, 2.5)
        np.testing.assert_allclose(estimate("ridge", sample).block_maps[block], want, atol=1e-8)


def test_block_maps_of_ridge_have_a_level_only_where_it_differs_from_0(monkeypatch):
    """By the t test of generalised least squares with the effects as random ones."""
    penalty, noise = 2.5, 1.0
    module = import_module("r2rise.statistics.estimators.ridge")
    monkeypatch.setattr(module, "_fit_penalty", lambda *_: (penalty, noise))
    n_frames = np.array([10, 10, 10, 10, 10, 3])
    masks, drawn_returns, sample = drawn("balanced", 0.7, frames=n_frames)
    scaled, first = n_frames / n_frames.mean(), sample.blocks[0]
    centred = np.concatenate([masks[rows] - masks[rows].mean(axis=0) for rows in sample.blocks])
    kept = centred @ scaled
    weighted = np.linalg.solve(np.eye(len(masks)) + centred @ centred.T / penalty, kept)
    least = student.ppf(0.975, len(masks) - len(sample.blocks) - 1)
    with_level = []
    for worth in np.linspace(-8, 8, 33):
        returns = drawn_returns + worth * masks @ scaled
        found = estimate("ridge", sample_of(masks, returns, sample.block, n_frames)).block_maps[0]
        full = ridge_by_hand(masks[first], returns[first], sample.block[first], scaled, penalty)
        with_level.append(np.allclose(found, full, atol=1e-8))
        level = (full - found) / scaled
        np.testing.assert_allclose(level, level[0], atol=1e-8)
        t = weighted @ returns / np.sqrt(noise * (weighted @ kept))
        assert with_level[-1] == (abs(t) > least)
    assert 0 < sum(with_level) < len(with_level)


def paired(d=6, n=64, seed=0, noise=1.0):
    """Return a fold-over block whose pairs differ in their level, as in their training seed."""
    masks, _, _ = drawn("foldover", d=d, n_blocks=1, n=n, seed=seed)
    generator = np.random.default_rng(seed)
    pair = np.repeat(np.arange(n // 2), 2)
    returns = masks @ np.arange(d) + 100 * generator.normal(size=n // 2)[pair]
    returns += noise * generator.normal(size=n)
    return replace(sample_of(masks, returns), seeds="pair", pair=pair), masks, returns


def test_a_training_seed_for_each_pair_is_a_mean_for_each_pair():
    sample, masks, returns = paired()
    missing = np.arange(64) != 5
    few = replace(sample_of(masks[missing], returns[missing]), seeds="pair")
    few = replace(few, pair=sample.pair[missing])
    for own, x, y in [(sample, masks, returns), (few, masks[missing], returns[missing])]:
        dummies = (own.pair[:, None] == np.unique(own.pair)).astype(float)
        matrix = np.column_stack([dummies, x])
        coefficients = np.linalg.lstsq(matrix, y, rcond=None)[0]
        residuals = y - matrix @ coefficients
        degrees = len(y) - matrix.shape[1]
        covariance = residuals @ residuals / degrees * np.linalg.inv(matrix.T @ matrix)
        found = estimate("difference", own)
        np.testing.assert_allclose(found.importance, coefficients[-6:], atol=1e-8)
        np.testing.assert_allclose(found.std_error, np.sqrt(np.diag(covariance))[-6:])
        assert found.degrees_of_freedom.tolist() == [degrees] * 6
        assert found.covers == "training_seeds"


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, 9.35, -1 / 3, 1e6 + 0.1])
@pytest.mark.parametrize("name", ["difference", "ridge"])
def test_equal_returns_are_no_effects(name, constant):
    masks, _, sample = drawn("foldover", d=10, n_blocks=3, n=32)
    found = estimate(name, sample_of(masks, np.full(96, constant), sample.block))
    assert found.importance.tolist() == [0.0] * 10
    assert name == "ridge" or found.std_error.tolist() == [0.0] * 10


def test_effects_of_rounding_beside_real_ones_are_none():
    masks, _, sample = drawn("foldover", d=10, n_blocks=3, n=32)
    found = estimate("difference", sample_of(masks, 0.1 + 0.3 * masks[:, 2], sample.block))
    np.testing.assert_allclose(found.importance[2], 0.3)
    assert np.delete(found.importance, 2).tolist() == [0.0] * 9
