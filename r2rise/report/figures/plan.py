"""The figure of a plan: expected reliability over retrainings, and the variance split."""

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

_OTHER_LOOKS = (("0.35", "--"), ("0.45", "-."), ("0.55", ":"), ("0.65", (0, (5, 1))))
"""Grey and line style of the curves of options that are not proposed."""

_MAX_CURVES = 5
_N_POINTS = 200
_MIN_RETRAININGS = 8
"""Number of retrainings at which the curves start, at most."""

_X_RANGE = 6.0
"""Ratio of the number of retrainings at which they end to the proposed number."""


def draw_plan(plan: "Plan", file: IO[bytes], *, format: FigureFormat = "png") -> None:  # noqa: A002
    """Draw expected reliability over retrainings for each segment length, and the variance split.

    The proposed option is drawn with the 80 % band of the prediction. Lines mark the goal and the
    limit.

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
    expected = f"reliability {share_of_one(predicted.reliability)} expected"
    if plan.outcome == "refused":
        return f"Refused: it would take {proposed} ({expected})"
    return f"Proposed: {proposed}, {expected}"


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
    n = predicted.retrainings if predicted is not None else _MIN_RETRAININGS
    x = np.geomspace(min(_MIN_RETRAININGS, n / 4), _X_RANGE * n, _N_POINTS)
    other_looks = iter(_OTHER_LOOKS)
    for option in _drawn_options(plan):
        is_proposed = option is _proposed(plan)
        colour, dashes = (BLUE, "-") if is_proposed else next(other_looks)
        axes.plot(x, expected_reliability(x, option.n_segments, blur), color=colour,
                  linestyle=dashes, linewidth=2.0 if is_proposed else 1.2,
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


def _drawn_options(plan: "Plan") -> list["Option"]:
    """Return the options with a curve: the proposed one, and its neighbours in segment length."""
    start = plan.options.index(_proposed(plan))
    first = max(0, min(start - 1, len(plan.options) - _MAX_CURVES))
    return list(plan.options[first : first + _MAX_CURVES])


def _draw_prediction(axes: "Axes", predicted: "Prediction", x: Floats, n_segments: int) -> None:
    """Draw the proposed number of retrainings, and its interval extended to other numbers."""
    n = predicted.retrainings
    low = _reliability(x, n, predicted.reliability_low, n_segments)
    high = _reliability(x, n, predicted.reliability_high, n_segments)
    axes.fill_between(x, low, high, color=BLUE, alpha=0.15, linewidth=0, label="80 % band")
    axes.plot([n], [predicted.reliability], "o", color=BLUE, zorder=4,
              label=f"proposed: {counted(n, 'retraining')}")  # fmt: skip


def _reliability(x: Floats, n: float, reached: float, n_segments: int) -> Floats:
    """Return the reliability of x retrainings, given that reached by n; 0 if that is 0."""
    if reached <= 0:
        return np.zeros_like(x)
    blur = n / masks_for(min(reached, 1 - 1e-9), n_segments, 1.0)
    return expected_reliability(x, n_segments, blur)


def _limit(plan: "Plan", blur: float) -> float | None:
    """Return the number of retrainings that the limits allow, in whole blocks, or None.

    For a proposed study it is its budget. For a refused study it follows from the reliability of
    the option, which is 0 if not even two blocks are allowed.
    """
    predicted, proposed = plan.study.prediction, _proposed(plan)
    if plan.outcome != "refused":
        return float(plan.study.budget.retrainings)
    if predicted is None or not 0 < proposed.reliability < 1:
        return None
    return masks_for(proposed.reliability, proposed.n_segments, blur)
