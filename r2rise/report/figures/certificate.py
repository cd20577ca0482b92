"""The figure of a certificate: returns from the top, the bottom and random segments."""

from typing import IO, TYPE_CHECKING, Any

from r2rise.report.figures.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    draw_intervals,
    figure_in,
    in_lines,
    unit_words,
)
from r2rise.results.certificate import OUTCOME_WORDS
from r2rise.results.result import FigureFormat

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from r2rise.results.certificate import Certificate
    from r2rise.statistics.summaries import Baseline

_CURVES: dict[str, dict[str, Any]] = {
    "top": {"label": "most important", "color": BLUE, "marker": "o", "linestyle": "-"},
    "bottom": {"label": "least important", "color": ORANGE, "marker": "s", "linestyle": "--"},
    "random_as_top": {
        "label": "random, sized as most important",
        "color": GREEN, "marker": "^", "linestyle": ":", "markerfacecolor": "white",
    },
    "random_as_bottom": {
        "label": "random, sized as least important",
        "color": GREEN, "marker": "v", "linestyle": "-.", "markerfacecolor": "white",
    },
}  # fmt: skip
_OFFSET = 0.6
"""Horizontal offset of curves in percentage points, so that intervals do not overlap."""


def draw_certificate(
    certificate: "Certificate",
    file: IO[bytes],
    *,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw the returns of each arm over the share of segments kept, with 95 % intervals.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    with figure_in(file, "certificate", (8, 5), format) as figure:
        axes = figure.add_subplot()
        for number, (arm, look) in enumerate(_CURVES.items()):
            x = [100 * level.keep + _OFFSET * (number - 1.5) for level in certificate.levels]
            draw_intervals(axes, x, [getattr(level, arm) for level in certificate.levels], **look)
        _draw_baseline(axes, certificate.baseline)
        axes.set(
            xlabel="segments kept (%)",
            ylabel=f"mean {unit_words(certificate.unit)}",
            xlim=(0, 100),
            title=in_lines(_title(certificate)),
        )
        figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _draw_baseline(axes: "Axes", baseline: "Baseline") -> None:
    lines = (
        ("all frames", baseline.all_frames, (0, (8, 3))),
        ("random actions", baseline.random_policy, (0, (1, 3))),
    )
    for label, returns, style in lines:
        if returns is not None:
            axes.axhline(returns.mean, color=GREY, linewidth=1.2, linestyle=style, label=label)


def _title(certificate: "Certificate") -> str:
    subject = certificate.algorithm
    if certificate.map_algorithm != certificate.algorithm:
        subject += f" on the map of {certificate.map_algorithm}"
    luck = certificate.luck_p
    chance = "" if luck is None else f"; chance ordering p = {luck:.2g}"
    return f"{OUTCOME_WORDS[certificate.outcome].capitalize()} ({subject}{chance})"
