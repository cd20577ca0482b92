"""Results and demonstrations as they show in a notebook: a strip and a small table.

They take the colours of the text around them, so that they fit light and dark themes.
"""

from collections.abc import Iterable, Sequence
from functools import singledispatch
from html import escape
from typing import NamedTuple

import numpy as np

from r2rise.data.demonstrations import Demonstrations
from r2rise.report.figures.canvas import per_cent
from r2rise.report.figures.map_colours import is_saturated
from r2rise.report.figures.variance import PARTS
from r2rise.results.certificate import Certificate
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.map_words import ImportanceTable
from r2rise.results.plan import Plan
from r2rise.results.result import Result
from r2rise.statistics.wording import counted, duration, in_digits

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#808080"
_PALE = 0.15
_MAX_ROWS, _MAX_CELLS = 20, 1000
_TOP = 3
"""Segments at each end of a map's table."""


class _Cell(NamedTuple):
    """A piece of a row of a strip, with the text that shows when the mouse is over it."""

    start: float
    stop: float
    title: str
    colour: str = _GREY
    opacity: float = 0.25


@singledispatch
def html_of(value: object) -> str:
    """Return a result or demonstrations as HTML for a notebook."""
    raise TypeError(f"nothing shows {type(value).__name__} in a notebook")


@html_of.register
def _(result: Result) -> str:
    return _page(result.title, result.summary)


@html_of.register
def _(demonstrations: Demonstrations) -> str:
    lengths, rews = demonstrations.lengths.tolist(), demonstrations.rews
    rows = [
        (f"{number}", [_Cell(0, length, counted(length, "frame"))])
        for number, length in enumerate(lengths)
    ]
    table = [
        ("demonstrations", str(len(lengths))),
        ("frames", str(demonstrations.n_frames)),
        ("observations", f"{demonstrations.obs.shape[1:]} {demonstrations.obs.dtype}"),
        ("actions", f"{demonstrations.acts.shape[1:]} {demonstrations.acts.dtype}"),
    ]
    if rews is not None:
        table.append(("mean return", in_digits(float(rews.sum(dtype=np.float64)) / len(lengths))))
    summary = f"{len(lengths)} of {demonstrations.n_frames} frames in all"
    return _page("demonstrations", summary, _strip(rows), _table((), table))


@html_of.register
def _(importance_map: ImportanceMap) -> str:
    rows: dict[int, list[_Cell]] = {}
    for index, cell in enumerate(_map_cells(importance_map)):
        rows.setdefault(int(importance_map.segments.demonstration[index]), []).append(cell)
    table = ImportanceTable.segments(importance_map)
    order = table.in_order()
    ends = order if len(order) <= 2 * _TOP else order[:_TOP] + order[-_TOP:]
    places = [importance_map.segment(index) for index in ends]
    lines = [
        (str(place.demonstration), f"{place.start} to {place.stop - 1}", *table.cells(index))
        for place, index in zip(places, ends, strict=True)
    ]
    return _page(
        importance_map.title,
        importance_map.summary,
        *(_paragraph(f"Warning: {notice.detail}") for notice in importance_map.headlines),
        _strip([(str(number), cells) for number, cells in rows.items()]),
        _table(("demonstration", "frames", *table.columns), lines),
    )


@html_of.register
def _(certificate: Certificate) -> str:
    arms = ("top", "random_as_top", "random_as_bottom", "bottom")
    labels = ("most important", "random", "random", "least important")
    returns = [[getattr(level, arm).mean for level in certificate.levels] for arm in arms]
    lowest, highest = np.min(returns), np.max(returns)
    span = float(highest - lowest) or 1.0
    rows = [
        (label, [
            _Cell(i, i + 1, f"{per_cent(level.keep)} kept: {value:.4g}", _BLUE,
                  float(value - lowest) / span)
            for i, (level, value) in enumerate(zip(certificate.levels, values, strict=True))
        ])
        for label, values in zip(labels, returns, strict=True)
    ]  # fmt: skip
    lines = [
        (per_cent(level.keep), *(str(getattr(level, arm)) for arm in arms))
        for level in certificate.levels
    ]
    return _page(
        certificate.title,
        certificate.summary,
        _paragraph(certificate.in_words()),
        _strip(rows),
        _table(("kept", *labels), lines),
    )


