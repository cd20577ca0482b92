"""The colours of an importance map."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.statistics.summaries import LOW_RELIABILITY
from r2rise.statistics.wording import ROUNDING

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    from r2rise.results.importance_map import ImportanceMap

SIGNED, ORDERED, PALE = "RdBu", "cividis", ("0.7", "0.95")
"""Colour maps. Signed: red hurts, blue helps. Order only: dark is low, bright is high. Pale: greys
for maps that are not worth reading."""

FADE_GREY, _FADE_SHARE = 0.93, 0.7
"""The grey to which unresolved and negligible segments fade, and by what share."""


def colour_scale(importance_map: "ImportanceMap") -> "ScalarMappable":
    """Return the colour of each importance, as for a colour bar."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(_norm(importance_map), _colours(importance_map))


def cell_colours(importance_map: "ImportanceMap", scale: "ScalarMappable") -> NDArray[np.float64]:
    """Return the RGBA colour of each cell, (n_segments, 4): pale unless it helps or hurts."""
    colours: NDArray[np.float64] = np.array(scale.to_rgba(importance_map.importance))
    if not importance_map.is_worth_reading:
        return colours
    pale = ~is_saturated(importance_map)
    colours[pale, :3] = _FADE_SHARE * FADE_GREY + (1 - _FADE_SHARE) * colours[pale, :3]
    return colours


def is_saturated(importance_map: "ImportanceMap") -> NDArray[np.bool_]:
    """Return whether each cell has a saturated colour, (n_segments,): if it helps or hurts.

    Without verdicts, all cells have if the ranking is reliable, or none.
    """
    verdicts = importance_map.verdicts
    if verdicts is None:
        reliability = importance_map.quality.reliability
        return np.full(len(importance_map), (reliability or 0.0) >= LOW_RELIABILITY)
    if importance_map.holds_for_one_seed:
        return np.zeros(len(importance_map), dtype=bool)
    return np.isin(np.array(verdicts.verdict, dtype=object), ("helps", "hurts"))


def _colours(importance_map: "ImportanceMap") -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    if not importance_map.is_worth_reading:
        return LinearSegmentedColormap.from_list("pale", PALE)
    return ORDERED if importance_map.estimator.sign == "order_only" else SIGNED


def _norm(importance_map: "ImportanceMap") -> "Normalize":
    """Return the colour scale, centred on 0, or on the median if there is no sign.

    It ends at the largest importance, but at least at twice the margin and at twice the median half
    width of an interval, so that noise and negligible effects have no strong colour.
    """
    from matplotlib.colors import Normalize

    values, verdicts = importance_map.importance, importance_map.verdicts
    finite = values[np.isfinite(values)]
    order_only = importance_map.estimator.sign == "order_only"
    centre = float(np.median(finite)) if order_only and len(finite) else 0.0
    reach = float(np.abs(finite - centre).max(initial=0.0))
    if verdicts is not None and not order_only:
        widths = (verdicts.upper - verdicts.lower)[np.isfinite(verdicts.upper)]
        reach = max(reach, 2 * (verdicts.margin or 0.0))
        reach = max(reach, float(np.median(widths)) if len(widths) else 0.0)
    reach = reach if reach > ROUNDING else 1.0
    return Normalize(centre - reach, centre + reach)
