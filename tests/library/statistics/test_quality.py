import numpy as np
import pytest
from samples import drawn, sample_of
from scipy.stats import spearmanr

from r2rise.design.tasks import pack_mask
from r2rise.ledger.record import Record
from r2rise.statistics.equal_importance import equal_importance_p
from r2rise.statistics.estimators import Estimate, estimate
from r2rise.statistics.failures import failures_follow_frames_kept
from r2rise.statistics.power import Power
from r2rise.statistics.reliability import reliability


def estimated(importance, **fields) -> Estimate:
    ones = np.ones(len(importance))
    return Estimate(importance, ones, ones, **fields)


@pytest.mark.parametrize("n_blocks", [2, 5])
@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_reliability_is_the_correlation_of_two_studies(n_blocks, noise):
    """Of normal effects and errors it is 6 / pi * asin(rho / 2), rho the share of the effects."""
    generator = np.random.default_rng(0)
    effects = generator.normal(size=1500)
    maps = effects + noise * generator.normal(size=(n_blocks, 1500))
    found = reliability(estimated(maps.mean(axis=0), block_maps=maps))
    rho = 1 / (1 + noise**2 / n_blocks)
    assert found.value == pytest.approx(6 / np.pi * np.arcsin(rho / 2), abs=0.05)
    assert found.method == "blocks"


def test_segments_without_effect_do_not_come_back_however_clear_the_others_are():
    generator = np.random.default_rng(0)
    effects = np.where(np.arange(300) < 100, 50.0, 0.0)
    maps, again = (effects + generator.normal(size=(2, 4, 300))).copy()
    found = reliability(estimated(maps.mean(axis=0), block_maps=maps)).value
    between = spearmanr(maps.mean(axis=0), again.mean(axis=0)).statistic
    assert found == pytest.approx(between, abs=0.08)
    assert between < 0.8


def test_blocks_that_differ_in_scale_alone_rank_alike():
    generator = np.random.default_rng(0)
    scales = np.array([[0.3], [1.0], [1.7]])
    maps = scales * generator.normal(size=50) + 0.05 * generator.normal(size=(3, 50))
    assert reliability(estimated(maps.mean(axis=0), block_maps=maps)).value > 0.97


def test_reliability_of_shrunk_blocks_is_the_spearman_brown_formula():
    maps = np.random.default_rng(0).normal(size=(3, 20)) + np.arange(20) / 5
    r = np.mean([spearmanr(maps[i], maps[j]).statistic for i, j in [(0, 1), (0, 2), (1, 2)]])
    found = reliability(estimated(maps.mean(axis=0), block_maps=maps, shrunk=True))
    assert found.value == pytest.approx(3 * r / (1 + 2 * r))
    assert found.method == "blocks"


def test_reliability_of_unrelated_blocks_is_not_negative():
    maps = np.array([np.arange(10), -np.arange(10)], float)
    assert reliability(estimated(maps.mean(axis=0), block_maps=maps)).value == 0.0


def test_a_block_without_variation_ranks_nothing_and_is_left_out():
    maps = np.random.default_rng(0).normal(size=(3, 20)) + np.arange(20) / 5
    alone = reliability(estimated(maps.mean(axis=0), block_maps=maps)).value
    more = np.vstack([maps[:1], np.zeros((2, 20)), maps[1:]])
    assert reliability(estimated(more.mean(axis=0), block_maps=more)).value == alone
    flat = np.vstack([maps[:1], np.zeros((2, 20))])
    assert reliability(estimated(flat.mean(axis=0), block_maps=flat)).value is None


def test_reliability_of_one_block_follows_from_the_noise():
    importance = np.arange(10.0)
    found = reliability(estimated(importance, rank_noise=2.0))
    assert found.value == pytest.approx(1 - 2.0 / importance.var(ddof=1))
    assert found.method == "model"
    shrunk = reliability(estimated(importance, rank_noise=2.0, shrunk=True))
    variance = importance.var(ddof=1)
    assert shrunk.value == pytest.approx(variance / (variance + 2.0))
    assert reliability(estimated(importance, rank_noise=1e9)).value == 0.0


def test_reliability_of_two_segments_cannot_be_told():
    assert reliability(estimated(np.arange(2.0), rank_noise=1.0)).value is None


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_different_importance_is_found_and_equal_large_importance_is_not(n_blocks):
    masks, _, sample = drawn("foldover", d=20, n_blocks=n_blocks, n=64)
    noise = np.random.default_rng(5).normal(size=len(masks))
    decisive = 3 * masks[:, 4] + noise
    assert equal_importance_p(sample_of(masks, decisive, sample.block), 0) == 0.001
    equal = 50 * masks.sum(axis=1) + noise
    assert equal_importance_p(sample_of(masks, equal, sample.block), 0) > 0.05


def test_equal_importance_is_per_frame():
    masks, _, sample = drawn("balanced", d=20, n_blocks=3, n=64)
    frames = np.where(np.arange(20) % 2, 10, 3)
    returns = masks @ frames + 0.5 * np.random.default_rng(1).normal(size=len(masks))
    assert equal_importance_p(sample_of(masks, returns, sample.block, frames), 0) > 0.05


def test_the_p_value_follows_from_the_seed():
    _, _, sample = drawn(d=6, n_blocks=3)
    assert equal_importance_p(sample, 1) == equal_importance_p(sample, 1)


def test_equal_importance_cannot_be_told_without_variation():
    masks, _, _ = drawn()
    assert equal_importance_p(sample_of(masks, np.ones(len(masks))), 0) is None


def records(failed, kept, d=40):
    return [
        Record("design", i, pack_mask(np.arange(d) < k), 0, 0, 0, np.ones(1),
               "failed" if bad else "ok", "ValueError" if bad else "")
        for i, (bad, k) in enumerate(zip(failed, kept, strict=True))
    ]  # fmt: skip


def test_failures_that_go_with_the_number_of_frames_kept_are_noticed():
    kept = np.arange(40)
    frames = np.full(40, 10)
    assert failures_follow_frames_kept(records(kept < 8, kept), frames)
    assert not failures_follow_frames_kept(records(kept % 5 == 0, kept), frames)
    assert not failures_follow_frames_kept(records(kept < 0, kept), frames)


def test_power_rule():
    power = Power(384, 50)
    assert power.ratio(0.15) == pytest.approx(np.sqrt(0.15 * 384 / (50 * 0.85)))
    assert power.can_rank
    assert not Power(700, 2000).can_rank
    assert Power(700, 2000).retrainings_to_rank(0.15) == 11334
    assert "64 if masking explains 40%" in power.describe()


@pytest.mark.parametrize("rho", [0.05, 0.15, 0.4])
def test_power_rule_agrees_with_simulated_studies(rho):
    """rms(importance) / SE of estimated maps is what the rule predicts."""
    d, n = 30, 64
    masks, _, sample = drawn("foldover", d=d, n_blocks=6, n=n)
    generator = np.random.default_rng(2)
    ratios = []
    for _ in range(200):
        effects = generator.normal(size=d)
        effects *= np.sqrt(d / (effects**2).sum())
        noise = np.sqrt(d / 4 * (1 - rho) / rho)
        returns = masks @ effects + noise * generator.normal(size=len(masks))
        found = estimate("difference", sample_of(masks, returns, sample.block))
        ratios.append(1 / found.std_error[0])
    assert np.mean(ratios) == pytest.approx(Power(6 * n, d).ratio(rho), rel=0.05)
