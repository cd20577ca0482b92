"""What all figures share: how they are made, saved and labelled."""

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
"""Okabe and Ito (2008): told apart by colour-blind people."""

MOST_SHAPES = 400
"""Shapes beyond which they are stored as pixels, so that an SVG stays small."""

WIDE, NARROW = 95, 70
"""Letters that fit a line of a figure of 8 and of 6 inches."""

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
    """Make a figure that is saved when the block ends well, in the same bytes every time.

    Whatever style the user has set is left alone, in both directions.

    Args:
        file: Where it is written.
        name: What it shows; names inside the SVG follow from it.
        size: Width and height in inches.
        format: Pixels or shapes; text stays text in an SVG.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    require("matplotlib", "Drawing a figure", "plot")
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ours = {
        "svg.hashsalt": f"r2rise {name}",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "axes.titlesize": "medium",
    }
    with style.context(["default", ours]):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(file, format=format, dpi=_DOTS_PER_INCH, metadata=_NO_DATE[format])


def unit_words(unit: str) -> str:
    """Return a unit for people: `episode_return` is `episode return`."""
    return unit.replace("_", " ")


def per_cent(share: float) -> str:
    """Return a share as per cent."""
    return f"{100 * share:.0f} %"


def in_lines(text: str, widest: int = WIDE) -> str:
    """Return a title or label in lines of so many letters."""
    return textwrap.fill(text, widest)


def dark(colours: Any) -> Any:
    """Return which RGBA colours, (n, 4), need a white mark on them: (n,) bool."""
    return np.asarray(colours)[:, :3] @ (0.299, 0.587, 0.114) < 0.5


def draw_intervals(
    axes: "Axes", x: Sequence[float], intervals: Sequence["MeanInterval"], **look: Any
) -> None:
    """Draw means with their 95 % intervals; where there is none, the mean alone."""
    means = np.array([interval.mean for interval in intervals])
    lower = np.array([interval.mean if interval.lower is None else interval.lower
                      for interval in intervals])  # fmt: skip
    upper = np.array([interval.mean if interval.upper is None else interval.upper
                      for interval in intervals])  # fmt: skip
    axes.errorbar(x, means, yerr=[means - lower, upper - means], capsize=3, **look)
