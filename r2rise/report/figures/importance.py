"""The figure of an importance map."""

from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import InputError, require
from r2rise.report.figures.canvas import MAX_SHAPES, dark, figure_in, in_lines, unit_words
from r2rise.report.figures.map_colours import (
    FADE_GREY,
    cell_colours,
    colour_scale,
    is_saturated,
)
from r2rise.results.map_table import HOLDS_FOR
from r2rise.results.result import FigureFormat

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PatchCollection

    from r2rise.results.importance_map import ImportanceMap

_MARKS = {"helps": "+", "hurts": "_", "negligible": "."}
"""Matplotlib's marker of each verdict: plus, minus and dot."""

_WIDTH, _AXES_WIDTH = 9.0, 8.1
_ROW_HEIGHT, _MAX_ROWS = 0.42, 60
_CELL = 0.8
_ENTRY_WIDTH = 1.3
"""Of a legend, in inches."""

_MIN_MARK, _MAX_MARK = 3.5, 9.0
_POINTS_PER_INCH = 72
_HATCH: dict[str, Any] = {
    "facecolor": "none", "edgecolor": "0.6", "hatch": "////", "linewidth": 0
}  # fmt: skip


def draw_importance(
    importance_map: "ImportanceMap",
    file: IO[bytes],
    *,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw demonstrations as rows and frames along x, coloured by importance.

    Only segments that help or hurt have saturated colours. Verdicts are marks inside the cells. If
    the cells are too small, lines are drawn above those that help and below those that hurt.
    Segments that were not estimated are hatched.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    lengths = importance_map.dataset.lengths
    rows = _ROW_HEIGHT * min(len(lengths), _MAX_ROWS)
    with figure_in(file, "importance", (_WIDTH, 2.1 + rows), format) as figure:
        scale, axes = figure.subplots(2, 1, height_ratios=[0.13, rows])
        image = _draw_map(axes, importance_map, _AXES_WIDTH, rows)
        figure.colorbar(image, cax=scale, orientation="horizontal", label=_unit(importance_map))
        scale.set_title(in_lines(_title(importance_map)))


def plot_importance(importance_map: "ImportanceMap", axes: "Axes | None") -> "Axes":
    """Draw the same on given axes, or on those of a new figure, with the colour bar beside them.

    Raises:
        InputError: When the axes are not those of matplotlib.
        MissingExtra: When matplotlib is not installed.
    """
    require("matplotlib", "Drawing a figure", "plot")
    from matplotlib.axes import Axes

    if axes is not None and not isinstance(axes, Axes):
        raise InputError(f"axes should be axes of matplotlib, got {type(axes).__name__}.")
    if axes is None:
        from matplotlib import pyplot

        rows = _ROW_HEIGHT * min(len(importance_map.dataset.lengths), _MAX_ROWS)
        axes = pyplot.subplots(figsize=(_WIDTH, 1.5 + rows), layout="constrained")[1]
    box, dpi = axes.get_window_extent(), axes.figure.dpi
    image = _draw_map(axes, importance_map, box.width / dpi, box.height / dpi)
    axes.figure.colorbar(image, ax=axes, label=_unit(importance_map))
    return axes


def _draw_map(
    axes: "Axes", importance_map: "ImportanceMap", width: float, height: float
) -> "ScalarMappable":
    """Draw cells, verdicts and legend on axes of a size in inches; return the colour scale."""
    lengths = importance_map.dataset.lengths
    cell = (width / lengths.max(), height / len(lengths))
    scale = colour_scale(importance_map)
    _draw_cells(axes, importance_map, scale)
    handles = [*_draw_verdicts(axes, importance_map, scale, cell)]
    handles += _draw_gaps(axes, importance_map)
    _label(axes, lengths)
    if handles:
        axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0),
                    ncols=min(5, max(1, int(width / _ENTRY_WIDTH))), frameon=False,
                    fontsize="small", handletextpad=0.4)  # fmt: skip
    return scale


