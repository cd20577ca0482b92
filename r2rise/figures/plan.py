"""The picture of a plan: what reliability takes, and where the variance comes from."""

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from r2rise.figures.canvas import BLUE, GREY, ORANGE, Format, figure_in, in_lines
from r2rise.figures.variance import draw_bar
from r2rise.wording import counted, share_of_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from r2rise.map_parts import VarianceSplit
    from r2rise.planning import Plan
    from r2rise.proposal import Option
    from r2rise.study_parts import Prediction

_MOST_CURVES = 5
_GREYS = ("0.35", "0.5", "0.62", "0.72", "0.8")
_POINTS = 200
_MARGIN = 3.0
"""How far the curves go on, over the largest number that is marked."""


class _Curve(NamedTuple):
    """Expected reliability over retrainings: n / (n + half)."""

    option: "Option"
    half: float

    def at(self, n: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "np.ndarray":
        return n / (n + self.half)


def draw_plan(plan: "Plan", file: IO[bytes], *, format: Format = "png") -> None:  # noqa: A002
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
    words = {"None": "your own segments", "all": "whole demonstrations"}
    length = str(option.segment_length)
    return f"{words.get(length, f'segments of {length} frames')} ({option.n_segments})"


def _proposed(plan: "Plan") -> "Option":
    length = plan.study.masking.segment_length
    return next(option for option in plan.options if option.segment_length == length)


def _draw_curves(axes: "Axes", plan: "Plan", blur: float) -> None:
    predicted, proposed = plan.study.prediction, _proposed(plan)
    marks = [mark for mark in (_limit(plan, blur), predicted and predicted.retrainings) if mark]
    wanted = [option.retrainings for option in plan.options if option.retrainings]
    most = _MARGIN * max([*(float(mark) for mark in marks), float(min(wanted, default=64)), 64.0])
    x = np.geomspace(min([8.0, *(float(mark) / 4 for mark in marks)]), most, _POINTS)
    greys = iter(_GREYS)
    for curve in _curves(plan, blur, proposed):
        ours = curve.option is proposed
        axes.plot(x, curve.at(x), color=BLUE if ours else next(greys), linewidth=2 if ours else 1.2,
                  label=_label(curve.option), zorder=3 if ours else 2)  # fmt: skip
    if predicted is not None:
        _draw_prediction(axes, predicted, x)
    axes.axhline(plan.goal, color=GREY, linestyle="--", linewidth=1)
    axes.annotate(f"goal {plan.goal:g}", (x[0], plan.goal), xytext=(4, 3), color=GREY,
                  textcoords="offset points")  # fmt: skip
    limit = _limit(plan, blur)
    if limit is not None:
        axes.axvline(limit, color=ORANGE, linestyle=":", label=f"limit: {limit:.0f} retrainings")
    axes.set_xscale("log")
    axes.set(xlabel="retrainings", ylabel="expected reliability", xlim=(x[0], x[-1]), ylim=(0, 1))
    axes.legend(loc="lower right", fontsize="small")


def _curves(plan: "Plan", blur: float, proposed: "Option") -> Iterator[_Curve]:
    """Yield the curves to draw: that of the proposed segments, and the next longer ones."""
    start = plan.options.index(proposed)
    shown = [*plan.options[:start], *plan.options[start:]]
    first = max(0, min(start - 1, len(shown) - _MOST_CURVES))
    for option in shown[first : first + _MOST_CURVES]:
        yield _Curve(option, option.n_segments * blur)


def _draw_prediction(axes: "Axes", predicted: "Prediction", x: "np.ndarray") -> None:
    """Draw the number that is proposed, and the band that its interval means at other numbers."""
    n = predicted.retrainings
    ends = [_reliability(x, n, end) for end in (predicted.reliability_low,
                                                predicted.reliability_high)]  # fmt: skip
    axes.fill_between(x, *ends, color=BLUE, alpha=0.15, linewidth=0, label="80 % band")
    axes.plot([n], [predicted.reliability], "o", color=BLUE, zorder=4,
              label=f"proposed: {n} retrainings")  # fmt: skip


def _reliability(x: "np.ndarray", n: float, reached: float) -> "np.ndarray":
    """Return what x retrainings reach where n reach so much; 0 where n reach nothing."""
    if reached <= 0:
        return np.zeros_like(x)
    return np.asarray(x / (x + n * (1 - reached) / reached))


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
    return proposed.reliability * proposed.n_segments * blur / (1 - proposed.reliability)
