"""Writes importance maps for LeRobot: weights of frames for training, and frames to cut.

LeRobot weights samples by a parquet file with a row for each frame of the dataset. Its weighters
read one of two columns:

- `progress_sparse`, by RA-BC (`lerobot/utils/rabc.py` of 0.4.4, `lerobot/rewards/sarm/rabc.py`
  since): the weight of frame t comes from progress[t + chunk] - progress[t]. The column holds the
  sum of the importance of the frames before t. The difference is then the importance of the chunk
  of actions that is learned at t, which gets full weight if it helps and none if it hurts.
- `weight`, by the weighter `static` (huggingface/lerobot#4222, not merged yet).
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.segments import Segment
from r2rise.errors import MapError, require
from r2rise.files import atomic_file
from r2rise.formats.harm import harmful_segments
from r2rise.formats.pieces import check_same
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap
from r2rise.statistics.significance import survival

UNKNOWN_WEIGHT = 1.0
"""Weight of frames whose importance was not estimated."""


def frame_weights(importance: ImportanceMap) -> NDArray[np.float64]:
    """Return the weight of each frame, (n_frames,): twice the probability that it helps.

    The weight is 0 if the frame certainly hurts, 2 if it certainly helps, and 1 if nothing is
    known. The probability is that of Student's t distribution around the importance, scaled by its
    standard error, under a flat prior.

    Raises:
        MapError: If the map gives an order only, or has no standard errors.
    """
    _check_signs(importance)
    value, error = importance.importance, importance.std_error
    if not np.isfinite(error).any():
        raise MapError(
            f"Weights are probabilities that a frame helps, but this map has no standard errors: "
            f"{importance.why_no_verdicts}."
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(error > 0, value / error, np.sign(value) * np.inf)
    z = np.where(np.isfinite(value) & np.isfinite(error) & ~np.isnan(z), z, 0.0)
    p_helps = survival(-z, importance.degrees)
    weights = np.where(np.isfinite(value), 2 * p_helps, UNKNOWN_WEIGHT)
    return np.repeat(weights, importance.segments.stop - importance.segments.start)


def frame_progress(importance: ImportanceMap) -> NDArray[np.float32]:
    """Return the sum of the importance of all earlier frames, (n_frames,), scaled to 0 to 1.

    A segment's importance is spread evenly over its frames. It is 0 if it was not estimated. All
    demonstrations have the same scale.

    Raises:
        MapError: If the map gives an order only.
    """
    _check_signs(importance)
    table = importance.segments
    per_frame = np.nan_to_num(importance.importance) / (table.stop - table.start)
    frames = np.repeat(per_frame, table.stop - table.start)
    cumulative = [
        np.concatenate([[0.0], np.cumsum(demonstration)[:-1]])
        for demonstration in np.split(frames, np.cumsum(importance.dataset.lengths)[:-1])
    ]
    scale = max(float(np.ptp(sums)) for sums in cumulative) or 1.0
    progress = np.concatenate([(sums - sums.min()) / scale for sums in cumulative])
    return progress.astype(np.float32)


def write_weights(
    demonstrations: Demonstrations, path: Path, *, importance: ImportanceMap
) -> list[str]:
    """Write a row for each frame: index, episode_index, frame_index, weight, progress_sparse.

    Args:
        demonstrations: The demonstrations of the map. Demonstration i is episode i of LeRobot.
        path: The file, `.parquet`.
        importance: The map.

    Returns:
        An empty list, since the file can hold all weights.

    Raises:
        MapError: If the map is of other demonstrations, or gives an order only.
        MissingExtra: If pyarrow is not installed.
    """
    check_same(demonstrations, importance)
    require("pyarrow", f"Writing {path}", "parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    episode = demonstrations.frame_demonstration
    index = np.arange(demonstrations.n_frames)
    table = pa.table(
        {
            "index": pa.array(index),
            "episode_index": pa.array(episode),
            "frame_index": pa.array(index - demonstrations.first_frame[episode]),
            "weight": pa.array(frame_weights(importance)),
            "progress_sparse": pa.array(frame_progress(importance)),
        }
    )
    table = table.replace_schema_metadata({"r2rise_study_hash": importance.study_hash})
    with atomic_file(path) as file:
        pq.write_table(table, file)
    return []


def trims(
    importance: ImportanceMap, curation: Curation | None = None
) -> tuple[list[Segment], list[str]]:
    """Return the frames to cut, with adjacent segments joined, and a note for each thing unknown.

    Raises:
        MapError: If the map gives an order only, or has no verdicts.
    """
    _check_signs(importance)
    if importance.verdicts is None:
        raise MapError(
            f"Frames are cut where the verdict is 'hurts', but this map has no verdicts: "
            f"{importance.why_no_verdicts}."
        )
    cuts: list[Segment] = []
    is_harmful, notes = harmful_segments(importance, curation)
    for number in np.flatnonzero(is_harmful).tolist():
        demonstration, start, stop = importance.segment(number)
        if cuts and (cuts[-1].demonstration, cuts[-1].stop) == (demonstration, start):
            start = cuts.pop().start
        cuts.append(Segment(demonstration, start, stop))
    return cuts, list(notes)


def write_trims(
    demonstrations: Demonstrations,
    path: Path,
    *,
    importance: ImportanceMap,
    curation: Curation | None = None,
) -> list[str]:
    """Write the frames to cut and to keep, for each episode with a cut, as JSON.

    Args:
        demonstrations: The demonstrations of the map. Demonstration i is episode i of LeRobot.
        path: The file, `.json`.
        importance: The map.
        curation: The result of a curation of the map, if there is one.

    Returns:
        A line for each thing that is unknown about the cuts.

    Raises:
        MapError: If the map is of other demonstrations, or gives an order only.
    """
    check_same(demonstrations, importance)
    cuts, notes = trims(importance, curation)
    episodes = [
        _trim_entry(number, length, [(cut.start, cut.stop) for cut in cuts if cut[0] == number])
        for number, length in enumerate(demonstrations.lengths.tolist())
    ]
    fields = {
        "schema": "r2rise.trims",
        "schema_version": "1.0",
        "dataset": importance.dataset.sha256,
        "delete_episodes": [entry["episode_index"] for entry in episodes if not entry["keep"]],
        "episodes": [entry for entry in episodes if entry["cut"]],
    }
    with atomic_file(path) as file:
        file.write(json.dumps(fields, indent=2).encode() + b"\n")
    return notes


def _trim_entry(number: int, length: int, cut: list[tuple[int, int]]) -> dict[str, object]:
    starts, stops = [0, *(stop for _, stop in cut)], [*(start for start, _ in cut), length]
    keep = [(a, b) for a, b in zip(starts, stops, strict=True) if a < b]
    return {"episode_index": number, "length": length, "cut": cut, "keep": keep}


def _check_signs(importance: ImportanceMap) -> None:
    if importance.estimator.sign == "order_only":
        raise MapError(
            f"The estimator {importance.estimator.name!r} only ranks segments and does not show "
            f"which frames help or hurt: estimate again with 'difference' or 'ridge'."
        )
