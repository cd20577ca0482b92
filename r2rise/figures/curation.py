"""The picture of a curation: how many segments to leave out, and what that gains."""

from typing import IO, TYPE_CHECKING, Any

from r2rise.figures.canvas import (
    BLUE,
    GREY,
    ORANGE,
    Format,
    draw_intervals,
    figure_in,
    in_lines,
    unit_words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from r2rise.curation import Confirmation, Curation

_POINTS: dict[str, dict[str, Any]] = {
    "all_frames": {"color": GREY, "marker": "s"},
    "curated": {"color": BLUE, "marker": "D"},
    "random_drop": {"color": ORANGE, "marker": "^", "markerfacecolor": "white"},
}


def draw_curation(
    curation: "Curation",
    file: IO[bytes],
    *,
    format: Format = "png",  # noqa: A002
) -> None:
    """Draw the trials, and beside them the choice with fresh seeds; 95 % intervals everywhere.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    with figure_in(file, "curation", (8, 4.5), format) as figure:
        confirmed = curation.confirmation
        if confirmed is None:
            axes = figure.add_subplot()
        else:
            axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=[5, 3])
            _draw_confirmation(beside, confirmed, len(curation.edits))
        _draw_trials(axes, curation)
        axes.set(
            xlabel="segments left out",
            ylabel=f"mean {unit_words(curation.unit)}",
            title="trials: how many to leave out",
        )
        outcome = {"gain": "Gain", "no_gain": "No gain"}[curation.outcome]
        figure.suptitle(in_lines(f"{outcome}: {curation.algorithm}"), fontsize="medium")
        if curation.trials:
            figure.legend(loc="outside lower center", ncols=3, frameon=False)


def _draw_trials(axes: "Axes", curation: "Curation") -> None:
    from matplotlib.ticker import MaxNLocator

    if not curation.trials:
        axes.text(0.5, 0.5, "No segment seems to hurt: nothing was tried.", ha="center",
                  transform=axes.transAxes)  # fmt: skip
        return
    first = curation.trials[0]
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
        first.mean_return.mean - first.gain.mean,
        color=GREY,
        linestyle="--",
        label="all frames (trial seeds)",
    )
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_confirmation(axes: "Axes", confirmed: "Confirmation", n_dropped: int) -> None:
    for place, (arm, look) in enumerate(_POINTS.items()):
        draw_intervals(axes, [place], [getattr(confirmed, arm)], markersize=9, linewidth=2, **look)
    labels = ["all frames", f"curated\n({n_dropped} left out)", f"random\n({n_dropped} left out)"]
    axes.set_xticks(range(len(labels)), labels)
    axes.set(title="confirmed with fresh seeds", xlim=(-0.6, len(labels) - 0.4))
