"""The two directions of a certificate: paired tests, Holm, the order in each half, and words."""

import itertools
import re

import numpy as np
import pytest
import worth
from by_hand import check
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from places import DATA
from scipy import stats

import r2rise
from r2rise import Certificate
from r2rise.results.certificate import WHAT_IT_MEASURES
from r2rise.statistics.directions import (
    HALF_LUCK_LEVEL,
    Difference,
    Differences,
    compare_arms,
    direction,
    luck_threshold,
    percentages,
)
from r2rise.statistics.intervals import MeanInterval
from r2rise.statistics.luck import half_luck_p
from r2rise.statistics.significance import holm

KEEP = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
WORTH = (9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0)
D = len(WORTH)
DEMONSTRATIONS = worth.demonstrations(D)
OF_NOTHING = MeanInterval(mean=0, lower=-1, upper=1, n=20)


def test_holm_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04 by 4, 3, 2, 1: 0.02, 0.03, 0.06, and 0.04 not below 0.06
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]


@given(
    arrays(float, st.integers(1, 8), elements=st.floats(1e-9, 1)), st.floats(0.001, 0.5)
)  # fmt: skip
def test_holm_rejects_as_long_as_each_step_does(p, level):
    adjusted = holm(p)
    rejected = np.zeros(len(p), dtype=bool)
    for step, index in enumerate(np.argsort(p, kind="stable")):
        if p[index] * (len(p) - step) >= level:
            break
        rejected[index] = True
    assert (adjusted < level).tolist() == rejected.tolist()
    assert (p <= adjusted).all()
    assert (adjusted <= 1).all()


