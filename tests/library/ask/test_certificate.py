"""Certificates of learners whose returns are known to the last digit."""

import numpy as np
import pytest
import worth
from by_hand import area, check, p_by_hand
from scipy import stats
from ten_segments import DEMONSTRATIONS, SIZES, WORTH, D

import r2rise
from r2rise import ImportanceMap, Ledger
from r2rise.ask.certify import FAIL_SHARE, LUCK_LEVEL, _plan
from r2rise.data.segments import Segments
from r2rise.results.selection import Ranking

ARMS = ("top", "bottom", "random_as_top", "random_as_bottom")


@pytest.fixture(scope="module")
def true_map() -> ImportanceMap:
    """Of a learner without noise: its values are WORTH."""
    found = worth.explained(WORTH)
    np.testing.assert_allclose(found.importance, WORTH, atol=1e-9)
    return found


def by_hand(ledger: Ledger, n_levels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return returns (n, levels, arms) and masks of all certificate records, in order."""
    records = ledger.records("certify")
    returns = np.array([r.returns.mean() if r.status == "ok" else np.nan for r in records])
    n_segments = ledger.header.n_segments
    masks = np.array([record.mask(n_segments) for record in records])
    return returns.reshape(-1, n_levels, 4), masks.reshape(-1, n_levels, 4, n_segments)


def test_curves_and_areas_of_known_returns(true_map):
    found = r2rise.certify(DEMONSTRATIONS, true_map, repetitions=6)
    assert [level.n_segments for level in found.levels] == list(SIZES)
    assert [level.keep for level in found.levels] == [0.1, 0.3, 0.5, 0.7, 0.9]
    best = sorted(WORTH, reverse=True)
    # 6, 6 + 5 + 4, ...; and from the other end -3, -3 - 2 - 1, ...
    top, bottom = [6.0, 15.0, 20.5, 22.0, 19.0], [-3.0, -6.0, -4.5, 1.0, 10.0]
    assert top == [sum(best[:k]) for k in SIZES]
    assert bottom == [sum(best[D - k :]) for k in SIZES]
    for level, high, low in zip(found.levels, top, bottom, strict=True):
        for interval, value in ((level.top, high), (level.bottom, low)):
            assert interval.mean == pytest.approx(value)
            assert (interval.lower, interval.upper) == (pytest.approx(value),) * 2
            assert interval.n == 6
    # heights 9, 21, 25, 21, 9 over steps of 0.2: 0.2 * (4.5 + 21 + 25 + 21 + 4.5) / 0.8
    assert found.area_top_bottom.mean == pytest.approx(19.0)
    assert found.area_top_bottom.lower == pytest.approx(19.0)
    assert found.n_retrainings == 6 * 20
    assert found.n_failed == 0


def test_random_arms_and_intervals_follow_from_the_records(true_map, tmp_path):
    own = worth.learned(true_map, WORTH, noise=4.0)
    found = r2rise.certify(DEMONSTRATIONS, own, repetitions=8, ledger=tmp_path / "a.npz")
    returns, masks = by_hand(Ledger.load(tmp_path / "a.npz"))
    ranking = Ranking(own)
    for number, (level, k) in enumerate(zip(found.levels, SIZES, strict=True)):
        for arm, name in enumerate(ARMS):
            check(getattr(level, name), returns[:, number, arm])
        assert (masks[:, number, 0] == ranking.top(k)).all()
        assert (masks[:, number, 1] == ranking.bottom(k)).all()
        assert (masks[:, number].sum(axis=-1) == k).all()
    keep = [k / D for k in SIZES]
    heights = np.array([[area(arm, keep) for arm in repetition.T] for repetition in returns])
    top, bottom, as_top, as_bottom = heights.T
    check(found.area_top_random, top - as_top)
    check(found.area_random_bottom, as_bottom - bottom)
    check(found.area_top_bottom, top - bottom)
    assert len({masks[i, :, 2:].tobytes() for i in range(8)}) == 8  # drawn anew


def test_noise_of_the_training_seed_cancels(true_map):
    quiet = r2rise.certify(DEMONSTRATIONS, true_map, repetitions=4)
    noisy = r2rise.certify(
        DEMONSTRATIONS, worth.learned(true_map, WORTH, seed_noise=50.0), repetitions=4
    )
    assert noisy.area_top_bottom.mean == pytest.approx(quiet.area_top_bottom.mean)
    assert noisy.area_top_bottom.lower == pytest.approx(quiet.area_top_bottom.lower)
    assert noisy.area_top_random.mean == pytest.approx(quiet.area_top_random.mean)
    assert noisy.levels[0].top.upper - noisy.levels[0].top.lower > 50


def test_a_true_map_passes(true_map):
    found = r2rise.certify(DEMONSTRATIONS, true_map)
    assert found.outcome == "pass"
    assert found.luck_p <= LUCK_LEVEL
    assert found.area_top_random.is_above_zero
    assert found.area_random_bottom.is_above_zero
    assert found.in_words().startswith("Pass")
    assert found.baseline.gain == pytest.approx(sum(WORTH))
    assert (found.algorithm, found.map_algorithm) == ("worth:Worth", "worth:Worth")
    assert (found.map_revision, found.unit) == (64, "episode_return")
    assert found.map_study_hash == true_map.study_hash


def test_a_map_of_nothing_fails(true_map):
    """Every mask returns 20 and a little noise: all frames gain 20, the order nothing."""
    found = r2rise.certify(
        DEMONSTRATIONS, worth.learned(true_map, (0.0,) * D, base=20.0, noise=1.0)
    )
    assert found.outcome == "fail"
    assert found.area_top_bottom.upper < FAIL_SHARE * found.baseline.gain
    assert found.baseline.gain == pytest.approx(20, abs=2)
    assert found.in_words().startswith("Fail")
    constant = r2rise.certify(
        DEMONSTRATIONS, worth.learned(true_map, (0.0,) * D, base=20.0), repetitions=3
    )
    assert (constant.outcome, constant.luck_p) == ("fail", None)
    assert constant.area_top_bottom.upper == 0.0


def ends(values: np.ndarray) -> tuple[float, float]:
    width = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - width, values.mean() + width


@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_an_inverted_map_fails_and_is_worse_than_random(true_map, tmp_path, noise):
    inverted = worth.ranked(true_map, *(-true_map.importance))
    own = worth.learned(inverted, WORTH, noise=noise)
    found = r2rise.certify(DEMONSTRATIONS, own, ledger=tmp_path / "a.npz")
    assert found.area_top_bottom.upper < -10
    assert found.outcome == "fail"
    assert found.luck_p > 0.99
    returns, _ = by_hand(Ledger.load(tmp_path / "a.npz"))
    tops, randoms = returns[:, :, 0].T, returns[:, :, 2].T
    surely = [ends(top)[1] < ends(random)[0] for top, random in zip(tops, randoms, strict=True)]
    assert found.contradicting_levels == [
        k / D for k, worse in zip(SIZES, surely, strict=True) if worse
    ]
    lower = (tops.mean(axis=1) < randoms.mean(axis=1)).sum()
    assert lower == 5
    assert sum(surely) == 5 if noise == 0 else 0 < sum(surely) < 5


def test_too_much_noise_leaves_it_undecided(true_map):
    found = r2rise.certify(
        DEMONSTRATIONS, worth.learned(true_map, WORTH, noise=60.0), repetitions=4
    )
    assert found.outcome == "undecided"
    assert found.area_top_bottom.upper > FAIL_SHARE * found.baseline.gain
    assert found.in_words().startswith("Undecided")


def test_a_map_of_nothing_is_undecided_as_long_as_it_could_be_something(true_map):
    noise = worth.learned(true_map, (0.0,) * D, base=20.0, noise=60.0)
    found = r2rise.certify(DEMONSTRATIONS, noise, repetitions=4)
    limit = FAIL_SHARE * found.baseline.gain
    assert found.area_top_bottom.mean < limit < found.area_top_bottom.upper
    assert found.outcome == "undecided"


def test_without_a_baseline_nothing_fails(true_map):
    constant = worth.learned(true_map, (0.0,) * D, base=20.0)
    study = worth.changed(constant.study, budget={"retrainings": 64, "baseline_retrainings": 0})
    found = r2rise.certify(
        DEMONSTRATIONS, constant.model_copy(update={"study": study}), repetitions=3
    )
    assert found.baseline.all_frames is None
    assert found.outcome == "undecided"


def test_a_few_segments_are_too_few_to_rule_out_luck():
    """Of 3 segments one order in 6 is the true one."""
    values = (8.0, 1.0, -5.0)
    found = worth.explained(values, n_demos=3)
    certificate = r2rise.certify(worth.demonstrations(3, 3), found)
    assert [level.n_segments for level in certificate.levels] == [1, 2]
    assert certificate.area_top_random.is_above_zero
    assert certificate.area_random_bottom.is_above_zero
    assert certificate.luck_p == pytest.approx(1 / 6, abs=0.02)
    assert certificate.outcome == "undecided"
    # heights 13, 13
    assert certificate.area_top_bottom.mean == pytest.approx(13.0)


def test_two_segments_have_one_level():
    found = worth.explained((8.0, -5.0))
    certificate = r2rise.certify(worth.demonstrations(2), found, repetitions=5)
    assert [level.n_segments for level in certificate.levels] == [1]
    assert certificate.levels[0].keep == 0.5
    assert certificate.area_top_bottom.mean == pytest.approx(13.0)


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(2, (1,)), (3, (1, 2)), (5, (1, 2, 4)), (10, SIZES), (100, (10, 30, 50, 70, 90))],
)
def test_how_many_segments_are_kept(true_map, n, sizes):
    segments = Segments.of(np.array([n * 10]), true_map.study.masking)
    assert _plan(worth.ranked(true_map, *range(n)), segments).sizes == sizes
    unknown = worth.ranked(true_map, *range(n), np.nan, np.nan)
    assert _plan(unknown, segments).sizes == sizes


def test_what_was_not_estimated_is_in_no_arm(true_map, tmp_path):
    values = true_map.importance.copy()
    values[[2, 7]] = np.nan
    found = r2rise.certify(
        DEMONSTRATIONS, worth.ranked(true_map, *values), repetitions=3, ledger=tmp_path / "a.npz"
    )
    _, masks = by_hand(Ledger.load(tmp_path / "a.npz"))
    assert not masks[..., [2, 7]].any()
    assert [level.n_segments for level in found.levels] == [1, 2, 4, 6, 7]
    assert found.levels[-1].keep == 7 / 8


@pytest.mark.parametrize("estimator", ["rise", "rise_normalized"])
def test_a_map_that_knows_the_order_only_is_certified(estimator):
    study = worth.changed(worth.study(WORTH), estimator=estimator)
    found = r2rise.explain(DEMONSTRATIONS, study)
    assert found.estimator.sign == "order_only"
    # in whole fold-over blocks every segment is kept equally often: the order is the true one
    assert np.argsort(found.importance).tolist() == np.argsort(WORTH).tolist()
    certificate = r2rise.certify(DEMONSTRATIONS, found)
    assert certificate.outcome == "pass"
    assert certificate.area_top_bottom.mean == pytest.approx(19.0)


@pytest.mark.parametrize("refuses", [0, 7])
def test_luck_is_that_of_the_random_arms(tmp_path, refuses):
    """Those of complete repetitions."""
    values = (4.0, 1.0, -2.0, 0.5)
    own = worth.learned(worth.explained(values), values, noise=6.0, refuses=refuses)
    certificate = r2rise.certify(
        worth.demonstrations(4), own, repetitions=8, ledger=tmp_path / "a.npz"
    )
    assert (certificate.n_failed > 0) == bool(refuses)
    n_levels = len(certificate.levels)
    returns, masks = by_hand(Ledger.load(tmp_path / "a.npz"), n_levels)
    complete = np.isfinite(returns).all(axis=(1, 2))
    groups = [masks[complete, level, 2:].reshape(-1, 4) for level in range(n_levels)]
    scores = [returns[complete, level, 2:].ravel() for level in range(n_levels)]
    want = p_by_hand(np.array(groups), np.array(scores), own.importance)
    assert certificate.luck_p == pytest.approx(want, abs=0.02)
    assert 0.05 < want < 0.95


def test_an_upside_down_map_is_told_as_such(true_map):
    wrong = true_map.model_copy(update={"importance": -true_map.importance})
    found = r2rise.certify(worth.demonstrations(D), wrong, repetitions=4)
    assert found.outcome == "fail"
    assert "upside down" in found.in_words()