@html_of.register
def _(curation: Curation) -> str:
    rows: dict[int, list[_Cell]] = {}
    for edit in sorted(curation.edits, key=lambda edit: (edit.demonstration, edit.start)):
        cell = _Cell(edit.start, edit.stop, edit.reason, _ORANGE, 0.8)
        rows.setdefault(edit.demonstration, []).append(cell)
    lines = [
        (str(trial.n_dropped), str(trial.mean_return), str(trial.gain)) for trial in curation.trials
    ]
    return _page(
        curation.title,
        curation.summary,
        _paragraph(curation.in_words()),
        _strip([(str(number), cells) for number, cells in rows.items()]),
        _table(("segments left out", "return", "gain over all frames"), lines),
    )


@html_of.register
def _(plan: Plan) -> str:
    cells, start = [], 0.0
    for number, (name, share) in enumerate(plan.variance.shares().items()):
        title = f"{PARTS[name]}: {per_cent(share)}"
        cells.append(_Cell(start, start + share, title, _BLUE, 0.9 - 0.2 * number))
        start += share
    lines = [
        (
            "own" if option.segment_length is None else str(option.segment_length),
            str(option.n_segments),
            "-" if option.retrainings is None else str(option.retrainings),
            "-" if option.seconds is None else duration(option.seconds),
            f"{option.reliability:.2f}",
        )
        for option in plan.options
    ]
    columns = ("segment length", "segments", "retrainings", "time", "reliability within the limits")
    return _page(
        plan.title,
        plan.summary,
        _paragraph(plan.in_words()),
        _strip([("variance", cells)]),
        _table(columns, lines),
    )


def _map_cells(importance_map: ImportanceMap) -> Iterable[_Cell]:
    """Yield a cell for each segment: blue helps, orange hurts; pale where that is not settled."""
    values = importance_map.importance
    if importance_map.estimator.sign == "order_only":
        values = values - np.nanmin(values)
    reach = float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0
    strengths = np.where(is_saturated(importance_map), np.abs(values) / reach, _PALE)
    for row, value, strength in zip(importance_map, values, strengths, strict=True):
        number, start, stop = row.segment
        place = f"demonstration {number}, frames {start} to {stop - 1}"
        if not np.isfinite(value):
            yield _Cell(start, stop, f"{place}: not estimated", opacity=0.0)
            continue
        colour = _BLUE if value >= 0 else _ORANGE
        yield _Cell(
            start, stop, f"{place}: {row.importance:+.4g} {row.verdict or ''}".rstrip(),
            colour if importance_map.is_worth_reading else _GREY, float(strength),
        )  # fmt: skip


def _page(title: str, summary: str, *parts: str) -> str:
    return (
        f"<div><p><b>{escape(title.capitalize())}</b>: {escape(summary)}</p>{''.join(parts)}</div>"
    )


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _strip(rows: Sequence[tuple[str, Sequence[_Cell]]]) -> str:
    """Return rows of cells along one scale, each with a label; only the first of very many."""
    n_cells = np.cumsum([len(cells) for _, cells in rows])
    n_shown = max(1, min(_MAX_ROWS, int((n_cells <= _MAX_CELLS).sum())))
    width = max((cell.stop for _, cells in rows for cell in cells), default=1)
    lines = "".join(
        f'<tr><td style="text-align: right; white-space: nowrap">{escape(label)}</td>'
        f'<td style="width: 100%"><svg width="100%" height="14" viewBox="0 0 {width:g} 1" '
        f'preserveAspectRatio="none">{"".join(map(_rectangle, cells))}</svg></td></tr>'
        for label, cells in rows[:n_shown]
    )
    more = len(rows) - n_shown
    note = _paragraph(f"and {more} more") if more > 0 else ""
    return f'<table style="width: 100%; max-width: 50em">{lines}</table>{note}' if rows else ""


def _rectangle(cell: _Cell) -> str:
    return (
        f'<rect x="{cell.start:g}" y="0" width="{cell.stop - cell.start:g}" height="1" '
        f'fill="{cell.colour}" fill-opacity="{cell.opacity:.3g}" stroke="{_GREY}" '
        f'stroke-width="1" vector-effect="non-scaling-stroke">'
        f"<title>{escape(cell.title)}</title></rect>"
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{lines}</table>" if lines else ""
