"""The picture of a comparison: the importance of every segment in both maps."""

from typing import IO, TYPE_CHECKING

import numpy as np

from r2rise.report.figures.canvas import (
    BLUE,
    GREY,
    MOST_SHAPES,
    NARROW,
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

_ALIKE = 1.5
"""Ratio of two maps' scales up to which the line of equal importance means something."""


def draw_comparison(
    comparison: "Comparison",
    first: "ImportanceMap",
    second: "ImportanceMap",
    file: IO[bytes],
    *,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw each segment's importance in the second map over that in the first.

    Where one map is larger throughout, the line is that of importance in equal proportion. Bars are
    standard errors.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    with figure_in(file, "comparison", (6.5, 6.5), format) as figure:
        axes = figure.add_subplot()
        _draw_segments(axes, comparison, first, second)
        if comparison.difference is not None:
            _draw_line(axes, first, second)
        axes.set(
            xlabel=in_lines(_label(comparison.labels[0], first), NARROW),
            ylabel=in_lines(_label(comparison.labels[1], second), NARROW),
            title=in_lines(f"{_title(comparison)}; bars are standard errors", NARROW),
        )
        figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _draw_line(axes: "Axes", first: "ImportanceMap", second: "ImportanceMap") -> None:
    """Draw where segments lie that are as important in both maps, if need be on their scales."""
    both = np.isfinite(first.importance) & np.isfinite(second.importance)
    sizes = [float(np.sqrt(np.mean(m.importance[both] ** 2))) for m in (first, second)]
    for line in (axes.axhline, axes.axvline):
        line(0, color="0.8", linewidth=0.8, zorder=0)
    if min(sizes) <= ROUNDING:
        return
    ratio = sizes[1] / sizes[0]
    alike = 1 / _ALIKE < ratio < _ALIKE
    label = "equal importance" if alike else f"in equal proportion (1 to {ratio:.2g})"
    axes.axline((0, 0), slope=1 if alike else ratio, color=GREY, linestyle="--", label=label)


def both_maps(
    comparison: "Comparison", one: "ImportanceMap"
) -> "tuple[ImportanceMap, ImportanceMap] | None":
    """Return what can be drawn of both maps where only one of them is at hand.

    Importance and standard errors of the other follow from the differences.

    Returns:
        First and second map; None where there are no differences, or they are of other maps.
    """
    between = comparison.difference
    if between is None or one.study_hash not in comparison.study_hashes:
        return None
    is_first = comparison.study_hashes[0] == one.study_hash
    variance = np.maximum(between.std_error**2 - one.std_error**2, 0.0)
    importance = one.importance + (-between.difference if is_first else between.difference)
    other = one.model_copy(update={"importance": importance, "std_error": np.sqrt(variance)})
    return (one, other) if is_first else (other, one)


def _draw_segments(
    axes: "Axes", comparison: "Comparison", first: "ImportanceMap", second: "ImportanceMap"
) -> None:
    both = np.isfinite(first.importance) & np.isfinite(second.importance)
    verdict = np.full(len(first), "unresolved", dtype=object)
    name_of_first = comparison.names[0] if comparison.names else "the first map"
    if comparison.difference is not None:
        verdict = np.array(comparison.difference.verdict, dtype=object)
    for name, (label, colour, marker, filling) in _LOOKS.items():
        own = both & (verdict == name)
        if not own.any():
            continue
        drawn = axes.errorbar(
            first.importance[own],
            second.importance[own],
            xerr=first.std_error[own],
            yerr=second.std_error[own],
            label=label.format(name_of_first) if comparison.difference is not None else "segments",
            linestyle="none",
            color=colour,
            ecolor="0.75",
            elinewidth=0.8,
            marker=marker,
            markerfacecolor=filling,
        )
        for bars in drawn.lines[2]:
            bars.set_rasterized(int(both.sum()) > MOST_SHAPES)


def _label(name: str, importance_map: "ImportanceMap") -> str:
    order_only = importance_map.estimator.sign == "order_only"
    unit = "order only" if order_only else unit_words(importance_map.estimator.unit)
    return f"importance in {name} ({unit})"


def _title(comparison: "Comparison") -> str:
    found = comparison.spearman
    if found.value is None:
        return f"Spearman: a map is constant, {comparison.n_segments} segments"
    interval = ""
    if found.lower is not None and found.upper is not None:
        interval = f" ({found.lower:.2f} to {found.upper:.2f})"
    return f"Spearman {found.value:.2f}{interval}, {comparison.n_segments} segments"
