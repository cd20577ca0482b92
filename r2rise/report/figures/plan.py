"""The picture of a plan: what reliability takes, and where the variance comes from."""

from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from r2rise.report.figures.canvas import BLUE, ORANGE, figure_in, in_lines
from r2rise.report.figures.variance import draw_bar
from r2rise.results.result import FigureFormat
from r2rise.statistics.prediction import expected_reliability, masks_for
from r2rise.statistics.wording import counted, share_of_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from r2rise.results.plan import Option, Plan
    from r2rise.study.parts import Prediction

Floats = NDArray[np.float64]

_OTHERS = (("0.35", "--"), ("0.45", "-."), ("0.55", ":"), ("0.65", (0, (5, 1))))
"""Grey and dashes of each curve that is not proposed."""

_MOST_CURVES = 5
_POINTS = 200
_LEAST = 8
"""Retrainings at which the curves begin."""

_BEYOND = 6.0
"""How far they go on, over the proposed number."""


def draw_plan(plan: "Plan", file: IO[bytes], *, format: FigureFormat = "png") -> None:  # noqa: A002
    """Draw expected reliability over retrainings for each segment length, and the variance split.

    The proposed segments have the 80 % band of the prediction. Lines are the goal and the limit.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    with figure_in(file, "plan", (8, 6.2), format) as figure:
        axes, below = figure.subplots(2, 1, height_ratios=[4, 1])
        if plan.blur is None:
            axes.text(0.5, 0.5, "No reliability can be expected from this pilot.", ha="center",
                      transform=axes.transAxes)  # fmt: skip
            axes.set_axis_off()
        else:
            _draw_curves(axes, plan, plan.blur)
        draw_bar(below, plan.variance)
        axes.set_title(in_lines(_title(plan)))
        below.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6), ncols=2, frameon=False,
                     fontsize="small")  # fmt: skip


def _title(plan: "Plan") -> str:
    predicted = plan.study.prediction
    if plan.blur is None or predicted is None:
        return "Refused: see the text"
    proposed = f"{counted(predicted.retrainings, 'retraining')} of {_label(_proposed(plan))}"
    reached = f"reliability {share_of_one(predicted.reliability)} expected"
    if plan.outcome == "refused":
        return f"Refused: it would take {proposed} ({reached})"
    return f"Proposed: {proposed}, {reached}"


def _label(option: "Option") -> str:
    n = option.n_segments
    if option.segment_length is None:
        return f"{n} segments of your own"
    if option.segment_length == "all":
        return counted(n, "whole demonstration")
    return f"{counted(n, 'segment')} of {option.segment_length} frames"


def _proposed(plan: "Plan") -> "Option":
    length = plan.study.masking.segment_length
    return next(option for option in plan.options if option.segment_length == length)


def _draw_curves(axes: "Axes", plan: "Plan", blur: float) -> None:
    predicted, limit = plan.study.prediction, _limit(plan, blur)
    n = predicted.retrainings if predicted is not None else _LEAST
    x = np.geomspace(min(_LEAST, n / 4), _BEYOND * n, _POINTS)
    others = iter(_OTHERS)
    for option in _shown(plan):
        ours = option is _proposed(plan)
        colour, dashes = (BLUE, "-") if ours else next(others)
        axes.plot(x, expected_reliability(x, option.n_segments, blur), color=colour,
                  linestyle=dashes, linewidth=2.0 if ours else 1.2,
                  label=_label(option))  # fmt: skip
    if predicted is not None:
        _draw_prediction(axes, predicted, x, _proposed(plan).n_segments)
    axes.axhline(plan.goal, color="black", linewidth=0.8, label=f"goal: {plan.goal:g}")
    if limit is not None:
        _draw_limit(axes, limit, x[-1])
    _scale(axes, x)


def _draw_limit(axes: "Axes", limit: float, longest: float) -> None:
    label = f"limit: {counted(round(limit), 'retraining')}"
    if limit <= longest:
        axes.axvline(limit, color=ORANGE, linestyle=":", linewidth=2, label=label)
    else:
        axes.plot([], [], linestyle="none", label=f"{label}, to the right of the picture")


def _scale(axes: "Axes", x: Floats) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="retrainings", ylabel="expected reliability", xlim=(x[0], x[-1]),
             ylim=(0, 1.03))  # fmt: skip
    axes.legend(loc="lower right", fontsize="small")


def _shown(plan: "Plan") -> list["Option"]:
    """Return what has a curve: the proposed segments, some shorter and longer ones around them."""
    start = plan.options.index(_proposed(plan))
    first = max(0, min(start - 1, len(plan.options) - _MOST_CURVES))
    return list(plan.options[first : first + _MOST_CURVES])


def _draw_prediction(axes: "Axes", predicted: "Prediction", x: Floats, n_segments: int) -> None:
    """Draw the number that is proposed, and the band that its interval means at other numbers."""
    n = predicted.retrainings
    low = _reliability(x, n, predicted.reliability_low, n_segments)
    high = _reliability(x, n, predicted.reliability_high, n_segments)
    axes.fill_between(x, low, high, color=BLUE, alpha=0.15, linewidth=0, label="80 % band")
    axes.plot([n], [predicted.reliability], "o", color=BLUE, zorder=4,
              label=f"proposed: {counted(n, 'retraining')}")  # fmt: skip


def _reliability(x: Floats, n: float, reached: float, n_segments: int) -> Floats:
    """Return what x retrainings reach where n reach so much; 0 where n reach nothing."""
    if reached <= 0:
        return np.zeros_like(x)
    blur = n / masks_for(min(reached, 1 - 1e-9), n_segments, 1.0)
    return expected_reliability(x, n_segments, blur)


def _limit(plan: "Plan", blur: float) -> float | None:
    """Return the retrainings of the proposed segments that the limits allow, in whole blocks.

    A study that is proposed has them as its budget; for one that is refused they follow from the
    reliability of its option, unless not even two blocks are allowed.
    """
    predicted, proposed = plan.study.prediction, _proposed(plan)
    if plan.outcome != "refused":
        return float(plan.study.budget.retrainings)
    if predicted is None or not 0 < proposed.reliability < 1:
        return None
    return masks_for(proposed.reliability, proposed.n_segments, blur)
