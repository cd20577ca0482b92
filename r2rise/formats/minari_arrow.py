"""Minari's datasets that are stored as Arrow or Parquet files, a folder for each episode.

The layout is that of Minari 0.5.4 (`minari/dataset/_storages/arrow_storage.py`): as many rows as
observations; the last row of everything else is padding.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.keys import concatenate_parts, select_keys
from r2rise.errors import DemonstrationsError, require
from r2rise.formats import arrow
from r2rise.formats.episodes import Episode, join
from r2rise.formats.minari_parts import check_number, decoded, meta_of
from r2rise.formats.spaces import is_picture, parsed, part_of

if TYPE_CHECKING:
    import pyarrow as pa

_Leaf = tuple["pa.Array", dict[str, Any]]


def read_arrow(
    path: Path, folder: Path, metadata: Mapping[str, Any], obs_keys: tuple[str, ...]
) -> Demonstrations:
    """Read a dataset of Minari stored as Arrow or Parquet.

    Args:
        path: What the user named.
        folder: Where the data lie.
        metadata: The content of `metadata.json`.
        obs_keys: Observations to concatenate; needed where there is more than one.

    Raises:
        DemonstrationsError: With the exact reason why the dataset cannot be used.
        MissingExtra: When pyarrow is not installed.
    """
    require("pyarrow", f"Reading {path}", "parquet")
    form = metadata["data_format"]
    if form not in ("arrow", "parquet"):
        raise DemonstrationsError(f"{path} is stored as {form!r}: expected hdf5, arrow or parquet.")
    numbers = sorted(int(one.name) for one in folder.iterdir() if one.name.isdecimal())
    files = [sorted((folder / str(number)).glob(f"*.{form}")) for number in numbers]
    size = sum(file.stat().st_size for own in files for file in own)
    reader = _Reader(path, metadata, obs_keys)
    with arrow.refusing(path):
        check_number(path, len(files), metadata)
        episodes = (reader.episode(arrow.table(own, form)) for own in files)
        return join(path, episodes, n_bytes=size, meta=meta_of(metadata))


class _Reader:
    """Reads episodes of one dataset."""

    def __init__(self, path: Path, metadata: Mapping[str, Any], obs_keys: tuple[str, ...]) -> None:
        self._path = path
        self._obs_keys = obs_keys
        self._obs_space = parsed(metadata.get("observation_space"))
        self._act_space = parsed(metadata.get("action_space"))
        self._jpeg = bool(metadata.get("jpeg_encoding", True))

    def episode(self, batch: "pa.StructArray") -> Episode:
        """Return an episode of its rows."""
        names = {field.name for field in batch.type}
        missing = {"observations", "actions", "rewards", "terminations"} - names
        if missing or len(batch) < 1:
            raise DemonstrationsError(f"an episode lacks {', '.join(sorted(missing)) or 'rows'}.")
        n_frames = len(batch) - 1
        leaves = dict(_leaves(batch.field("observations"), self._obs_space))
        keys = [""] if "" in leaves else select_keys(self._path, leaves, self._obs_keys)
        ends = arrow.to_numpy(batch.field("terminations")[:n_frames], "terminations")
        return Episode(
            obs=concatenate_parts([self._values(*leaves[key], "observations") for key in keys]),
            acts=self._values(batch.field("actions")[:n_frames], self._act_space, "actions"),
            rews=arrow.to_numpy(batch.field("rewards")[:n_frames], "rewards"),
            terminal=bool(len(ends) and ends[-1]),
        )

    def _values(self, values: "pa.Array", space: dict[str, Any], name: str) -> NDArray[Any]:
        if self._jpeg and is_picture(space):
            return decoded([one or b"" for one in values.to_pylist()])
        found = arrow.to_numpy(values, name)
        shape = space.get("shape", found.shape[1:])
        if int(np.prod(shape)) != int(np.prod(found.shape[1:])):
            raise DemonstrationsError(f"{name} should be {shape}, got {found.shape[1:]}.")
        return found.reshape(len(found), *shape)


def _leaves(
    values: "pa.Array", space: dict[str, Any], above: str = ""
) -> Iterator[tuple[str, _Leaf]]:
    """Yield the parts of a dict observation; one without a name where it is no dict."""
    import pyarrow as pa

    if not pa.types.is_struct(values.type):
        yield above, (values, space)
        return
    for index, field in enumerate(values.type):
        part = part_of(space, field.name) or part_of(space, f"_index_{field.name}")
        name = f"{above}/{field.name}" if above else field.name
        yield from _leaves(values.field(index), part, name)
