"""The figure of a curation: the trials, and the gain at all amounts of training."""

from typing import IO, TYPE_CHECKING, Any

from r2rise.report.figures.canvas import (
    BLUE,
    GREY,
    ORANGE,
    draw_intervals,
    figure_in,
    in_lines,
    unit_words,
)
from r2rise.results.result import FigureFormat

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from r2rise.results.curation import Confirmation, Curation, LongerTraining

OUTCOME_WORDS = {
    "gain": "Gain",
    "trains_faster": "Trains faster, not better",
    "fewer_frames_do": "Fewer frames do, no matter which",
    "no_gain": "No gain",
    "undecided": "Undecided: all frames still gain",
}

_LOOKS: dict[str, dict[str, Any]] = {
    "all_frames": {"color": GREY, "marker": "s"},
    "curated": {"color": BLUE, "marker": "D"},
    "random_drop": {"color": ORANGE, "marker": "^", "markerfacecolor": "white"},
}


def draw_curation(
    curation: "Curation",
    file: IO[bytes],
    *,
    format: FigureFormat = "png",  # noqa: A002
) -> None:
    """Draw the trials, returns over the amount of training, and the confirmation.

    All are drawn with 95 % intervals.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    confirmation, longer = curation.confirmation, curation.longer_training
    shows_curves = longer is not None and len(longer.amounts) > 1
    with figure_in(file, "curation", (12 if shows_curves else 8, 4.5), format) as figure:
        if confirmation is None:
            axes = figure.add_subplot()
        elif longer is not None and shows_curves:
            axes, middle, right = figure.subplots(1, 3, sharey=True, width_ratios=[5, 5, 3])
            _draw_longer(middle, longer)
            _draw_confirmation(right, confirmation, len(curation.edits))
        else:
            axes, right = figure.subplots(1, 2, sharey=True, width_ratios=[5, 3])
            _draw_confirmation(right, confirmation, len(curation.edits))
        _draw_trials(axes, curation)
        axes.set(
            xlabel="segments left out",
            ylabel=f"mean {unit_words(curation.unit)}",
            title="trials: how many to leave out",
        )
        title = in_lines(f"{OUTCOME_WORDS[curation.outcome]} ({curation.algorithm})")
        figure.suptitle(title, fontsize="medium")
        if curation.trials:
            figure.legend(loc="outside lower center", ncols=4, frameon=False)


def _draw_trials(axes: "Axes", curation: "Curation") -> None:
    from matplotlib.ticker import MaxNLocator

    if not curation.trials:
        axes.text(0.5, 0.5, "No segment seems to hurt: nothing was tried.", ha="center",
                  transform=axes.transAxes)  # fmt: skip
        return
    first_trial = curation.trials[0]
    draw_intervals(
        axes,
        [trial.n_dropped for trial in curation.trials],
        [trial.mean_return for trial in curation.trials],
        label="without what hurts most (trial)",
        color=BLUE,
        marker="o",
        markerfacecolor="white",
    )
    axes.axhline(
        first_trial.mean_return.mean - first_trial.gain.mean,
        color=GREY,
        linestyle="--",
        label="all frames (trial seeds)",
    )
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_longer(axes: "Axes", longer: "LongerTraining") -> None:
    for arm, label in (("all_frames", "all frames"), ("curated", "curated")):
        look = _LOOKS[arm] | {"label": f"{label}, trained for longer"}
        draw_intervals(axes, longer.amounts, getattr(longer, arm), **look)
    axes.set_xscale("log", base=2)
    axes.set_xticks(longer.amounts, [f"{amount:g}" for amount in longer.amounts], rotation=45)
    axes.minorticks_off()
    axes.set(xlabel=f"training in {longer.unit}", title="does longer training do as well?")


def _draw_confirmation(axes: "Axes", confirmation: "Confirmation", n_dropped: int) -> None:
    for place, (arm, look) in enumerate(_LOOKS.items()):
        draw_intervals(
            axes, [place], [getattr(confirmation, arm)], markersize=9, linewidth=2, **look
        )
    labels = ["all frames", f"curated\n({n_dropped} left out)", f"random\n({n_dropped} left out)"]
    axes.set_xticks(range(len(labels)), labels)
    axes.set(title="fresh seeds, each at its best", xlim=(-0.6, len(labels) - 0.4))
