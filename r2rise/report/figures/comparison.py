"""The figure of a comparison: the importance of every segment in both maps."""

from typing import IO, TYPE_CHECKING

import numpy as np

from r2rise.report.figures.canvas import (
    BLUE,
    GREY,
    MAX_SHAPES,
    NARROW_LINE,
    ORANGE,
    figure_in,
    in_lines,
    unit_words,
)
from r2rise.results.result import FigureFormat
from r2rise.statistics.wording import ROUNDING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from r2rise.results.comparison import Comparison
    from r2rise.results.importance_map import ImportanceMap

_LOOKS = {
    "unresolved": ("no difference found", GREY, "o", "white"),
    "helps": ("more important in {}", BLUE, "^", BLUE),
    "hurts": ("less important in {}", ORANGE, "v", ORANGE),
}
"""Label, colour, marker and filling of each verdict on a difference."""

_MAX_SCALE_RATIO = 1.5
"""Largest ratio of the scales of two maps for which the line of equal importance is drawn."""


def draw_comparison(
    comparison: "Comparison",
    first: "ImportanceMap",
    second: "ImportanceMap",
    file: IO[bytes],
    *,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw each segment's importance in the second map over that in the first.

    If the scales of the maps differ, the line shows proportional instead of equal importance. Bars
    are standard errors.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    with figure_in(file, "comparison", (6.5, 6.5), format) as figure:
        axes = figure.add_subplot()
        _draw_segments(axes, comparison, first, second)
        if comparison.difference is not None:
            _draw_line(axes, first, second)
        axes.set(
            xlabel=in_lines(_label(comparison.labels[0], first), NARROW_LINE),
            ylabel=in_lines(_label(comparison.labels[1], second), NARROW_LINE),
            title=in_lines(f"{_title(comparison)}; bars are standard errors", NARROW_LINE),
        )
        figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _draw_line(axes: "Axes", first: "ImportanceMap", second: "ImportanceMap") -> None:
    """Draw the line of equal importance, or of proportional importance if the scales differ."""
    both = np.isfinite(first.importance) & np.isfinite(second.importance)
    sizes = [float(np.sqrt(np.mean(m.importance[both] ** 2))) for m in (first, second)]
    for draw_axis in (axes.axhline, axes.axvline):
        draw_axis(0, color="0.8", linewidth=0.8, zorder=0)
    if min(sizes) <= ROUNDING:
        return
    ratio = sizes[1] / sizes[0]
    has_same_scale = 1 / _MAX_SCALE_RATIO < ratio < _MAX_SCALE_RATIO
    label = "equal importance" if has_same_scale else f"in equal proportion (1 to {ratio:.2g})"
    axes.axline(
        (0, 0), slope=1 if has_same_scale else ratio, color=GREY, linestyle="--", label=label
    )


def both_maps(
    comparison: "Comparison", available: "ImportanceMap"
) -> "tuple[ImportanceMap, ImportanceMap] | None":
    """Return both maps of a comparison, given only one of them.

    Importance and standard errors of the other map are derived from the differences.

    Returns:
        First and second map; None if there are no differences, or they are of other maps.
    """
    differences = comparison.difference
    if differences is None or available.study_hash not in comparison.study_hashes:
        return None
    is_first = comparison.study_hashes[0] == available.study_hash
    variance = np.maximum(differences.std_error**2 - available.std_error**2, 0.0)
    importance = available.importance + (
        -differences.difference if is_first else differences.difference
    )
    derived = available.model_copy(
        update={"importance": importance, "std_error": np.sqrt(variance)}
    )
    return (available, derived) if is_first else (derived, available)


def _draw_segments(
    axes: "Axes", comparison: "Comparison", first: "ImportanceMap", second: "ImportanceMap"
) -> None:
    both = np.isfinite(first.importance) & np.isfinite(second.importance)
    verdict = np.full(len(first), "unresolved", dtype=object)
    name_of_first = comparison.names[0] if comparison.names else "the first map"
    if comparison.difference is not None:
        verdict = np.array(comparison.difference.verdict, dtype=object)
    for name, (label, colour, marker, filling) in _LOOKS.items():
        selected = both & (verdict == name)
        if not selected.any():
            continue
        container = axes.errorbar(
            first.importance[selected],
            second.importance[selected],
            xerr=first.std_error[selected],
            yerr=second.std_error[selected],
            label=label.format(name_of_first) if comparison.difference is not None else "segments",
            linestyle="none",
            color=colour,
            ecolor="0.75",
            elinewidth=0.8,
            marker=marker,
            markerfacecolor=filling,
        )
        for bars in container.lines[2]:
            bars.set_rasterized(int(both.sum()) > MAX_SHAPES)


def _label(name: str, importance_map: "ImportanceMap") -> str:
    order_only = importance_map.estimator.sign == "order_only"
    unit = "order only" if order_only else unit_words(importance_map.estimator.unit)
    return f"importance in {name} ({unit})"


def _title(comparison: "Comparison") -> str:
    correlation = comparison.spearman
    if correlation.value is None:
        return f"Spearman: a map is constant, {comparison.n_segments} segments"
    interval = ""
    if correlation.lower is not None and correlation.upper is not None:
        interval = f" ({correlation.lower:.2f} to {correlation.upper:.2f})"
    return f"Spearman {correlation.value:.2f}{interval}, {comparison.n_segments} segments"
