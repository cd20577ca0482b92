"""What maps say in words, singular and plural, with and without anything to say."""

from dataclasses import replace

import numpy as np
import pytest
from drawings import made_map

from r2rise.results.map_words import ImportanceTable, why_no_verdicts
from r2rise.statistics.power import Power
from r2rise.statistics.summaries import DemonstrationTable
from r2rise.statistics.wording import counted, decimals, failed_words, in_digits, per_cents, signed
from r2rise.study.notices import Notice


def judged(verdict, importance=None, **changes) -> ImportanceTable:
    """Intervals reach 2 to either side; the margin is 1."""
    values = np.zeros(len(verdict)) if importance is None else importance
    found = ImportanceTable.segments(made_map(values, verdict))
    return replace(found, verdicts=found.verdicts.model_copy(update=changes))


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (["negligible"] * 3,
         "0 help, 0 hurt, 3 are negligible (within +-1) and 0 are unresolved"),
        (["helps", "hurts", "negligible", "unresolved"],
         "1 helps, 1 hurts, 1 is negligible (within +-1) and 1 is unresolved"),
        (["helps", "helps", None],
         "2 help, 0 hurt, 0 are negligible (within +-1), 0 are unresolved and 1 was not estimated"),
    ],
)  # fmt: skip
def test_how_many_have_each_verdict(verdict, expected):
    assert judged(verdict).counts() == expected


@pytest.mark.parametrize(
    ("n_open", "half", "whole", "expected"),
    [
        (0, None, None, ""),
        (1, 1, 1, "About 1 more retraining would resolve the 1 unresolved segment."),
        (2, 30, 400, "About 30 more retrainings would resolve half of the 2 unresolved segments, "
                     "about 400 all of them."),
        (2, 530, 10**9, "About 530 more retrainings would resolve half of the 2 unresolved "
                        "segments; some of them cannot be resolved by any number of retrainings."),
        (2, 10**9, 10**9, "No number of retrainings would resolve half of the 2 unresolved "
                          "segments."),
    ],
)  # fmt: skip
def test_what_would_resolve_the_rest(n_open, half, whole, expected):
    found = judged(["unresolved"] * n_open + ["helps"], more_for_half=half, more_for_all=whole)
    assert found.outlook(None) == expected


def test_retrainings_come_in_blocks():
    found = judged(["unresolved"] * 2, more_for_half=1, more_for_all=400)
    assert found.outlook(128).startswith("About 128 more retrainings would resolve half of")


@pytest.mark.parametrize(
    ("importance", "changes", "reason"),
    [
        (0.5, {}, None),  # the interval has room for both
        (2.1, {}, "maybe within a quarter of the margin"),
        (-2.1, {}, "maybe within a quarter of the margin"),
        (2.6, {}, "uncertain among 2 segments"),
        (0.0, {"margin": 2.5}, "uncertain among 2 segments"),
        (0.0, {"margin": None}, None),
        (2.1, {"margin": None}, "uncertain among 2 segments"),
    ],
)
def test_why_a_segment_is_unresolved_although_its_interval_seems_to_settle_it(
    importance, changes, reason
):
    found = judged(["unresolved", "helps"], [importance, 9.0], **changes)
    assert found.why_unresolved(0) == reason
    assert found.why_unresolved(1) is None
    assert found.cells(0)[-1] == (f"unresolved: {reason}" if reason else "unresolved")


def test_with_one_training_seed_no_verdict_is_shown():
    found = replace(judged(["unresolved", "helps"], [9.0, 9.0]), one_seed=True)
    assert found.columns == ["importance", "interval: this training seed only"]
    assert found.cells(1) == ["+9.000", "+7.000 to +11.000"]
    assert found.counts() == ""
    assert found.why_unresolved(0) == "this training seed only"


def test_lists_of_extremes_hold_one_sign():
    found = judged(["helps", "unresolved", "hurts", None, "negligible"], [3, 5, -1, np.nan, 1e-14])
    assert found.helpful() == [1, 0]
    assert found.harmful() == [2]
    assert found.in_order() == [1, 0, 4, 2]


def test_whole_demonstrations_are_shown_where_they_say_more_than_segments():
    sums = DemonstrationTable(
        importance=np.array([6.0, -2.0]), std_error=np.array([1.0, 1.0]), verdicts=None
    )
    found = made_map([5, 1, -2, 0], n_demos=2, demonstrations=sums)
    rows = ImportanceTable.demonstrations(found)
    assert rows.columns == ["importance", "std error"]
    assert [rows.cells(i) for i in range(2)] == [["+6.000", "1"], ["-2.000", "1"]]
    assert ImportanceTable.demonstrations(made_map([6, -2], n_demos=2, demonstrations=sums)) is None
    assert ImportanceTable.demonstrations(made_map([6, -2])) is None


def test_why_there_are_no_verdicts():
    assert why_no_verdicts(made_map([1, 2], ["helps", "helps"])) == ""
    notice = Notice(code="one_training_seed", detail="")
    one_seed = made_map([1, 2], ["helps", "helps"], warnings=(notice,))
    assert "intervals hold for this training seed only" in why_no_verdicts(one_seed)
    withheld = made_map([1, 2], warnings=(Notice(code="intervals_withheld", detail=""),))
    assert "too few retrainings" in why_no_verdicts(withheld)


def test_numbers():
    assert (counted(1, "segment"), counted(0, "segment")) == ("1 segment", "0 segments")
    assert [in_digits(v) for v in (1.421e-14, -3e-12, 12.3456, None, np.nan)] == [
        "0", "0", "12.35", "-", "-",
    ]  # fmt: skip
    assert [decimals(v) for v in ([47.5, 1.0], [0.0003], [12345.0], [1e-15], [np.nan])] == [
        2, 7, 0, 2, 2,
    ]  # fmt: skip
    assert [signed(v, 2) for v in (47.5, -1.004, 0.0, -0.001, np.nan)] == [
        "+47.50", "-1.00", "0.00", "0.00", "-",
    ]  # fmt: skip
    assert failed_words(1, 64) == "1 of 64 retrainings failed and is left out."
    words = failed_words(2, 64, "their repetitions")
    assert words.endswith("failed; their repetitions are left out.")


@pytest.mark.parametrize("shares", [[1 / 3] * 3, [0.125] * 8, [0.995, 0.005, 0.0], [1.0]])
def test_per_cents_sum_to_a_hundred(shares):
    found = per_cents(shares)
    assert sum(found) == 100
    assert all(abs(n - 100 * share) < 1 for n, share in zip(found, shares, strict=True))
    assert per_cents([0.0, 0.0]) == [0, 0]


def test_too_small_a_budget_is_said_in_whole_sentences():
    few, more = Power(16, 100).warn(), Power(128, 4664).warn()
    assert "longer segments" not in few
    assert "longer segments (at most 5)" in more
    assert "noise" not in more
