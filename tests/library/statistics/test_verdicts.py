"""Verdicts against textbook tests, worked by hand or with other formulas."""

import math
from fractions import Fraction

import numpy as np
import pytest
import worth
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

import r2rise
from r2rise.statistics.estimators import Estimate
from r2rise.statistics.significance import discoveries, quantile, survival
from r2rise.statistics.summaries import AllFrames, Baseline, RandomPolicy
from r2rise.statistics.verdicts import judge

EFFECTS = st.floats(-20, 20, allow_nan=False)
ERRORS = st.floats(0.01, 10)
DEGREES = st.one_of(st.integers(1, 200).map(float), st.just(math.inf))
LEVELS = st.sampled_from([0.01, 0.05, 0.2])


def found(importance, std_error=1.0, degrees=math.inf, covers="training_seeds") -> Estimate:
    importance = np.array(importance, dtype=float)
    errors, degrees = (
        np.broadcast_to(np.array(value, dtype=float), importance.shape)
        for value in (std_error, degrees)
    )
    return Estimate(importance, errors, degrees, covers)


def study(estimator="difference", block_size=32, **rule) -> r2rise.Study:
    masking = {"design": "balanced", "block_size": block_size}
    return r2rise.Study(environment="x", estimator=estimator, masking=masking, verdicts=rule)


def gaining(gain: float) -> Baseline:
    """Baselines whose difference is `gain`."""
    return Baseline(
        all_frames=AllFrames(mean=gain + 7, std_error=None, n_retrainings=1, n_episodes=1),
        random_policy=RandomPolicy(mean=7, std_error=None, n_episodes=1),
    )


def verdicts_of(estimate, against=None, n=100, **rule):
    return judge(study(**rule), estimate, against or Baseline(), n)


def two_sided_p(t: float, degrees: float) -> float:
    """P(|T| > |t|): an incomplete beta function for Student's t, erfc for the normal."""
    if math.isinf(degrees):
        return math.erfc(abs(t) / math.sqrt(2))
    return float(special.betainc(degrees / 2, 0.5, degrees / (degrees + t * t)))


@given(st.floats(0.01, 30), DEGREES)
def test_tail_probabilities(t, degrees):
    upper = survival(np.array([t]), degrees)[0]
    assert 2 * upper == pytest.approx(two_sided_p(t, degrees), rel=1e-6, abs=1e-300)


def test_quantiles_are_those_of_the_tables():
    assert quantile(0.975) == pytest.approx(1.959964, abs=1e-6)
    assert quantile(0.975, 4) == pytest.approx(2.776445, abs=1e-6)
    assert quantile(0.95, 10) == pytest.approx(1.812461, abs=1e-6)


@given(EFFECTS, ERRORS, DEGREES, LEVELS)
def test_one_segment_is_judged_by_its_t_test(importance, std_error, degrees, level):
    p = two_sided_p(importance / std_error, degrees)
    assume(abs(p - level) > 1e-9)
    (verdict,) = verdicts_of(found([importance], std_error, degrees), level=level).verdict
    sign = "helps" if importance > 0 else "hurts"
    assert verdict == (sign if p < level else "unresolved")


