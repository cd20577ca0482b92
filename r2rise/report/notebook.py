"""Results and demonstrations as they show in a notebook: a strip, a small table and words.

They take the colours of the text around them, so that they fit light and dark themes. Their looks
depend on no style sheet, and where a page removes their styles, words and symbols remain.
"""

from collections.abc import Collection, Iterable, Sequence
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
from r2rise.statistics.intervals import MeanInterval
from r2rise.statistics.wording import counted, decimals, duration, in_digits

_BLUE, _ORANGE, _GREY = "0, 114, 178", "213, 94, 0", "128, 128, 128"
"""Red, green and blue."""

_STRONG, _PALE = 0.75, 0.1
"""Opacity of the largest importance, on which text is readable, and of what is not settled."""

_SYMBOLS = {"helps": "+", "hurts": "\N{MINUS SIGN}", "negligible": "\N{BULLET}"}
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
    symbol: str = ""


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
        ("observations", f"{demonstrations.obs.shape[1:]} {demonstrations.obs.dtype}"),
        ("actions", f"{demonstrations.acts.shape[1:]} {demonstrations.acts.dtype}"),
    ]
    if rews is not None:
        table.append(("mean return", in_digits(float(rews.sum(dtype=np.float64)) / len(lengths))))
    summary = f"{len(lengths)} with {demonstrations.n_frames} frames in all"
    return _page("demonstrations", summary, _strip(rows), _table((), table, words=(0, 1)))


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
    first = importance_map.headlines
    warnings = [*first, *(notice for notice in importance_map.warnings if notice not in first)]
    return _page(
        importance_map.title,
        importance_map.summary,
        *(_paragraph(f"Warning: {notice.detail}") for notice in warnings),
        _strip([(str(number), cells) for number, cells in rows.items()]),
        _table(("demonstration", "frames", *table.columns), lines, words=(4,)),
    )


@html_of.register
def _(certificate: Certificate) -> str:
    arms = ("top", "random_as_top", "bottom", "random_as_bottom")
    columns = [_aligned([getattr(level, arm) for level in certificate.levels]) for arm in arms]
    kept = [per_cent(level.keep) for level in certificate.levels]
    labels = ("most important", "random, as many", "least important", "random, as many")
    return _page(
        certificate.title,
        certificate.summary,
        _paragraph(certificate.in_words()),
        _table(("kept", *labels), zip(kept, *columns, strict=True)),
    )


@html_of.register
def _(curation: Curation) -> str:
    rows: dict[int, list[_Cell]] = {}
    for edit in sorted(curation.edits, key=lambda edit: (edit.demonstration, edit.start)):
        title = f"frames {edit.start} to {edit.stop - 1}: {edit.reason}"
        cell = _Cell(edit.start, edit.stop, title, _ORANGE, _STRONG, _SYMBOLS["hurts"])
        rows.setdefault(edit.demonstration, []).append(cell)
    trials = curation.trials
    lines = zip(
        [str(trial.n_dropped) for trial in trials],
        _aligned([trial.mean_return for trial in trials]),
        _aligned([trial.gain for trial in trials]),
        strict=True,
    )
    return _page(
        curation.title,
        curation.summary,
        _paragraph(curation.in_words()),
        _strip([(str(number), cells) for number, cells in rows.items()]),
        _table(("segments left out", "return", "gain over all frames"), lines),
    )


@html_of.register
def _(plan: Plan) -> str:
    causes = [(PARTS[name], per_cent(share)) for name, share in plan.variance.shares().items()]
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
        _table(("cause", "share of the variance"), causes, words=(0,)),
        _table(columns, lines),
    )


def _map_cells(importance_map: ImportanceMap) -> Iterable[_Cell]:
    """Yield a cell for each segment: blue helps, orange hurts; pale where that is not settled."""
    values = importance_map.importance
    if importance_map.estimator.sign == "order_only":
        values = values - np.nanmin(values)
    reach = float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0
    strengths = np.where(is_saturated(importance_map), _STRONG * np.abs(values) / reach, _PALE)
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
            _SYMBOLS.get(row.verdict or "", ""),
        )  # fmt: skip


def _aligned(intervals: Sequence[MeanInterval]) -> list[str]:
    """Return the intervals of a column with the same number of decimals."""
    n = decimals(interval.mean for interval in intervals)
    return [
        f"{interval.mean:.{n}f}"
        if interval.lower is None or interval.upper is None
        else f"{interval.mean:.{n}f} ({interval.lower:.{n}f} to {interval.upper:.{n}f})"
        for interval in intervals
    ]


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
    label_width = max((len(label) for label, _ in rows), default=0)
    lines = "".join(
        f'<div style="display: flex; margin: 3px 0"><span style="width: {label_width + 1}ch; '
        f'text-align: right; padding-right: 1ch">{escape(label)}</span><div style="flex: 1; '
        f'position: relative">{" ".join(_cell(cell, width) for cell in cells)}</div></div>'
        for label, cells in rows[:n_shown]
    )
    more = len(rows) - n_shown
    note = _paragraph(f"and {more} more") if more > 0 else ""
    style = "max-width: 50em; margin: 1em 0; line-height: 1.4"
    return f'<div style="{style}">{lines}</div>{note}' if rows else ""


def _cell(cell: _Cell, width: float) -> str:
    left, share = 100 * cell.start / width, 100 * (cell.stop - cell.start) / width
    return (
        f'<span title="{escape(cell.title)}" style="position: absolute; left: {left:.4g}%; '
        f"width: {share:.4g}%; height: 100%; box-sizing: border-box; overflow: hidden; "
        f"border: 1px solid rgb({_GREY}); background: rgba({cell.colour}, {cell.opacity:.3g}); "
        f'line-height: 1.2; text-align: center; font-weight: bold">{cell.symbol}</span>'
    )


def _table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: Collection[int] = ()
) -> str:
    """Return a table of numbers, aligned by their last digits; `words` are columns of text."""
    lines = "".join(_table_row("td", cells, words) for cells in rows)
    head = _table_row("th", columns, words) if columns else ""
    scrolls = "overflow-x: auto; font-variant-numeric: tabular-nums"
    table = f'<table style="margin: 1em 0">{head}{lines}</table>'
    return f'<div style="{scrolls}">{table}</div>' if lines else ""


def _table_row(tag: str, cells: Sequence[str], words: Collection[int]) -> str:
    sides = ["left" if column in words else "right" for column in range(len(cells))]
    texts = "".join(
        f'<{tag} style="text-align: {side}; padding: 0.2em 0.5em; white-space: nowrap">'
        f"{escape(cell)}</{tag}>"
        for side, cell in zip(sides, cells, strict=True)
    )
    return f"<tr>{texts}</tr>"
