"""Which amount of training is chosen, and how often that is right."""

import numpy as np
import pytest
from places import ROOT
from scipy import stats
from training_rule import (
    LEARNERS,
    N_AMOUNTS,
    N_STUDIES,
    RULES,
    real_choices,
    real_tables,
    simulate,
    simulated_choices,
    simulated_table,
)

from r2rise.statistics.training_rule import Choice, choose_amount

METHOD = ROOT / "docs" / "method.md"
STUDIES = [
    pytest.param(name, n_seeds, id=f"{name}, {n_seeds} seeds")
    for name in LEARNERS
    for n_seeds in N_AMOUNTS
]
MOST_WRONG = 0.05 + 2 * np.sqrt(0.05 * 0.95 / N_STUDIES)


def known(*means: float, n_seeds: int = 4) -> np.ndarray:
    """Return studies whose seeds agree to the last digit."""
    return np.tile(np.array(means, dtype=np.float64), (n_seeds, 1))


def some_studies(n_seeds: int = 6, n: int = 8) -> list[np.ndarray]:
    generator = np.random.default_rng(n_seeds)
    return [
        study
        for curve in LEARNERS.values()
        for study in simulate(curve, n_seeds, n, generator)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("means", "want"),
    [
        ([500] * 7, (0, "settled")),
        ([500] * 3, (0, "settled")),
        ([100, 300, 500, 500, 500, 500, 500], (2, "settled")),
        ([100, 300, 400, 500, 500], (4, "still_rising")),
        ([300, 300, 300, 300, 0], (4, "falls_with_training")),
        ([200, 900, 850, 850, 850], (1, "settled")),  # falls by 50 of 900, which is little
        ([200, 900, 700, 700, 700], (2, "settled")),  # an early peak is not chosen
        ([100, 200, 300, 400, 500], (4, "still_rising")),
        ([300, 900, 700, 500, 200], (4, "falls_with_training")),
        ([100, 900, 300, 400, 600], (4, "not_monotone")),
        ([100, 900, 300, 600, 500], (4, "not_monotone")),  # rises over the last two doublings
        ([500, 500], (1, "undecided")),
        ([500], (0, "undecided")),
        ([0] * 5, (4, "undecided")),  # no better than random actions
        ([-5] * 5, (4, "undecided")),
    ],
)
def test_what_is_chosen_without_noise(means, want):
    assert choose_amount(known(*means), random_policy=0.0) == want


def test_the_tolerance_is_a_share_of_the_best_gain_over_random_actions():
    def settled(last: float, **settings: float) -> bool:
        returns = known(900.0, 900.0, last)
        return choose_amount(returns, -100.0, **settings).finding == "settled"

    assert settled(751.0)
    assert not settled(749.0)
    assert settled(1076.0)  # 176 of 1 176
    assert not settled(1077.0)
    assert settled(849.0, tolerance=0.06)
    assert not settled(849.0, tolerance=0.05)


def test_more_doublings_may_be_asked_to_lie_beyond():
    returns = known(100, 400, 400, 400, 400)
    assert choose_amount(returns, 0.0, beyond=3) == (1, "settled")
    assert choose_amount(returns, 0.0, beyond=4).finding == "still_rising"
    assert choose_amount(known(100, 100, 100, 400, 400), 0.0, beyond=1) == (3, "settled")


def by_p_values(returns: np.ndarray, random: float) -> Choice:
    """The rule as it stands in docs/method.md, by p-values."""
    n_amounts = returns.shape[1]
    gain = returns - random
    best = max(range(n_amounts), key=lambda k: gain[:, k].mean())

    def p(values: np.ndarray) -> float:
        error = values.std(ddof=1) / np.sqrt(len(values))
        return stats.t.cdf(values.mean() / max(error, 1e-100), len(values) - 1)

    def largest_p(i: int) -> float:
        d = [gain[:, j] - gain[:, i] for j in range(i + 1, n_amounts)]
        return max(p(sign * x - 0.15 * gain[:, best]) for x in d for sign in (1, -1))

    if gain[:, best].mean() > 0 and largest_p(n_amounts - 3) < 0.05:
        chosen = n_amounts - 3
        while chosen > 0 and largest_p(chosen - 1) < 0.05 / (2 * (n_amounts - chosen)):
            chosen -= 1
        return Choice(chosen, "settled")
    less = [p(gain[:, k] - gain[:, -1]) for k in range(n_amounts - 1)]
    more = [p(gain[:, -1] - gain[:, k]) for k in range(n_amounts - 1)]
    rises, falls = min(less[-2:]) < 0.05 / 2, min(more) < 0.05 / (n_amounts - 1)
    if rises and falls:
        return Choice(n_amounts - 1, "not_monotone")
    finding = "still_rising" if rises else "falls_with_training" if falls else "undecided"
    return Choice(n_amounts - 1, finding)


