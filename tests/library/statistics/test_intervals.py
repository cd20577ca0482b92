"""Means with intervals, and returns in pairs."""

import numpy as np
import pytest
from by_hand import check

from r2rise.ledger.record import Record
from r2rise.statistics.intervals import mean_interval, paired_returns


@pytest.mark.parametrize("n", [2, 3, 20])
def test_mean_intervals_are_students(n):
    values = np.random.default_rng(n).normal(3.0, 2.0, n)
    check(mean_interval(values), values)


def test_one_value_has_no_interval():
    single = mean_interval(np.array([4.0]))
    assert (single.mean, single.lower, single.upper, single.n) == (4.0, None, None, 1)
    assert not single.is_above_zero
    assert str(single) == "4"


def test_repetitions_with_a_failure_are_left_out_of_pairs():
    def record(value: float | None) -> Record:
        if value is None:
            return Record("certify", 0, b"", 0, 0, 0, np.zeros(0), "failed", "no way")
        return Record("certify", 0, b"", 0, 0, 0, np.array([value - 1, value + 1]))

    records = [record(v) for v in (1.0, 2.0, None, 4.0, 5.0, 6.0)]
    complete, returns = paired_returns(records, 2)
    assert complete.tolist() == [True, False, True]
    assert returns.tolist() == [[1.0, 2.0], [5.0, 6.0]]
