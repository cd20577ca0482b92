"""Rates over many repetitions against fake algorithms whose true importance is known."""

from dataclasses import replace

import pytest
from statistics_check import DESIGNS, Case, cases, rejection_rate, repeat

REPETITIONS, STUDIES = 1000, 400
"""Of a test, and of an estimate with its reliability, which takes longer."""
FEWER_REPETITIONS, FEWER_STUDIES = 300, 100
"""Of what is not slow: some of the cases, within the same limits."""


def some(found):
    return [case for case in found if (case.design, case.keep_probability) in DESIGNS[:2]]


def check_difference(case, studies):
    rates = repeat(case, studies)
    assert abs(rates.error) < 4
    assert 0.93 <= rates.coverage <= 0.98
    # of 20 segments a little too low; where one block takes interactions for noise, lower still
    lowest = -0.2 if case.n_blocks == 1 and case.pairs else -0.12
    assert lowest < rates.reliability - rates.true_reliability < 0.05


FEW = [case for case in some(cases()) if case.n_blocks == 3]


@pytest.mark.parametrize("case", FEW, ids=lambda case: case.name)
def test_difference_is_unbiased_covers_and_knows_its_reliability(case):
    check_difference(case, FEWER_STUDIES)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_difference_in_every_case(case):
    check_difference(case, STUDIES)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(estimator="ridge"), ids=lambda case: case.name)
def test_ridge_is_unbiased_on_average_and_knows_its_reliability(case):
    rates = repeat(case, STUDIES)
    assert abs(rates.error) < 4
    assert abs(rates.reliability - rates.true_reliability) < 0.05


QUIET = dict.fromkeys(
    replace(case, seed_effects=min(case.seed_effects, 0.5))
    for case in cases(estimator="ridge", noise=2.0, n_blocks=5)
)


@pytest.mark.parametrize("case", some(QUIET), ids=lambda case: case.name)
def test_ridge_correlates_with_the_truth(case):
    assert repeat(case, 50).correlation >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("case", QUIET, ids=lambda case: case.name)
def test_ridge_correlates_with_the_truth_in_every_design(case):
    assert repeat(case, 50).correlation >= 0.95


@pytest.mark.parametrize(("design", "p"), DESIGNS[:2])
@pytest.mark.parametrize("level", [0.0, 20.0])
def test_equal_importance_is_rejected_as_often_as_it_says(design, p, level):
    rate = rejection_rate(Case(design, p, n_blocks=3, level=level), FEWER_REPETITIONS)
    assert 0.03 <= rate <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(("design", "p"), DESIGNS)
@pytest.mark.parametrize("n_blocks", [1, 3])
@pytest.mark.parametrize("level", [0.0, 20.0])
def test_equal_importance_in_every_design(design, p, n_blocks, level):
    rate = rejection_rate(Case(design, p, n_blocks, level=level), REPETITIONS)
    assert 0.03 <= rate <= 0.07