@pytest.mark.parametrize("n_seeds", [4, 16])
def test_the_rule_is_that_of_the_method(n_seeds):
    studies = some_studies(n_seeds)
    found = [choose_amount(returns, 20.0) for returns in studies]
    assert found == [by_p_values(returns, 20.0) for returns in studies]
    assert {choice.finding for choice in found} >= {"settled", "still_rising", "undecided"}


def test_unit_and_zero_of_the_returns_and_the_order_of_seeds_do_not_matter():
    for returns in some_studies():
        want = choose_amount(returns, 20.0)
        assert choose_amount(returns * 1e-3 - 7, 20e-3 - 7) == want
        assert choose_amount(returns * 1e6, 20e6) == want
        assert choose_amount(returns[::-1], 20.0) == want


def test_differences_are_paired_by_seed():
    levels = np.array([[400.0], [600.0], [450.0], [550.0]])
    returns = levels + np.array([-60.0, 1.0, -1.0, 1.0, 0.0])
    assert choose_amount(returns, 0.0, tolerance=0.05) == (1, "settled")
    alone = np.array([np.roll(levels[:, 0], k) for k in range(5)]).T
    assert choose_amount(alone, 0.0, tolerance=0.05).finding == "undecided"


def test_seeds_with_a_failed_retraining_are_left_out():
    returns = some_studies()[0]
    holed = np.vstack([returns, np.full((2, 7), 1e9)])
    holed[-2, 3], holed[-1, 6] = np.nan, np.inf
    assert choose_amount(holed, 20.0) == choose_amount(returns, 20.0)
    few = known(*[500] * 7, n_seeds=3)
    few[1:, 0] = np.nan
    assert choose_amount(few, 20.0) == (6, "undecided")


def test_what_real_studies_choose():
    assert real_choices("CartPole 0-4", 16, choose_amount) == {"800": 10}
    assert real_choices("CartPole 5-9", 16, choose_amount) == {"1600": 8, "800": 2}
    assert real_choices("CartPole 10-14", 16, choose_amount) == {"1600": 9, "still_rising": 1}


def test_the_tables_of_the_method_are_the_benchmarks_of_real_curves():
    page = METHOD.read_text()
    for table in "\n".join(real_tables()).split("\n\n"):
        assert table.strip() in page


@pytest.mark.slow
def test_the_table_of_the_method_is_the_benchmarks_of_simulated_learners():
    assert "\n".join(simulated_table(RULES["the rule"])) in METHOD.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_seeds"), STUDIES)
def test_no_finding_is_wrong_more_often_than_its_level(name, n_seeds):
    truth, choices = simulated_choices(name, n_seeds, choose_amount)
    wrong = [choice.finding for choice in choices if not truth.is_true(choice)]
    for finding in set(wrong):
        assert wrong.count(finding) / N_STUDIES <= MOST_WRONG, finding


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("rises for ever", 0.95),
        ("plateau, reached early", 0.8),
        ("plateau, reached late", 0.8),
        ("the maximum, reached early", 0.99),
        ("the maximum, reached late", 0.99),
        ("early peak, then a plateau", 0.85),
        ("peak and fall", 0.99),
        ("two peaks", 0.99),
        ("falls and rises again", 0.75),
        ("noise only", 0.88),
    ],
)
def test_16_seeds_find_what_is_true(name, least):
    truth, choices = simulated_choices(name, 16, choose_amount)
    right = [c.finding == truth.finding and truth.is_true(c) for c in choices]
    assert np.mean(right) >= least