def test_differences_are_paired_tests():
    returns = np.random.default_rng(3).normal(0, 3, (12, 5, 4))
    returns += np.array([6.0, 0.0, 0.0, 0.5])
    found = compare_arms(returns)
    pairs = [(0, 2), (3, 1)]
    p = {
        side: holm(np.array([
            stats.ttest_rel(returns[:, level, a], returns[:, level, b], alternative=side).pvalue
            for a, b in pairs for level in range(5)
        ]))
        for side in ("greater", "less")
    }  # fmt: skip
    for number, own in enumerate([*found.top_random, *found.random_bottom]):
        a, b = pairs[number // 5]
        check(own.interval, returns[:, number % 5, a] - returns[:, number % 5, b])
        assert own.p_above == pytest.approx(p["greater"][number])
        assert own.p_below == pytest.approx(p["less"][number])
    verdicts = {own.verdict for own in (*found.top_random, *found.random_bottom)}
    assert verdicts == {"above", "open"}
    reverse = compare_arms(returns[:, :, [1, 0, 3, 2]])
    assert [own.p_below for own in reverse.random_bottom] == pytest.approx(
        [own.p_above for own in found.top_random]
    )


def test_differences_without_spread_are_certain():
    same = np.zeros((3, 1, 4))
    assert [d.verdict for d in (*compare_arms(same).top_random,)] == ["open"]
    same[:, :, 0] = 1.0
    (top,) = compare_arms(same).top_random
    assert (top.verdict, top.p_above) == ("above", 0.0)


def told(top_random: str, random_bottom: str = "ooooo") -> Differences:
    """Differences at five levels with verdicts by letter: above, below, open."""
    names = {"a": "above", "b": "below", "o": "open"}
    return Differences(*(
        [Difference(interval=OF_NOTHING, p_above=0.5, p_below=0.5, verdict=names[x]) for x in word]
        for word in (top_random, random_bottom)
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("found", "bottom", "top"),
    [
        (told("aaaaa"), "shown", "shown"),
        (told("oaaaa"), "shown", "shown"),
        (told("ooaaa"), "shown", "not_shown"),
        (told("aaaao"), "not_shown", "shown"),
        # today's worst case: the top is worse than random where half or fewer are kept
        (told("bbbaa"), "shown", "contradicted"),
        (told("aaaba"), "contradicted", "shown"),
        # keeping few of the bottom is about the bottom, leaving few of the top out about the top
        (told("aaaaa", "boooo"), "contradicted", "shown"),
        (told("aaaaa", "oobob"), "contradicted", "contradicted"),
        (told("aaaaa", "ooooa"), "shown", "shown"),
        (told("ooooo"), "not_shown", "not_shown"),
    ],
)
def test_levels_show_and_contradict(found, bottom, top):
    assert direction(found, KEEP, few=False, luck=0.01).verdict == bottom
    assert direction(found, KEEP, few=True, luck=0.01).verdict == top


def test_what_a_direction_names():
    found = direction(told("aobaa", "ooobo"), KEEP, few=True, luck=0.3)
    assert (found.levels, found.against, found.luck_p) == ((0.1,), (0.5, 0.7), 0.3)
    assert str(found) == (
        "not shown (better than random at 10 % kept; contradicted at 50 % and 70 % kept; "
        "chance ordering within this half p = 0.3)"
    )
    assert percentages([0.1, 0.3, 0.5]) == "10 %, 30 % and 50 % kept"
    assert percentages([]) == "no level"


def test_how_much_chance_is_allowed():
    assert luck_threshold(5) == luck_threshold(25) == HALF_LUCK_LEVEL
    assert 1 / 24 <= luck_threshold(4) < 2 / 24
    assert luck_threshold(3) < 1 / 6


@pytest.mark.parametrize("luck", [None, 0.05, 0.5])
def test_levels_alone_show_nothing_while_the_order_may_be_chance(luck):
    assert direction(told("aaaaa"), KEEP, few=True, luck=luck).verdict == "not_shown"
    assert direction(told("aaaaa"), KEEP, few=True, luck=HALF_LUCK_LEVEL).is_shown


def random_arms(truth: np.ndarray, generator: np.random.Generator, noise: float = 1.0):
    """Masks and returns of 8 repetitions at two sizes, and whose repetition each is."""
    d = len(truth)
    masks = np.array([
        [generator.permutation(d) < k for _ in range(16)] for k in (d // 3, d // 2)
    ])  # fmt: skip
    repetition = np.tile(np.arange(16) // 2, (2, 1))
    seeds = generator.normal(0, 5, 8)[repetition]
    return masks, masks @ truth + seeds + generator.normal(0, noise, seeds.shape), repetition


def test_the_order_of_a_half_by_brute_force():
    generator = np.random.default_rng(0)
    truth = np.array([4.0, 3.0, 2.0, 1.0, -1.0, -2.0, -3.0, -4.0])
    masks, returns, repetition = random_arms(truth, generator, noise=3.0)
    half = np.arange(8) < 4
    values = truth + generator.normal(0, 2, 8)
    p = half_luck_p(masks, returns, values, half, repetition, generator)
    x = (masks - masks.mean(axis=1, keepdims=True)).reshape(-1, 8)
    y = (returns - returns.mean(axis=1, keepdims=True)).ravel()
    known = np.column_stack([
        x[:, :4].sum(axis=1), x[:, 4:] @ (values[4:] - values[4:].mean()),
        np.eye(8)[repetition.ravel()],
    ])  # fmt: skip
    left = (y - known @ np.linalg.pinv(known) @ y).reshape(2, 16)
    left = (left / left.std(axis=1, keepdims=True)).ravel()
    orders = np.array(list(itertools.permutations(values[:4])))
    scores = (orders - orders.mean(axis=1, keepdims=True)) @ x[:, :4].T
    fits = scores @ left / np.linalg.norm(scores, axis=1)
    assert p == pytest.approx(np.mean(fits >= fits[0] - 1e-12))
    shuffled = np.concatenate([values[[3, 2, 1, 0]], values[4:]])
    assert half_luck_p(masks, returns, shuffled, half, repetition, generator) > 0.5


def test_a_random_order_in_a_half_is_chance_whatever_is_known_of_the_other():
    truth = np.array([*np.linspace(6, 1, 8), *np.linspace(-1, -20, 8)])
    upper, found = np.arange(16) < 8, []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        arms = random_arms(truth, generator)
        values = np.concatenate([generator.permutation(truth[:8]), truth[8:]])
        found.append(half_luck_p(arms[0], arms[1], values, upper, arms[2], generator))
        assert half_luck_p(arms[0], arms[1], values, ~upper, arms[2], generator) < 0.042
    assert np.mean(np.array(found) <= 0.1) <= 0.2
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_halves_without_anything_to_shuffle():
    generator = np.random.default_rng(0)
    masks, returns, repetition = random_arms(np.arange(8.0), generator)
    upper, unknown = np.arange(8) < 4, np.where(np.arange(8) < 3, np.nan, 1.0)
    for values in (np.ones(8), unknown):
        assert half_luck_p(masks, returns, values, upper, repetition, generator) is None
    constant = np.zeros_like(returns)
    assert half_luck_p(masks, constant, np.arange(8.0), upper, repetition, generator) is None


@pytest.fixture(scope="module")
def learned() -> r2rise.ImportanceMap:
    """A map of WORTH for a learner with noise."""
    return worth.learned(worth.explained(WORTH, budget=128), WORTH, noise=1.0, seed_noise=5.0)


@pytest.fixture(scope="module")
def certificates(learned) -> dict[str, Certificate]:
    """Of the true map and of maps that have one half or both back to front within itself."""
    upper, lower = WORTH[: D // 2], WORTH[D // 2 :]
    orders = {
        "true": upper + lower,
        "bottom": upper[::-1] + lower,
        "top": upper + lower[::-1],
        "upside_down": WORTH[::-1],
    }
    return {
        name: r2rise.certify(DEMONSTRATIONS, worth.ranked(learned, *values), repetitions=10)
        for name, values in orders.items()
    }


@pytest.mark.slow
def test_each_end_is_judged_apart(certificates):
    outcomes = {name: found.outcome for name, found in certificates.items()}
    assert outcomes == {
        "true": "pass", "bottom": "right_at_bottom", "top": "right_at_top", "upside_down": "fail"
    }  # fmt: skip
    assert certificates["bottom"].leaving_out_bottom.verdict == "shown"
    # the upper half against random segments of all: better, but not by its order
    half = certificates["bottom"].levels[2]
    assert (half.keep, half.top_random.verdict) == (0.5, "above")
    assert certificates["bottom"].keeping_top.luck_p > 0.9
    assert certificates["upside_down"].keeping_top.verdict == "contradicted"


@pytest.mark.slow
def test_differences_of_levels_are_those_of_the_truth(certificates):
    for level in certificates["true"].levels:
        k = level.n_segments
        # random segments are worth their share of all on average
        want = sum(WORTH[:k]) - k * np.mean(WORTH)
        error = level.top_random.interval.upper - level.top_random.interval.mean
        assert abs(level.top_random.interval.mean - want) < 2 * error


@pytest.mark.slow
def test_words_of_each_outcome(certificates):
    starts = {
        "true": "Pass: leaving out", "bottom": "Right at the bottom only: leaving out",
        "top": "Right at the top only: keeping only", "upside_down": "Fail: the map is upside down",
    }  # fmt: skip
    for name, start in starts.items():
        words = certificates[name].in_words()
        assert words.startswith(start)
        assert WHAT_IT_MEASURES in words
    assert str(certificates["bottom"].keeping_top) in certificates["bottom"].in_words()


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["fail", "undecided", "right_at_bottom", "pass"])
def test_what_is_above_zero_is_never_called_nothing_to_tell_apart(certificates, outcome):
    clear = MeanInterval(mean=38, lower=33, upper=44, n=20)
    found = certificates["true"].model_copy(
        update={"outcome": outcome, "area_top_bottom": clear}
    )  # fmt: skip
    assert "told apart" not in found.in_words()
    assert "to distinguish" not in found.in_words()
    if outcome in ("fail", "undecided"):
        assert "38 (33 to 44)" in found.in_words()


@pytest.mark.slow
def test_a_small_but_certain_difference_fails_in_other_words(certificates):
    small = MeanInterval(mean=1, lower=0.5, upper=1.5, n=20)
    found = certificates["true"].model_copy(update={"outcome": "fail", "area_top_bottom": small})
    assert found.in_words().startswith("Fail: the map distinguishes little")


@pytest.mark.slow
def test_where_the_lower_half_is_all_the_same_there_is_nothing_to_know_of_it(learned):
    values = WORTH[:8] + (-4.0,) * 8
    own = worth.learned(learned, values, noise=1.0, seed_noise=5.0)
    mixed = values[:8] + tuple(np.random.default_rng(1).permutation(np.linspace(-4.5, -3.5, 8)))
    found = r2rise.certify(DEMONSTRATIONS, worth.ranked(own, *mixed), repetitions=10)
    assert found.leaving_out_bottom.luck_p > HALF_LUCK_LEVEL
    assert found.outcome == "right_at_top"


@pytest.mark.slow
def test_levels_at_which_the_top_is_worse_are_named(certificates):
    found = certificates["true"]
    assert found.contradicting_levels == []
    below = found.levels[1].top_random.model_copy(update={"verdict": "below"})
    levels = list(found.levels)
    levels[1] = levels[1].model_copy(update={"top_random": below})
    against = found.model_copy(update={"levels": tuple(levels)})
    assert against.contradicting_levels == [found.levels[1].keep]
    assert "Not at every level: with 31 % kept, the most important" in against.in_words()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_certificates_of_before_have_no_directions(version):
    found = Certificate.load(DATA / f"certificate-{version}.json")
    assert found.leaving_out_bottom is found.keeping_top is None
    assert found.levels[0].top_random is None
    assert re.match("Pass: over all levels together", found.in_words())
