"""What a notebook shows of results and demonstrations."""

import re
from typing import NamedTuple
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


class Piece(NamedTuple):
    """A piece of a strip as it is drawn, in per cent of the strip's width."""

    title: str
    left: float
    width: float
    colour: str
    opacity: float
    symbol: str | None


LOOK = re.compile(r"left: (\S+)%; width: (\S+)%;.* background: rgba\((.+), (\S+)\);")


def pieces(value) -> list[Piece]:
    """The pieces of the strip."""
    found = []
    for cell in parsed(value).iter("span"):
        if title := cell.get("title"):
            left, width, colour, opacity = LOOK.search(cell.get("style")).groups()
            found.append(Piece(title, float(left), float(width), colour, float(opacity), cell.text))
    return found


def rows(value, table: int = -1) -> list[list[str]]:
    """The cells of a table, by default of the last one."""
    return [[cell.text for cell in row] for row in [*parsed(value).iter("table")][table]]


BLUE, ORANGE, GREY = "0, 114, 178", "213, 94, 0", "128, 128, 128"
MINUS = "\N{MINUS SIGN}"


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
    shown = pieces(MAP)
    assert [piece.title for piece in shown] == [
        "demonstration 0, frames 0 to 9: +3 helps",
        "demonstration 0, frames 10 to 19: -2 hurts",
        "demonstration 1, frames 0 to 9: +1 unresolved",
        "demonstration 1, frames 10 to 19: not estimated",
    ]
    assert [piece[1:] for piece in shown] == [
        (0, 50, BLUE, 0.75, "+"),
        (50, 50, ORANGE, 0.5, MINUS),
        (0, 50, BLUE, 0.1, None),  # pale: no verdict says that it helps
        (50, 50, GREY, 0, None),
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
    look = [(piece.colour, piece.opacity, piece.symbol) for piece in pieces(unsigned)]
    assert look == [(BLUE, 0.75, None), (BLUE, 0, None), (BLUE, 0.45, None), (GREY, 0, None)]


def test_a_map_that_is_not_worth_reading_is_grey():
    notice = Notice(code="weak_policy", detail="The policy is too weak.")
    weak = MAP.model_copy(update={"warnings": (notice,)})
    assert {piece.colour for piece in pieces(weak)} == {GREY}
    assert "Warning: The policy is too weak." in text_of(weak)


def test_all_warnings_are_shown_those_about_the_policy_first():
    codes = {"low_reliability": "Much of it is luck.", "weak_policy": "The policy is too weak."}
    notices = tuple(Notice(code=code, detail=detail) for code, detail in codes.items())
    shown = text_of(MAP.model_copy(update={"warnings": notices}))
    assert re.findall(r"Warning: (.+?\.)", shown) == [
        "The policy is too weak.", "Much of it is luck."
    ]  # fmt: skip


def test_a_long_map_shows_its_ends_and_says_what_is_left_out():
    values = np.arange(50.0) - 25
    long = made_map(values, ["helps"] * 50, n_demos=50)
    assert [row[2] for row in rows(long)[1:]] == [
        "+24.00", "+23.00", "+22.00", "-23.00", "-24.00", "-25.00"
    ]  # fmt: skip
    assert len(pieces(long)) == 20
    assert "and 30 more" in text_of(long)


def test_demonstrations_show_their_lengths_and_arrays():
    demonstrations = Demonstrations(
        obs=np.zeros((10, 4), np.float32),
        acts=np.zeros(8, np.int64),
        lengths=np.array([5, 3]),
        rews=np.arange(8.0),
    )
    assert [(piece.title, piece.width) for piece in pieces(demonstrations)] == [
        ("5 frames", 100), ("3 frames", 60)
    ]  # fmt: skip
    assert text_of(demonstrations).startswith("Demonstrations : 2 with 8 frames in all")
    assert rows(demonstrations) == [
        ["observations", "(4,) float32"],
        ["actions", "() int64"],
        ["mean return", "14"],
    ]


def test_certificate_curation_and_plan_say_what_they_found():
    certificate, curation, plan = golden(Certificate), golden(Curation), golden(Plan)
    for result in (certificate, curation, plan):
        assert result.in_words() in text_of(result)
    for level, row in zip(certificate.levels, rows(certificate)[1:], strict=True):
        arms = (level.top, level.random_as_top, level.bottom, level.random_as_bottom)
        assert [numbers(cell)[0] for cell in row[1:]] == pytest.approx(
            [arm.mean for arm in arms], abs=0.05
        )
    assert [(piece.left, piece.symbol) for piece in pieces(curation)] == [
        (pytest.approx(100 * edit.start / max(e.stop for e in curation.edits), abs=0.1), MINUS)
        for edit in sorted(curation.edits, key=lambda e: (e.demonstration, e.start))
    ]
    for trial, row in zip(curation.trials, rows(curation)[1:], strict=True):
        assert row[0] == str(trial.n_dropped)
        gain = trial.gain
        assert numbers(row[2]) == pytest.approx([gain.mean, gain.lower, gain.upper], abs=0.05)
    shares = [round(100 * share) for share in plan.variance.shares().values()]
    assert [row[1] for row in rows(plan, 0)[1:]] == [f"{share} %" for share in shares]
    assert len(rows(plan)) == 1 + len(plan.options)


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", cell)]


def test_digits_of_a_column_are_below_each_other():
    for result in (golden(Certificate), golden(Curation)):
        for column in list(zip(*rows(result)[1:], strict=True))[1:]:
            assert len({len(cell.split()[0].partition(".")[2]) for cell in column}) == 1


def test_a_plan_is_summarised_by_what_it_proposes():
    plan = golden(Plan)
    predicted = plan.study.prediction
    assert plan.summary == (
        f"as asked, {predicted.retrainings} retrainings of segments of 10 frames, reliability "
        f"{predicted.reliability:.2f}"
    )
    refused = plan.study.model_copy(update={"prediction": None})
    assert plan.model_copy(update={"outcome": "refused", "study": refused}).summary == (
        "refused, segments of 10 frames"
    )


def test_names_of_users_are_text():
    study = MAP.study.model_copy(
        update={"environment": r2rise.Study(environment="<script>&a").environment}
    )
    named = MAP.model_copy(update={"study": study})
    assert "<script>" not in named._repr_html_()
    assert "<script>&a" in text_of(named)
