"""Trajectories that the `imitation` library saved: a folder of the `datasets` library.

The layout is that of imitation 1.0.1 (`imitation/data/huggingface_utils.py`): a row for each
trajectory with obs, acts, infos, terminal and optionally rews. `infos` is text from which
jsonpickle could create any Python object. It is never read.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.errors import DemonstrationsError, require
from r2rise.files import new_folder
from r2rise.formats import arrow
from r2rise.formats.episodes import episodes_of, join

if TYPE_CHECKING:
    import pyarrow as pa

STATE, INFO = "state.json", "dataset_info.json"
_COLUMNS = ("obs", "acts", "terminal")
_TRUNCATED = "TimeLimit.truncated"
"""Key of Stable-Baselines3 in the last info of an episode that a time limit ended."""


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:  # noqa: ARG001
    """Read a folder of trajectories. Neither `imitation` nor `datasets` is needed.

    Args:
        path: The folder.
        obs_keys: Not used: imitation does not save dict observations.

    Raises:
        DemonstrationsError: If the folder cannot be used. The message gives the exact reason.
        MissingExtra: If pyarrow is not installed.
    """
    require("pyarrow", f"Reading {path}", "parquet")
    files = _data_files(path)
    meta = _meta(path)
    with arrow.translated_errors(path):
        size = sum(file.stat().st_size for file in files)
        return join(path, _episodes(files), n_bytes=size, meta=meta)


def write(demonstrations: Demonstrations, path: Path) -> list[str]:
    """Write a folder of trajectories for `imitation.data.serialize.load`.

    Args:
        demonstrations: The demonstrations.
        path: The folder, which must not exist yet.

    Returns:
        A line for each thing that it cannot hold.

    Raises:
        MissingExtra: If the `datasets` library is not installed.
    """
    require("datasets", f"Writing {path}", "formats")
    import datasets

    columns: dict[str, list[Any]] = {key: [] for key in ("obs", "acts", "infos", "terminal")}
    for episode in episodes_of(demonstrations):
        columns["obs"].append(_to_native(episode.obs))
        columns["acts"].append(_to_native(episode.acts))
        columns["infos"].append(["{}"] * len(episode.acts))
        columns["terminal"].append(bool(episode.terminal))
        if episode.rews is not None:
            columns.setdefault("rews", []).append(_to_native(episode.rews))
    # The only free field of the format is a description of the data. R2RISE stores JSON there.
    info = datasets.DatasetInfo(description=json.dumps({"r2rise": dict(demonstrations.meta)}))
    with new_folder(path) as folder:
        table = datasets.Dataset.from_dict(columns, info=info)
        had_progress_bars = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()
        try:
            table.save_to_disk(str(folder))
        finally:
            if had_progress_bars:
                datasets.enable_progress_bars()
    return _loss_notes(demonstrations)


def _to_native(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values as Arrow requires them: contiguous, in the machine's byte order."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def _loss_notes(demonstrations: Demonstrations) -> list[str]:
    notes = []
    if demonstrations.frames is not None:
        notes.append("pictures: imitation cannot hold them")
    if demonstrations.terminal is None:
        notes.append("that it is unknown how demonstrations ended: written as cut off")
    return notes


def _data_files(path: Path) -> list[Path]:
    state = arrow.read_json(path / STATE)
    data_files = state.get("_data_files")
    entries = data_files if isinstance(data_files, list) else []
    names = [str(entry.get("filename")) for entry in entries if isinstance(entry, dict)]
    if not names:
        raise DemonstrationsError(f"{path / STATE} should name the data files.")
    for name in names:
        if Path(name).name != name:
            raise DemonstrationsError(f"{path / STATE} names a file outside the folder: {name!r}.")
    return [path / name for name in names]


def _meta(path: Path) -> dict[str, Any]:
    """Return the `meta` that `write` has stored in the description, or else the source."""
    info = arrow.read_json(path / INFO) if (path / INFO).exists() else {}
    try:
        description = json.loads(info.get("description") or "{}")
    except (TypeError, ValueError, RecursionError):
        description = {}
    meta = description.get("r2rise") if isinstance(description, dict) else None
    return meta if isinstance(meta, dict) else {"source": "imitation"}


def _episodes(files: list[Path]) -> Iterator[Episode]:
    for file in files:
        for batch in arrow.read_batches(file):
            missing = [name for name in _COLUMNS if name not in batch.schema.names]
            if missing:
                raise DemonstrationsError(
                    f"the columns {', '.join(missing)} are missing; found "
                    f"{', '.join(batch.schema.names)}."
                )
            for row in range(batch.num_rows):
                yield _episode(batch, row)


def _episode(batch: "pa.RecordBatch", row: int) -> Episode:
    has_rews = "rews" in batch.schema.names
    terminal = batch.column("terminal")[row].as_py()
    if terminal not in (False, True):
        raise DemonstrationsError(f"terminal should be true or false, got {terminal}.")
    return Episode(
        obs=arrow.list_cell(batch, "obs", row),
        acts=arrow.list_cell(batch, "acts", row),
        rews=arrow.list_cell(batch, "rews", row) if has_rews else None,
        terminal=bool(terminal) and not _is_truncated(batch, row),
    )


def _is_truncated(batch: "pa.RecordBatch", row: int) -> bool:
    """Return whether the infos, where they were saved, say that a time limit ended the episode.

    imitation marks every end as terminal. The infos are jsonpickle text, which is read as JSON
    here: nothing is made of what it describes.
    """
    infos = batch.column("infos")[row].as_py() if "infos" in batch.schema.names else None
    try:
        last_info = json.loads(infos[-1]) if infos else {}
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(last_info, dict) and last_info.get(_TRUNCATED) is True
