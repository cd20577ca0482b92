import numpy as np
import pytest
from samples import drawn, sample_of

from r2rise.statistics.estimators import estimate
from r2rise.statistics.estimators.outliers import outliers
from r2rise.statistics.reliability import reliability


def test_a_few_returns_far_from_the_others_are_found():
    masks, returns, sample = drawn("foldover", d=20, n_blocks=3, n=64)
    assert outliers(sample) is None
    returns[[3, 100]] += [3000.0, -900.0]
    found = outliers(sample_of(masks, returns, sample.block))
    assert (found.n, found.example) == (2, returns[3])
    assert found.share > 0.99


def test_reliability_is_then_unknown():
    masks, returns, sample = drawn("foldover", d=20, n_blocks=3, n=64)
    assert reliability(estimate("difference", sample)).value > 0.5
    returns[3] += 3000.0
    exploded = estimate("difference", sample_of(masks, returns, sample.block))
    assert exploded.outlying
    assert reliability(exploded) == (None, "blocks")


@pytest.mark.parametrize("levels", [[0.0, 1.0], [20.0] * 63 + [500.0], [9.0, 400.0, 500.0]])
def test_levels_alike_in_blocks_and_scores_of_0_and_1_are_no_outliers(levels):
    masks, _, sample = drawn("foldover", d=20, n_blocks=3, n=64)
    assert outliers(sample_of(masks, np.resize(levels, 192), sample.block)) is None
    seeds = sample.block * 1000.0 + np.resize(levels, 192)
    assert outliers(sample_of(masks, seeds, sample.block)) is None
