"""The segments of an importance map as rows and as a table."""

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.data.segments import Segment
from r2rise.errors import require
from r2rise.statistics.summaries import Verdict, Verdicts

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, NDArray[Any]]
"""Columns by name, (n_segments,) each."""

HOLDS_FOR = {"training_seeds": "any training seed", "masks": "this training seed only"}
"""What an interval holds for, as text."""


class RankedSegment(NamedTuple):
    """A segment with its importance and verdict.

    Attributes:
        segment: Demonstration, start and stop.
        importance: Return gained by keeping it.
        std_error: Its standard error; NaN if the estimator gives none.
        lower: Lower end of its interval; None if the map has no intervals.
        upper: Upper end of its interval; None if the map has no intervals.
        verdict: `helps`, `hurts`, `negligible` or `unresolved`; None if the map has no verdicts.
    """

    segment: Segment
    importance: float
    std_error: float
    lower: float | None = None
    upper: float | None = None
    verdict: Verdict | None = None


def verdict_columns(verdicts: Verdicts | None, n_segments: int, *, one_seed: bool) -> Columns:
    """Return the columns lower, upper, verdict and interval_holds_for.

    Args:
        verdicts: The verdicts of a map; None if it has none.
        n_segments: Number of its segments.
        one_seed: Whether intervals hold only for one training seed, so that no verdict is shown.
    """
    words = [""] * n_segments
    lower = upper = np.full(n_segments, np.nan)
    holds_for = ""
    if verdicts is not None:
        lower, upper = verdicts.lower, verdicts.upper
        covers = "masks" if one_seed else verdicts.covers
        holds_for = HOLDS_FOR[covers] if covers else ""
        if not one_seed:
            words = [verdict or "" for verdict in verdicts.verdict]
    return {
        "lower": lower,
        "upper": upper,
        "verdict": np.array(words),
        "interval_holds_for": np.full(n_segments, holds_for),
    }


def csv_text(columns: Columns) -> str:
    """Return columns as the text of a CSV file; cells without a value are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_csv_cells(array) for array in columns.values()), strict=True))
    return text.getvalue()


def dataframe(columns: Columns) -> "pd.DataFrame":
    """Return columns as a DataFrame; texts without a value are missing.

    Raises:
        MissingExtra: When pandas is not installed.
    """
    require("pandas", "A map as a DataFrame", "pandas")
    import pandas as pd

    frame = pd.DataFrame(columns)
    texts = ["verdict", "interval_holds_for"]
    frame[texts] = frame[texts].replace("", None)
    return frame


def _csv_cells(array: NDArray[Any]) -> list[Any]:
    return ["" if isinstance(v, float) and not np.isfinite(v) else v for v in array.tolist()]