def test_benjamini_and_hochbergs_own_example():
    """The 15 p-values of their paper (1995, section 3.2): four are rejected, Bonferroni three."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240,
         0.4262, 0.5719, 0.6528, 0.7590, 1.0000]  # fmt: skip
    order = np.random.default_rng(0).permutation(15)
    assert discoveries(np.array(p)[order], 0.05).tolist() == (order < 4).tolist()


def test_a_large_p_is_carried_by_smaller_ones():
    # 0.04 <= 2/2 * 0.05 carries 0.03 > 1/2 * 0.05 with it
    assert discoveries(np.array([0.04, 0.03]), 0.05).tolist() == [True, True]
    assert discoveries(np.array([0.06, 0.03]), 0.05).tolist() == [False, False]
    assert discoveries(np.zeros(0), 0.05).tolist() == []


@given(st.lists(st.integers(0, 999), min_size=1, max_size=12), LEVELS)
def test_discoveries_follow_the_definition(thousandths, level):
    """Reject the k smallest, k the largest with p_(k) <= k / m * level, in exact fractions."""
    exact, m = sorted(Fraction(n, 1000) for n in thousandths), len(thousandths)
    limit = Fraction(level).limit_denominator(1000)
    assume(all(p * m != limit * k for k, p in enumerate(exact, start=1)))
    k = max((k for k, p in enumerate(exact, start=1) if p * m <= limit * k), default=0)
    rejected = discoveries(np.array(thousandths) / 1000, level)
    assert rejected.tolist() == [k > 0 and Fraction(n, 1000) <= exact[k - 1] for n in thousandths]


def test_several_segments_are_judged_together():
    # two-sided p 0.0027, 0.0278, 0.0357, 0.3173; BH limits 0.0125, 0.025, 0.0375, 0.05
    judged = verdicts_of(found([3.0, -2.2, 2.1, 1.0]))
    assert judged.verdict == ("helps", "hurts", "helps", "unresolved")
    # without the third, 0.0278 > 2/3 * 0.05 no longer holds it
    assert verdicts_of(found([2.2, -1.0, 1.0])).verdict == ("unresolved",) * 3
    assert judged.n_unresolved == judged.count("unresolved") == 1


@given(EFFECTS, ERRORS, DEGREES, LEVELS, st.floats(1, 1000))
def test_one_segment_is_negligible_by_two_one_sided_tests(value, std_error, degrees, level, gain):
    margin = 0.02 * gain
    # each one-sided null hypothesis is an effect at an end of the margin
    p = max(
        float(stats.t.sf((value + margin) / std_error, degrees)),
        float(stats.t.cdf((value - margin) / std_error, degrees)),
    )
    assume(abs(p - level) > 1e-9)
    judged = verdicts_of(found([value], std_error, degrees), gaining(gain), level=level)
    assert judged.margin == pytest.approx(margin)
    assert (judged.verdict == ("negligible",)) == (p < level)


@given(st.lists(EFFECTS, min_size=1, max_size=10), ERRORS, st.floats(1, 1000))
def test_only_effects_inside_the_margin_are_negligible(importance, std_error, gain):
    judged = verdicts_of(found(importance, std_error), gaining(gain))
    for value, verdict in zip(importance, judged.verdict, strict=True):
        assert verdict != "negligible" or abs(value) < 0.02 * gain


def test_a_small_effect_is_negligible_although_its_sign_is_known():
    judged = verdicts_of(found([1.0, -1.0, 5.0], 0.1), gaining(100))
    assert judged.margin == 2.0
    assert judged.verdict == ("negligible", "negligible", "helps")
    wider = verdicts_of(found([1.0, -1.0, 5.0], 0.1), gaining(100), margin=0.2)
    assert wider.verdict == ("negligible",) * 3


ONE_MISSING = [
    gaining(100).model_copy(update={name: None}) for name in ("random_policy", "all_frames")
]


@pytest.mark.parametrize("against", [Baseline(), *ONE_MISSING])
def test_without_a_gain_there_is_no_margin(against):
    judged = verdicts_of(found([0.0, 9.0, -9.0]), against)
    assert judged.margin is None
    assert judged.verdict == ("unresolved", "helps", "hurts")


@pytest.mark.parametrize("gain", [0, -5])
def test_a_policy_that_gains_nothing_has_no_verdicts(gain):
    assert verdicts_of(found([0.0, 9.0, -9.0]), gaining(gain)) is None


def test_one_shared_seed_resolves_nothing():
    one_seed = verdicts_of(found([50.0, -50.0, 0.0], 0.001, covers="masks"), gaining(100))
    assert (one_seed.verdict, one_seed.covers) == (("unresolved",) * 3, "masks")
    several = verdicts_of(found([50.0, -50.0, 0.0], 0.001), gaining(100))
    assert several.verdict == ("helps", "hurts", "negligible")
    assert several.covers == "training_seeds"


def test_another_seed_takes_a_block_more_at_least():
    certain = found([50.0, -50.0, 0.1], 0.001, covers="masks")
    judged = verdicts_of(certain, gaining(100), n=32)
    assert (judged.more_for_half, judged.more_for_all) == (32, 32)
    # and more where the effects say so: 2.8415 * 32 = 90.9
    judged = verdicts_of(found([50.0, -50.0, 1.0], 1.0, covers="masks"), n=32)
    assert (judged.more_for_half, judged.more_for_all) == (32, 91)


def test_what_was_not_estimated_has_no_verdict_and_counts_for_nothing():
    known = verdicts_of(found([3.0, -2.2, 2.1, 1.0]), gaining(10))
    judged = verdicts_of(
        found([np.nan, 3.0, -2.2, np.nan, 2.1, 1.0, 5.0], [1, 1, 1, 1, 1, 1, np.nan]), gaining(10)
    )
    want = (None, *known.verdict[:2], None, *known.verdict[2:], None)
    assert judged.verdict == want
    assert np.isnan(judged.lower).tolist() == [verdict is None for verdict in want]
    np.testing.assert_array_equal(judged.upper[[1, 2, 4, 5]], known.upper)
    assert (judged.more_for_half, judged.more_for_all) == (known.more_for_half, known.more_for_all)


@given(st.lists(EFFECTS, min_size=1, max_size=30), ERRORS, DEGREES, LEVELS)
def test_intervals_of_single_segments(importance, std_error, degrees, level):
    judged = verdicts_of(found(importance, std_error, degrees), level=level)
    want = stats.t.interval(1 - level, degrees, loc=importance, scale=std_error)
    np.testing.assert_allclose([judged.lower, judged.upper], want, rtol=1e-9, atol=1e-9)
    assert (judged.confidence, judged.simultaneous, judged.level) == (1 - level, False, level)


@given(st.integers(1, 30), ERRORS, DEGREES, LEVELS)
def test_intervals_of_all_segments_at_once_are_sidaks(n, std_error, degrees, level):
    estimate = found(np.arange(n), std_error, degrees)
    single = verdicts_of(estimate, level=level)
    judged = verdicts_of(estimate, level=level, simultaneous=True)
    half = (judged.upper - judged.lower) / 2 / std_error
    # n independent intervals that each miss with this probability all hold with 1 - level
    miss = np.array([two_sided_p(t, degrees) for t in half])
    np.testing.assert_allclose((1 - miss) ** n, 1 - level, rtol=1e-6)
    wider = (judged.upper - judged.lower) - (single.upper - single.lower)
    assert (wider > 0).all() if n > 1 else np.allclose(wider, 0)
    assert judged.verdict == single.verdict


def test_how_many_more_retrainings_by_hand():
    # (1.959964 / 1)^2 - 1 = 2.8415, / 0.5: 14.366, / 1.5: 0.7073; times 100, upwards
    judged = verdicts_of(found([1.0, 0.5, -1.5]), n=100)
    assert judged.verdict == ("unresolved",) * 3
    assert (judged.more_for_half, judged.more_for_all) == (290, 1500)
    # with a margin of 2: 1.644854^2 / (2 - 0.5)^2 - 1 = 0.2025 until 0.5 is negligible; until 1.5
    # is beyond a quarter of the margin 1.959964^2 / (1.5 - 0.5)^2 - 1 = 2.8415
    judged = verdicts_of(found([0.5, -1.5]), gaining(100), n=100)
    assert judged.verdict == ("unresolved",) * 2
    assert (judged.more_for_half, judged.more_for_all) == (160, 290)


def test_the_median_and_the_largest_of_the_unresolved_alone():
    judged = verdicts_of(found([1.0, 9.0, 0.5, np.nan, -9.0, 0.8]), n=10)
    # 10 * 1.959964^2 / size^2 - 10: 28.4, 143.7, 50.02
    assert (judged.more_for_half, judged.more_for_all) == (51, 150)


@pytest.mark.parametrize("values", [[9.0, -9.0], [np.nan, np.nan]])
def test_nothing_more_is_needed_where_nothing_is_open(values):
    judged = verdicts_of(found(values), gaining(10), simultaneous=True)
    assert judged.n_unresolved == 0
    assert judged.more_for_half is judged.more_for_all is None


def test_what_can_never_be_resolved_takes_a_number_beyond_all():
    assert verdicts_of(found([0.0])).more_for_all == 10**9


@given(st.floats(0.05, 1.5), st.integers(10, 10**5), st.floats(0.5, 2))
def test_after_so_many_more_the_test_is_at_its_limit(size, n, std_error):
    """The interval of a segment shrinks with the root of the retrainings until it leaves 0."""
    estimate = found([size * std_error], std_error)
    more = verdicts_of(estimate, n=n).more_for_all
    shrunk = std_error * math.sqrt(n / (n + more))
    assert size * std_error / shrunk >= 1.959963
    fewer = more / 1.11 - 2  # two significant digits round up by a tenth at most
    if fewer > 0:
        assert size * std_error / (std_error * math.sqrt(n / (n + fewer))) < 1.959964


def test_values_without_intervals_get_no_verdicts():
    assert verdicts_of(found([1.0, 2.0], covers=None), gaining(10)) is None


@given(EFFECTS, ERRORS, DEGREES, LEVELS, st.floats(1, 1000))
def test_helps_and_hurts_are_beyond_a_quarter_of_the_margin(value, std_error, degrees, level, gain):
    least = 0.005 * gain
    # the largest chance, among effects inside, of an estimate as far from 0 as this one
    p = float(stats.t.sf((abs(value) - least) / std_error, degrees))
    p += float(stats.t.sf((abs(value) + least) / std_error, degrees))
    assume(abs(p - level) > 1e-9)
    (verdict,) = verdicts_of(found([value], std_error, degrees), gaining(gain), level=level).verdict
    if verdict != "negligible":
        assert verdict == (("helps" if value > 0 else "hurts") if p < level else "unresolved")


def test_a_precise_effect_inside_the_margin_does_not_help():
    assert verdicts_of(found([0.9], 0.001), gaining(100)).verdict == ("negligible",)
    assert verdicts_of(found([1.3, 1.4], 0.5), gaining(100)).verdict == ("unresolved",) * 2


def test_degrees_of_freedom_are_each_segments_own():
    judged = verdicts_of(found([0.0, 0.0], 1.0, [1.0, math.inf]))
    np.testing.assert_allclose(judged.upper, [12.706205, 1.959964], rtol=1e-6)


def test_zero_standard_errors_are_certain():
    estimate = found([1.0, -1.0, 0.0], 0.0)
    assert verdicts_of(estimate).verdict == ("helps", "hurts", "unresolved")
    judged = verdicts_of(estimate, gaining(25))
    assert judged.verdict == ("helps", "hurts", "negligible")
    np.testing.assert_array_equal(judged.lower, estimate.importance)
    np.testing.assert_array_equal(judged.upper, estimate.importance)


def test_false_discoveries_stay_below_the_level():
    """Half of the segments have no effect; a wrong sign is a false discovery too."""
    generator = np.random.default_rng(0)
    truth = np.repeat([0.0, 3.5], [20, 20]) * np.tile([1, -1], 20)
    shares = []
    for _ in range(400):
        judged = verdicts_of(found(truth + generator.normal(size=40)), level=0.1).verdict
        claims = [(v, t) for v, t in zip(judged, truth, strict=True) if v != "unresolved"]
        false = [not (t > 0 if v == "helps" else t < 0) for v, t in claims]
        shares.append(np.mean(false) if claims else 0.0)
    error = np.std(shares) / 20
    # independent tests: exactly the share of true null hypotheses, half of the level
    assert abs(np.mean(shares) - 0.05) < 3 * error + 0.005


def test_the_verdicts_of_a_map():
    """Seed noise is shared within a block and cancels: errors are 0, the margin 2 % of 8."""
    found_map = worth.explained((5.0, -3.0, 0.1, 0.0, 6.0, -0.1), seed_noise=2.0)
    gain = found_map.baseline.gain
    assert found_map.verdicts.margin == pytest.approx(0.02 * gain)
    assert found_map.verdicts.verdict == (
        "helps", "hurts", "negligible", "negligible", "helps", "negligible"
    )  # fmt: skip
    np.testing.assert_allclose(found_map.verdicts.lower, found_map.importance, atol=1e-9)


def test_a_map_of_one_seed_or_of_another_estimator_than_asked_for():
    values = (5.0, -3.0, 1.0, 2.0, 6.0, -1.0)
    one_seed = worth.explained(values, budget=16)
    assert one_seed.study.masking.block_size == 16
    assert one_seed.verdicts.verdict == ("unresolved",) * 6
    rise = worth.changed(worth.study(values), estimator="rise")
    assert r2rise.explain(worth.demonstrations(6), rise).verdicts is None
    asked = worth.changed(
        worth.study(values, budget=20),
        estimator="difference",
        masking={"segment_length": 10, "design": "bernoulli", "block_size": 32},
    )  # fmt: skip
    few = worth.changed(asked, budget={"retrainings": 7, "baseline_retrainings": 2})
    replaced = r2rise.explain(worth.demonstrations(6), few)
    assert (replaced.estimator.name, replaced.verdicts) == ("ridge", None)
    assert r2rise.explain(worth.demonstrations(6), asked).verdicts.n_unresolved == 6