def _label(axes: "Axes", lengths: NDArray[np.int64]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(
        xlabel="frame",
        ylabel="demonstration",
        xlim=(0, int(lengths.max())),
        ylim=(len(lengths) - 0.5, -0.5),
    )
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_cells(axes: "Axes", importance_map: "ImportanceMap", scale: "ScalarMappable") -> None:
    is_estimated = np.isfinite(importance_map.importance)
    many = len(is_estimated) > MAX_SHAPES
    colours = cell_colours(importance_map, scale)
    cells = _boxes(
        importance_map,
        is_estimated,
        facecolor=colours[is_estimated],
        edgecolor="white",
        linewidth=0.1 if many else 0.5,
    )
    axes.add_collection(cells)


def _draw_gaps(axes: "Axes", importance_map: "ImportanceMap") -> "list[Artist]":
    """Hatch segments that were not estimated, and return the legend handles."""
    from matplotlib.patches import Patch

    missing = ~np.isfinite(importance_map.importance)
    if not missing.any():
        return []
    axes.add_collection(_boxes(importance_map, missing, **_HATCH))
    return [Patch(label="not estimated", **_HATCH)]


def _boxes(
    importance_map: "ImportanceMap", selected: NDArray[np.bool_], **look: Any
) -> "PatchCollection":
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    table = importance_map.segments
    positions = zip(
        table.demonstration[selected], table.start[selected], table.stop[selected], strict=True
    )
    boxes = [Rectangle((a, row - _CELL / 2), b - a, _CELL) for row, a, b in positions]
    return PatchCollection(boxes, rasterized=len(selected) > MAX_SHAPES, **look)


def _draw_verdicts(
    axes: "Axes",
    importance_map: "ImportanceMap",
    scale: "ScalarMappable",
    cell: tuple[float, float],
) -> "list[Artist]":
    """Mark the verdicts, and return the legend handles.

    Args:
        axes: The axes.
        importance_map: The map.
        scale: Its colours.
        cell: Width of a frame and height of a demonstration in inches.
    """
    if importance_map.verdicts is None or importance_map.holds_for_one_seed:
        return _no_verdict_handles(importance_map)
    verdict = np.array(importance_map.verdicts.verdict, dtype=object)
    verdict[~np.isfinite(importance_map.importance)] = None
    table = importance_map.segments
    width = cell[0] * _POINTS_PER_INCH * (table.stop - table.start)
    height = cell[1] * _POINTS_PER_INCH * _CELL
    size = np.minimum(0.7 * np.minimum(width, height), _MAX_MARK)
    if np.median(size) < _MIN_MARK:
        return _draw_lines(axes, importance_map, verdict)
    return _draw_marks(axes, importance_map, scale, verdict, size)


def _no_verdict_handles(importance_map: "ImportanceMap") -> "list[Artist]":
    """Return the legend handles of a map without verdicts."""
    from matplotlib.lines import Line2D

    if importance_map.holds_for_one_seed:
        label = f"no verdicts: intervals hold for {HOLDS_FOR['masks']}"
    elif not importance_map.is_worth_reading or is_saturated(importance_map).all():
        return []
    else:
        label = "pale: this ranking would hardly be reproduced"
    return [Line2D([], [], linestyle="none", label=label)]


def _draw_marks(
    axes: "Axes",
    importance_map: "ImportanceMap",
    scale: "ScalarMappable",
    verdict: NDArray[np.object_],
    size: NDArray[np.float64],
) -> "list[Artist]":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    table = importance_map.segments
    colour = np.where(dark(cell_colours(importance_map, scale)), "white", "black")
    handles: list[Artist] = []
    for name, marker in _MARKS.items():
        selected = verdict == name
        axes.scatter(
            (table.start + table.stop)[selected] / 2,
            table.demonstration[selected],
            s=size[selected] ** 2,
            c=colour[selected],
            marker=marker,
            linewidths=0 if marker == "." else 1.5,
        )
        look: dict[str, Any] = {"marker": marker, "markersize": _MAX_MARK, "color": "black"}
        label = f"{name} (pale)" if name == "negligible" else name
        handles.append(Line2D([], [], linestyle="none", label=label, **look))
    unmarked = Patch(facecolor=str(FADE_GREY), edgecolor="0.8", label="unresolved (pale)")
    return [*handles, unmarked]


def _draw_lines(
    axes: "Axes", importance_map: "ImportanceMap", verdict: NDArray[np.object_]
) -> "list[Artist]":
    from matplotlib.lines import Line2D

    table = importance_map.segments
    for name, offset in (("helps", -0.45), ("hurts", 0.45)):
        selected = verdict == name
        axes.hlines(
            table.demonstration[selected] + offset,
            table.start[selected],
            table.stop[selected],
            colors="black",
            linewidth=1.2,
            rasterized=len(table.start) > MAX_SHAPES,
        )
    labels = ("line above: helps", "line below: hurts", "pale, no line: negligible or unresolved")
    return [Line2D([], [], linestyle="none", label=label) for label in labels]


def _unit(importance_map: "ImportanceMap") -> str:
    if importance_map.estimator.sign == "order_only":
        return "importance (order only)"
    return f"importance ({unit_words(importance_map.estimator.unit)})"


def _title(importance_map: "ImportanceMap") -> str:
    study, quality = importance_map.study, importance_map.quality
    parts = [f"{study.environment.id}, {study.algorithm.name}"]
    parts.append(f"{importance_map.retrainings.done} retrainings")
    if quality.reliability is not None:
        parts.append(f"reliability {quality.reliability:.2f}")
    if not importance_map.is_worth_reading:
        parts.append(f"grey because {_why_grey(importance_map)}")
    return ", ".join(parts)


def _why_grey(importance_map: "ImportanceMap") -> str:
    codes = {notice.code for notice in importance_map.warnings}
    if not importance_map.varies:
        return "every mask gave the same return"
    weak_words = "the policy is hardly better than random actions"
    return weak_words if "weak_policy" in codes else "most masks reach the same highest return"
