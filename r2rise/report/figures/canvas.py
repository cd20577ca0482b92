"""Functions that all figures share to create, save and label them."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from r2rise.errors import require
from r2rise.results.result import FigureFormat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from r2rise.statistics.intervals import MeanInterval

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#555555"
"""Colours of Okabe and Ito (2008), which colour-blind people can distinguish."""

MAX_SHAPES = 400
"""Number of shapes above which they are rasterised, so that an SVG stays small."""

WIDE_LINE, NARROW_LINE = 95, 70
"""Characters that fit a line of a figure 8 and 6 inches wide."""

_DOTS_PER_INCH = 150
_NO_DATE = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}


@contextmanager
def figure_in(
    file: IO[bytes],
    name: str,
    size: tuple[float, float],
    format: FigureFormat,  # noqa: A002
) -> Iterator["Figure"]:
    """Create a figure that is saved if the block succeeds. The bytes are reproducible.

    The matplotlib style of the user neither affects the figure nor is changed.

    Args:
        file: File to write to.
        name: Name of the figure, from which the ids in an SVG are derived.
        size: Width and height in inches.
        format: `png` or `svg`; text stays text in an SVG.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    require("matplotlib", "Drawing a figure", "plot")
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings = {
        "svg.hashsalt": f"r2rise {name}",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "axes.titlesize": "medium",
    }
    with style.context(["default", settings]):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(file, format=format, dpi=_DOTS_PER_INCH, metadata=_NO_DATE[format])


def unit_words(unit: str) -> str:
    """Return a unit as text, such as `episode return` for `episode_return`."""
    return unit.replace("_", " ")


def per_cent(share: float) -> str:
    """Return a share in per cent, rounded, as text."""
    return f"{100 * share:.0f} %"


def in_lines(text: str, widest: int = WIDE_LINE) -> str:
    """Return a title or label, wrapped to lines of at most `widest` characters."""
    return textwrap.fill(text, widest)


def dark(colours: Any) -> Any:
    """Return whether each RGBA colour, (n, 4), is so dark that a mark on it must be white, (n,)."""
    return np.asarray(colours)[:, :3] @ (0.299, 0.587, 0.114) < 0.5


def draw_intervals(
    axes: "Axes", x: Sequence[float], intervals: Sequence["MeanInterval"], **look: Any
) -> None:
    """Draw means with their 95 % intervals, or the mean alone if it has none."""
    means = np.array([interval.mean for interval in intervals])
    lower = np.array([interval.mean if interval.lower is None else interval.lower
                      for interval in intervals])  # fmt: skip
    upper = np.array([interval.mean if interval.upper is None else interval.upper
                      for interval in intervals])  # fmt: skip
    axes.errorbar(x, means, yerr=[means - lower, upper - means], capsize=3, **look)
