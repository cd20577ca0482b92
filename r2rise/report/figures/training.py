"""The figure of a training check: return over the amount of training."""

from typing import IO

import numpy as np

from r2rise.report.figures.canvas import BLUE, GREY, figure_in, in_lines, unit_words
from r2rise.results.result import FigureFormat
from r2rise.results.training_check import TrainingCheck
from r2rise.study.training import TrainingCurve


def draw_training_check(
    check: TrainingCheck,
    file: IO[bytes],
    *,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw the curve of a training check, as `draw_training` does."""
    draw_training(check.curve, file, unit=check.study.evaluation.unit, format=format)


def draw_training(
    curve: TrainingCurve,
    file: IO[bytes],
    *,
    unit: str,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw the mean return of all frames with two standard errors, and the chosen amount.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    with figure_in(file, "training", (6, 4), format) as figure:
        axes = figure.add_subplot()
        amounts, means = np.array(curve.amounts), np.array(curve.mean_return)
        axes.errorbar(
            amounts,
            means,
            yerr=2 * np.array(curve.std_error),
            capsize=3,
            color=BLUE,
            marker="o",
            label="all frames (2 standard errors)",
        )
        axes.axhline(curve.random_policy, color=GREY, linestyle=":", label="random actions")
        axes.axvline(curve.chosen, color=GREY, linestyle="--", label=f"chosen: {curve.chosen}")
        axes.set_xscale("log", base=2)
        axes.set_xticks(amounts, [str(amount) for amount in curve.amounts])
        axes.minorticks_off()
        title = {
            "settled": "Larger amounts of training change little",
            "still_rising": "Still rising at the largest amount tried",
            "falls_with_training": "Falling with more training",
            "not_monotone": "Falling and rising with more training",
            "undecided": "Too noisy to say where it settles",
        }[curve.finding]
        axes.set(
            xlabel=f"training in {curve.unit}",
            ylabel=f"mean {unit_words(unit)}",
            title=in_lines(title),
        )
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
