"""Minari datasets that are stored as Arrow or Parquet files, with a folder for each episode.

The layout is that of Minari 0.5.4 (`minari/dataset/_storages/arrow_storage.py`). An episode has a
row for each observation. The last row of all other columns is padding.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.data.keys import concatenate_parts, select_keys
from r2rise.errors import DemonstrationsError, require
from r2rise.formats import arrow
from r2rise.formats.episodes import join
from r2rise.formats.minari_parts import check_episode_count, decode_jpegs, extract_meta, is_terminal
from r2rise.formats.spaces import is_picture, parse_space, subspace

if TYPE_CHECKING:
    import pyarrow as pa

_Leaf = tuple["pa.Array", dict[str, Any]]


def read_arrow(
    path: Path, folder: Path, metadata: Mapping[str, Any], obs_keys: tuple[str, ...]
) -> Demonstrations:
    """Read a Minari dataset that is stored as Arrow or Parquet.

    Args:
        path: The path that the user gave, for messages.
        folder: The folder with the data.
        metadata: The content of `metadata.json`.
        obs_keys: Observations to concatenate; required if there is more than one.

    Raises:
        DemonstrationsError: If the dataset cannot be used. The message gives the exact reason.
        MissingExtra: If pyarrow is not installed.
    """
    require("pyarrow", f"Reading {path}", "parquet")
    form = metadata["data_format"]
    if form not in ("arrow", "parquet"):
        raise DemonstrationsError(f"{path} is stored as {form!r}: expected hdf5, arrow or parquet.")
    numbers = sorted(int(child.name) for child in folder.iterdir() if child.name.isdecimal())
    episode_files = [sorted((folder / str(number)).glob(f"*.{form}")) for number in numbers]
    size = sum(file.stat().st_size for files in episode_files for file in files)
    reader = _Reader(path, metadata, obs_keys)
    with arrow.translated_errors(path):
        check_episode_count(path, len(episode_files), metadata)
        episodes = (reader.episode(arrow.read_rows(files, form)) for files in episode_files)
        return join(path, episodes, n_bytes=size, meta=extract_meta(metadata))


class _Reader:
    """Reads the episodes of one dataset."""

    def __init__(self, path: Path, metadata: Mapping[str, Any], obs_keys: tuple[str, ...]) -> None:
        self._path = path
        self._obs_keys = obs_keys
        self._obs_space = parse_space(metadata.get("observation_space"))
        self._act_space = parse_space(metadata.get("action_space"))
        self._jpeg = bool(metadata.get("jpeg_encoding", True))

    def episode(self, rows: "pa.StructArray") -> Episode:
        """Return the episode with these rows."""
        names = {field.name for field in rows.type}
        missing = {"observations", "actions", "rewards", "terminations"} - names
        if missing or len(rows) < 1:
            raise DemonstrationsError(f"an episode lacks {', '.join(sorted(missing)) or 'rows'}.")
        n_frames = len(rows) - 1
        leaves = dict(_leaves(rows.field("observations"), self._obs_space))
        keys = [""] if "" in leaves else select_keys(self._path, leaves, self._obs_keys)
        terminations = arrow.to_numpy(rows.field("terminations")[:n_frames], "terminations")
        return Episode(
            obs=concatenate_parts([self._values(*leaves[key], "observations") for key in keys]),
            acts=self._values(rows.field("actions")[:n_frames], self._act_space, "actions"),
            rews=arrow.to_numpy(rows.field("rewards")[:n_frames], "rewards"),
            terminal=is_terminal(terminations, "an episode"),
        )

    def _values(self, values: "pa.Array", space: dict[str, Any], name: str) -> NDArray[Any]:
        if self._jpeg and is_picture(space):
            return decode_jpegs([data or b"" for data in values.to_pylist()])
        array = arrow.to_numpy(values, name)
        shape = space.get("shape", array.shape[1:])
        if int(np.prod(shape)) != int(np.prod(array.shape[1:])):
            raise DemonstrationsError(f"{name} should be {shape}, got {array.shape[1:]}.")
        return array.reshape(len(array), *shape)


def _leaves(
    values: "pa.Array", space: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, _Leaf]]:
    """Yield path, values and space of each part of a dict observation.

    An observation that is not a dict is a single part with an empty path.
    """
    import pyarrow as pa

    if not pa.types.is_struct(values.type):
        yield prefix, (values, space)
        return
    for index, field in enumerate(values.type):
        part_space = subspace(space, field.name) or subspace(space, f"_index_{field.name}")
        name = f"{prefix}/{field.name}" if prefix else field.name
        yield from _leaves(values.field(index), part_space, name)
