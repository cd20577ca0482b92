"""The figure of a transfer matrix: a grid of numbers."""

import textwrap
from typing import IO, TYPE_CHECKING

import numpy as np

from r2rise.report.figures.canvas import dark, figure_in, per_cent
from r2rise.results.certificate import OUTCOME_WORDS
from r2rise.results.result import FigureFormat

if TYPE_CHECKING:
    from r2rise.results.transfer import Cell, Transfer

_MAX_NAME_WIDTH = 18
_MAX_OUTCOME_WIDTH = 10
_UNKNOWN_COLOUR = "0.9"


def draw_transfer(
    transfer: "Transfer",
    file: IO[bytes],
    *,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw for each learner and map the area between top and bottom segments.

    It is in per cent of the gain of all frames over random actions, and unknown if they gain
    nothing. Undecided cells are grey, and show the 95 % interval.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    names, n = transfer.names, len(transfer.names)
    cells = [[transfer.cell(learner, ranking) for ranking in names] for learner in names]
    shares = 100 * np.array([[cell.share for cell in row] for row in cells], dtype=np.float64)
    with figure_in(file, "transfer", (3.5 + 1.3 * n, 2.3 + 0.9 * n), format) as figure:
        axes = figure.add_subplot()
        low, high = np.nanmin([0.0, *shares.flat]), np.nanmax([100.0, *shares.flat])
        undecided = np.array([[cell.is_undecided for cell in row] for row in cells])
        coloured = np.ma.masked_where(undecided | ~np.isfinite(shares), shares)
        grid = axes.pcolormesh(coloured, cmap="Blues", vmin=low, vmax=high, edgecolor="white")
        axes.set_facecolor(_UNKNOWN_COLOUR)
        is_white = dark(grid.to_rgba(coloured).reshape(-1, 4)).reshape(n, n) & ~coloured.mask
        for row, column in np.ndindex(n, n):
            axes.text(
                column + 0.5, row + 0.5, _text(cells[row][column]), ha="center", va="center",
                color="white" if is_white[row, column] else "black",
            )  # fmt: skip
        labels = [textwrap.fill(name, _MAX_NAME_WIDTH) for name in names]
        positions = np.arange(n) + 0.5
        axes.set_xticks(positions, labels)
        axes.set_yticks(positions, labels)
        axes.set(xlabel="map", ylabel="learner", ylim=(n, 0))
        figure.colorbar(
            grid, ax=axes, label="top above bottom\n(% of what all frames gain;\ngrey: undecided)"
        )


def _text(cell: "Cell") -> str:
    lines = ["unknown" if cell.share is None else per_cent(cell.share)]
    if cell.is_undecided and cell.share_interval is not None:
        lower, upper = cell.share_interval
        lines.append(f"{100 * lower:.0f} to {per_cent(upper)}")
    words = OUTCOME_WORDS[cell.certificate.outcome]
    return "\n".join([*lines, textwrap.fill(words, _MAX_OUTCOME_WIDTH)])
