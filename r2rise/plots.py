"""The picture of an importance map."""

from typing import IO, TYPE_CHECKING, Any

import numpy as np

from r2rise.algorithms.registry import require

if TYPE_CHECKING:
    from r2rise.importance import ImportanceMap

COLOURS = "RdBu"
"""Red hurts, blue helps; told apart by colour-blind people."""

_ROW_INCHES = 0.42
_DOTS_PER_INCH = 150


def draw(importance_map: "ImportanceMap", file: IO[bytes]) -> None:
    """Draw demonstrations as rows and frames along x, coloured by importance; write a PNG.

    Colours are centred on 0. Segments that were not estimated are hatched.

    Raises:
        MissingExtra: When matplotlib is not installed.
    """
    require("matplotlib", "Drawing a map", "plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    lengths = importance_map.dataset.lengths
    height = 1.6 + _ROW_INCHES * min(len(lengths), 60)
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor("white")
    image = _draw_rows(axes, importance_map)
    order_only = importance_map.estimator.sign == "order_only"
    unit = importance_map.estimator.unit.replace("_", " ")
    label = "order only" if order_only else f"importance ({unit})"
    figure.colorbar(image, ax=axes, label=label)
    axes.set(
        xlabel="frame",
        ylabel="demonstration",
        xlim=(0, int(lengths.max())),
        ylim=(len(lengths) - 0.5, -0.5),
        title=_title(importance_map),
    )
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})


def _draw_rows(axes: Any, importance_map: "ImportanceMap") -> Any:
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import CenteredNorm, Normalize
    from matplotlib.patches import Rectangle

    values = importance_map.importance
    known = np.isfinite(values)
    if importance_map.estimator.sign == "order_only" and known.any():
        norm: Normalize = CenteredNorm(float(np.median(values[known])))
    else:
        norm = CenteredNorm(0.0)
    table = importance_map.segments
    boxes = [
        Rectangle((start, row - 0.4), stop - start, 0.8)
        for row, start, stop in zip(table.demonstration, table.start, table.stop, strict=True)
    ]
    missing = [box for box, estimated in zip(boxes, known, strict=True) if not estimated]
    if missing:
        axes.add_collection(
            PatchCollection(missing, facecolor="none", edgecolor="0.6", hatch="////", linewidth=0)
        )
    image = PatchCollection(
        [box for box, estimated in zip(boxes, known, strict=True) if estimated],
        cmap=COLOURS,
        norm=norm,
        edgecolor="white",
        linewidth=0.5,
    )
    image.set_array(values[known])
    axes.add_collection(image)
    return image


def _title(importance_map: "ImportanceMap") -> str:
    study, quality = importance_map.study, importance_map.quality
    parts = [f"{study.environment.id}, {study.algorithm.name}"]
    parts.append(f"{importance_map.retrainings.done} retrainings")
    if quality.reliability is not None:
        parts.append(f"reliability {quality.reliability:.2f}")
    return ", ".join(parts)
