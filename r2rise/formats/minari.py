"""Minari's local datasets: a folder with `data/metadata.json` and `data/main_data.hdf5`.

The layout is that of Minari 0.5.4 (`minari/dataset/_storages`). Minari itself is not needed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.data.keys import concatenate_parts, select_keys
from r2rise.errors import DemonstrationsError
from r2rise.files import new_folder
from r2rise.formats import arrow, hdf5, hdf5_ends
from r2rise.formats.episodes import episodes_of, join
from r2rise.formats.minari_parts import (
    METADATA,
    check_episode_count,
    decode_jpegs,
    extract_meta,
    is_terminal,
)
from r2rise.formats.spaces import is_picture, key_shapes, parse_space, space_json, subspace

if TYPE_CHECKING:
    import h5py

MAIN = "main_data.hdf5"
_VERSION = "0.5.4"
"""Version of the layout. For older versions, readers expect every picture to be a JPEG."""

_FRAMES = "frames"
"""Name of the rendered pictures among the infos."""


def data_folder(path: Path) -> Path | None:
    """Return the folder with the data of a dataset, or None if there is no dataset."""
    for folder in (path / "data", path):
        if (folder / METADATA).is_file():
            return folder
    return None


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:
    """Read a local Minari dataset.

    Args:
        path: Its folder, or the folder `data` in it.
        obs_keys: Observations to concatenate; required if there is more than one.

    Raises:
        DemonstrationsError: If the dataset cannot be used. The message gives the exact reason.
        MissingExtra: If an optional package is missing.
    """
    folder = data_folder(path)
    if folder is None:
        raise DemonstrationsError(f"{path} is not a Minari dataset: {METADATA} is missing.")
    metadata = arrow.read_json(folder / METADATA)
    if metadata.get("data_format", "hdf5") != "hdf5":
        from r2rise.formats.minari_arrow import read_arrow

        return read_arrow(path, folder, metadata, obs_keys)
    with hdf5.open_file(folder / MAIN) as file:
        reader = _Reader(path, metadata, obs_keys)
        names = hdf5.numbered_members(file, "episode_")
        check_episode_count(path, len(names), metadata)
        episodes = (reader.episode(hdf5.subgroup(file, name)) for name in names)
        return join(path, episodes, n_bytes=hdf5.total_bytes(file), meta=extract_meta(metadata))


def keys(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each key of dict observations; empty for other observations."""
    folder = data_folder(path)
    metadata = {} if folder is None else arrow.read_json(folder / METADATA)
    return key_shapes(parse_space(metadata.get("observation_space")))


def write(demonstrations: Demonstrations, path: Path) -> list[str]:
    """Write a local Minari dataset. Pictures are stored uncompressed, not as JPEG.

    Args:
        demonstrations: The demonstrations.
        path: The folder, which must not exist yet. Minari finds it below MINARI_DATASETS_PATH.

    Returns:
        A line for each thing that the dataset cannot hold.
    """
    with new_folder(path) as folder:
        data = folder / "data"
        data.mkdir()
        with hdf5.create_file(data / MAIN, track_order=True) as file:
            for number, episode in enumerate(episodes_of(demonstrations)):
                _write_episode(file.create_group(f"episode_{number}"), number, episode)
        size = (data / MAIN).stat().st_size
        text = json.dumps(_new_metadata(demonstrations, path.name, size))
        (data / METADATA).write_text(text, encoding="utf-8")
    return _loss_notes(demonstrations)


def _loss_notes(demonstrations: Demonstrations) -> list[str]:
    notes = []
    if demonstrations.rews is None:
        notes.append("that there are no rewards: minari requires them, so they are written as 0")
    if demonstrations.terminal is None:
        notes.append("that it is unknown how demonstrations ended: written as truncations")
    return notes


class _Reader:
    """Reads the episodes of one dataset."""

    def __init__(self, path: Path, metadata: Mapping[str, Any], obs_keys: tuple[str, ...]) -> None:
        self._path = path
        self._obs_keys = obs_keys
        self._obs_space = parse_space(metadata.get("observation_space"))
        self._act_space = parse_space(metadata.get("action_space"))
        self._jpeg = bool(metadata.get("jpeg_encoding", True))

    def episode(self, group: "h5py.Group") -> Episode:
        """Return the episode in a group."""
        infos = hdf5.subgroup(group, "infos") if "infos" in group else {}
        frames = hdf5.array(infos, _FRAMES)[:] if _FRAMES in infos else None
        acts = self._values(group, "actions", self._act_space)
        terminations = hdf5_ends.flags(group, "terminations", len(acts))
        is_picture_array = frames is not None and frames.ndim == 4 and frames.shape[-1] == 3
        return Episode(
            obs=self._observations(group),
            acts=acts,
            rews=hdf5.flat(hdf5.array(group, "rewards")),
            terminal=is_terminal(terminations, group.name),
            frames=frames if is_picture_array else None,
        )

    def _observations(self, group: "h5py.Group") -> NDArray[Any]:
        import h5py

        if not isinstance(hdf5.child(group, "observations"), h5py.Group):
            return self._values(group, "observations", self._obs_space)
        leaves = dict(_leaves(hdf5.subgroup(group, "observations"), self._obs_space))
        keys = select_keys(self._path, leaves, self._obs_keys)
        return concatenate_parts(
            [self._values(parent, key.split("/")[-1], space)
             for key in keys for parent, space in [leaves[key]]]
        )  # fmt: skip

    def _values(self, group: "h5py.Group", name: str, space: dict[str, Any]) -> NDArray[Any]:
        if self._jpeg and is_picture(space):
            return decode_jpegs(hdf5.byte_rows(group, name))
        values: NDArray[Any] = hdf5.array(group, name)[:]
        return values


def _leaves(
    group: "h5py.Group", space: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, tuple["h5py.Group", dict[str, Any]]]]:
    """Yield path, parent group and space of each part of a dict observation."""
    import h5py

    for name in group:
        part_space = subspace(space, name)
        if isinstance(hdf5.child(group, name), h5py.Group):
            yield from _leaves(hdf5.subgroup(group, name), part_space, f"{prefix}{name}/")
        else:
            yield prefix + name, (group, part_space)


def _write_episode(group: "h5py.Group", number: int, episode: Episode) -> None:
    length = len(episode.acts)
    is_last = np.zeros(length, bool)
    is_last[-1] = True
    terminal = bool(episode.terminal)
    group.attrs["id"], group.attrs["total_steps"] = number, length
    group["observations"], group["actions"] = episode.obs, episode.acts
    group["rewards"] = np.zeros(length) if episode.rews is None else episode.rews
    group["terminations"] = is_last & terminal
    group["truncations"] = is_last & (not terminal)
    if episode.frames is not None:
        group[f"infos/{_FRAMES}"] = episode.frames


def _new_metadata(demonstrations: Demonstrations, name: str, n_bytes: int) -> dict[str, Any]:
    meta = dict(demonstrations.meta)
    dataset_id = name if re.fullmatch(r"[\w-]+-v\d+", name) else "demonstrations-v0"
    env_spec = {"env_spec": meta["env_spec"]} if isinstance(meta.get("env_spec"), str) else {}
    return {
        "dataset_id": meta.get("dataset_id", dataset_id),
        "total_episodes": len(demonstrations),
        "total_steps": demonstrations.n_frames,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": space_json(demonstrations.obs),
        "action_space": space_json(demonstrations.acts),
        "minari_version": _VERSION,
        "dataset_size": round(n_bytes / 1e6, 1),
        **env_spec,
        hdf5.R2RISE_KEY: {"meta": meta},
    }
