"""The figure of a variance split: one stacked bar."""

from typing import IO, TYPE_CHECKING

from r2rise.report.figures.canvas import BLUE, GREEN, ORANGE, figure_in
from r2rise.results.result import FigureFormat
from r2rise.statistics.wording import per_cents

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from r2rise.statistics.summaries import VarianceSplit

PARTS = {
    "masks": "which frames are kept",
    "training_seeds": "training seed",
    "masks_by_seeds": "frames kept and training seed together",
    "episodes": "chance in the evaluation episodes",
}
"""The parts of the variance as text."""

_LOOKS = ((BLUE, ""), (ORANGE, "///"), (GREEN, "|||"), ("0.85", "xx"))
_MIN_LABELLED_SHARE = 0.06
"""Smallest share whose label fits above its part of the bar."""


def draw_variance(
    split: "VarianceSplit",
    file: IO[bytes],
    *,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw the parts of the variance of the return of a retraining, in per cent.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    with figure_in(file, "variance", (8, 2.4), format) as figure:
        draw_bar(figure.add_subplot(), split)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)


def draw_bar(axes: "Axes", split: "VarianceSplit") -> None:
    """Draw the bar, with labelled parts for a legend."""
    start = 0.0
    shares = split.shares()
    percentages = per_cents(list(shares.values()))
    for (name, share), percentage, (colour, hatch) in zip(
        shares.items(), percentages, _LOOKS, strict=True
    ):
        axes.barh(0, share, left=start, color=colour, hatch=hatch, edgecolor="black",
                  label=f"{PARTS[name]}: {percentage} %")  # fmt: skip
        if share >= _MIN_LABELLED_SHARE:
            axes.text(start + share / 2, 0.45, f"{percentage} %", ha="center", va="bottom")
        start += share
    axes.set(
        xlim=(0, 1), ylim=(-0.45, 0.8), yticks=[],
        xticks=[0, 0.25, 0.5, 0.75, 1], xticklabels=["0", "25", "50", "75", "100"],
        xlabel="share of the variance of the returns (%)",
    )  # fmt: skip
    axes.spines[["left", "right", "top"]].set_visible(False)
