"""What a notebook shows of results and demonstrations."""

from xml.etree import ElementTree

import numpy as np
import pytest
from drawings import made_map
from make_golden import RESULTS, golden_path, name_of

import r2rise
from r2rise import Certificate, Curation, Demonstrations, Plan
from r2rise.results.result import Result
from r2rise.study.notices import Notice


def parsed(value) -> ElementTree.Element:
    return ElementTree.fromstring(value._repr_html_())


def text_of(value) -> str:
    return " ".join(parsed(value).itertext())


def rectangles(value) -> list[tuple[str, dict[str, str]]]:
    """The title and the attributes of each piece of the strip."""
    return [(cell.findtext("title"), cell.attrib) for cell in parsed(value).iter("rect")]


def rows(value) -> list[list[str]]:
    """The cells of the last table."""
    *_, table = parsed(value).iter("table")
    return [[cell.text for cell in row] for row in table]


def golden(kind: type[Result]) -> Result:
    return kind.load(golden_path(kind))


@pytest.mark.parametrize("kind", RESULTS, ids=name_of)
def test_every_result_is_short_as_text_and_shows_in_a_notebook(kind):
    result = golden(kind)
    assert repr(result) == str(result) == f"<{kind.__name__}: {result.summary}>"
    assert len(repr(result)) < 120
    assert text_of(result).startswith(f"{kind.title.capitalize()} : {result.summary}")


MAP = made_map([3, -2, 1, np.nan], ["helps", "hurts", "unresolved", None], n_demos=2)


def test_a_map_shows_every_segment_with_its_value_and_verdict():
    assert (
        MAP.summary == "toys:OneStep, toys:Additive, 4 segments, 64 retrainings, reliability 0.93"
    )
    shown = rectangles(MAP)
    assert [title for title, _ in shown] == [
        "demonstration 0, frames 0 to 9: +3 helps",
        "demonstration 0, frames 10 to 19: -2 hurts",
        "demonstration 1, frames 0 to 9: +1 unresolved",
        "demonstration 1, frames 10 to 19: not estimated",
    ]
    look = [(a["x"], a["width"], a["fill"], a["fill-opacity"]) for _, a in shown]
    blue, orange, grey = "#0072b2", "#d55e00", "#808080"
    assert look == [
        ("0", "10", blue, "1"),
        ("10", "10", orange, "0.667"),
        ("0", "10", blue, "0.15"),  # pale: no verdict says that it helps
        ("10", "10", grey, "0"),
    ]
    assert rows(MAP) == [
        ["demonstration", "frames", "importance", "95 % interval", "verdict"],
        ["0", "0 to 9", "+3.000", "+1.000 to +5.000", "helps"],
        ["1", "0 to 9", "+1.000", "-1.000 to +3.000", "unresolved"],
        ["0", "10 to 19", "-2.000", "-4.000 to 0.000", "hurts"],
    ]


def test_a_map_without_signs_is_stronger_where_segments_matter_more():
    order_only = MAP.estimator.model_copy(update={"sign": "order_only"})
    unsigned = MAP.model_copy(update={"estimator": order_only, "verdicts": None})
    look = [(a["fill"], a["fill-opacity"]) for _, a in rectangles(unsigned)]
    assert look == [("#0072b2", "1"), ("#0072b2", "0"), ("#0072b2", "0.6"), ("#808080", "0")]


def test_a_map_that_is_not_worth_reading_is_grey():
    notice = Notice(code="weak_policy", detail="The policy is too weak.")
    weak = MAP.model_copy(update={"warnings": (notice,)})
    assert {a["fill"] for _, a in rectangles(weak)} == {"#808080"}
    assert "Warning: The policy is too weak." in text_of(weak)


def test_a_long_map_shows_its_ends_and_says_what_is_left_out():
    values = np.arange(50.0) - 25
    long = made_map(values, ["helps"] * 50, n_demos=50)
    assert [row[2] for row in rows(long)[1:]] == [
        "+24.00", "+23.00", "+22.00", "-23.00", "-24.00", "-25.00"
    ]  # fmt: skip
    assert len(rectangles(long)) == 20
    assert "and 30 more" in text_of(long)


def test_demonstrations_show_their_lengths_and_arrays():
    demonstrations = Demonstrations(
        obs=np.zeros((10, 4), np.float32),
        acts=np.zeros(8, np.int64),
        lengths=np.array([5, 3]),
        rews=np.arange(8.0),
    )
    assert [(title, a["width"]) for title, a in rectangles(demonstrations)] == [
        ("5 frames", "5"), ("3 frames", "3")
    ]  # fmt: skip
    assert rows(demonstrations) == [
        ["demonstrations", "2"],
        ["frames", "8"],
        ["observations", "(4,) float32"],
        ["actions", "() int64"],
        ["mean return", "14"],
    ]


def test_certificate_curation_and_plan_say_what_they_found():
    certificate, curation, plan = golden(Certificate), golden(Curation), golden(Plan)
    for result in (certificate, curation, plan):
        assert result.in_words() in text_of(result)
    assert len(rectangles(certificate)) == 4 * len(certificate.levels)
    assert rows(certificate)[1][1] == str(certificate.levels[0].top)
    assert len(rectangles(curation)) == len(curation.edits) > 0
    assert rows(curation)[1] == [
        str(curation.trials[0].n_dropped),
        str(curation.trials[0].mean_return),
        str(curation.trials[0].gain),
    ]
    widths = [float(a["width"]) for _, a in rectangles(plan)]
    assert widths == pytest.approx(list(plan.variance.shares().values()), rel=1e-4)
    assert len(rows(plan)) == 1 + len(plan.options)


def test_names_of_users_are_text():
    study = MAP.study.model_copy(
        update={"environment": r2rise.Study(environment="<script>&a").environment}
    )
    named = MAP.model_copy(update={"study": study})
    assert "<script>" not in named._repr_html_()
    assert "<script>&a" in text_of(named)
