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
from r2rise.data.keys import concatenate_parts, select_keys
from r2rise.errors import DemonstrationsError
from r2rise.files import new_folder
from r2rise.formats import arrow, hdf5
from r2rise.formats.episodes import Episode, episodes_of, join
from r2rise.formats.minari_parts import METADATA, check_number, decoded, meta_of
from r2rise.formats.spaces import is_picture, parsed, part_of, space_of

if TYPE_CHECKING:
    import h5py

MAIN = "main_data.hdf5"
_VERSION = "0.5.4"
"""Of the layout; readers of older versions take every picture for a JPEG."""

_FRAMES = "frames"
"""Name under which pictures for people are kept among the infos."""


def data_folder(path: Path) -> Path | None:
    """Return where the data of a dataset lie; None where there is no dataset."""
    for folder in (path / "data", path):
        if (folder / METADATA).is_file():
            return folder
    return None


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:
    """Read a local dataset of Minari.

    Args:
        path: Its folder, or the folder `data` in it.
        obs_keys: Observations to concatenate; needed where there is more than one.

    Raises:
        DemonstrationsError: With the exact reason why the dataset cannot be used.
    """
    folder = data_folder(path)
    if folder is None:
        raise DemonstrationsError(f"{path} is no dataset of Minari: {METADATA} is missing.")
    metadata = arrow.read_json(folder / METADATA)
    if metadata.get("data_format", "hdf5") != "hdf5":
        from r2rise.formats.minari_arrow import read_arrow

        return read_arrow(path, folder, metadata, obs_keys)
    with hdf5.opened(folder / MAIN) as file:
        reader = _Reader(path, metadata, obs_keys)
        names = hdf5.numbered(file, "episode_")
        check_number(path, len(names), metadata)
        episodes = (reader.episode(hdf5.subgroup(file, name)) for name in names)
        return join(path, episodes, n_bytes=hdf5.total_bytes(file), meta=meta_of(metadata))


def write(demonstrations: Demonstrations, path: Path) -> list[str]:
    """Write a local dataset for Minari; pictures are kept as they are, not as JPEG.

    Args:
        demonstrations: What to write.
        path: The folder; it must not be there yet. Minari finds it below MINARI_DATASETS_PATH.

    Returns:
        What the dataset cannot hold.
    """
    with new_folder(path) as folder:
        data = folder / "data"
        data.mkdir()
        with hdf5.created(data / MAIN, track_order=True) as file:
            for number, episode in enumerate(episodes_of(demonstrations)):
                _put(file.create_group(f"episode_{number}"), number, episode)
        size = (data / MAIN).stat().st_size
        text = json.dumps(_new_metadata(demonstrations, path.name, size))
        (data / METADATA).write_text(text, encoding="utf-8")
    return left_out(demonstrations)


def left_out(demonstrations: Demonstrations) -> list[str]:
    """Return what Minari cannot hold."""
    notes = []
    if demonstrations.rews is None:
        notes.append("that there are no rewards: minari needs some, they are written as 0")
    if demonstrations.terminal is None:
        notes.append("that it is unknown how demonstrations ended: written as truncations")
    return notes


class _Reader:
    """Reads episodes of one dataset."""

    def __init__(self, path: Path, metadata: Mapping[str, Any], obs_keys: tuple[str, ...]) -> None:
        self._path = path
        self._obs_keys = obs_keys
        self._obs_space = parsed(metadata.get("observation_space"))
        self._act_space = parsed(metadata.get("action_space"))
        self._jpeg = bool(metadata.get("jpeg_encoding", True))

    def episode(self, group: "h5py.Group") -> Episode:
        """Return an episode."""
        infos = hdf5.subgroup(group, "infos") if "infos" in group else {}
        own = hdf5.array(infos, _FRAMES)[:] if _FRAMES in infos else None
        return Episode(
            obs=self._observations(group),
            acts=self._values(group, "actions", self._act_space),
            rews=hdf5.flat(hdf5.array(group, "rewards")),
            terminal=hdf5.flag(hdf5.array(group, "terminations")[-1:]),
            frames=own if own is not None and own.ndim == 4 and own.shape[-1] == 3 else None,
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
            return decoded(hdf5.byte_rows(group, name))
        values: NDArray[Any] = hdf5.array(group, name)[:]
        return values


def _leaves(
    group: "h5py.Group", space: dict[str, Any], above: str = ""
) -> Iterator[tuple[str, tuple["h5py.Group", dict[str, Any]]]]:
    """Yield the parts of a dict observation: their path, the group they lie in, their space."""
    import h5py

    for name in group:
        part = part_of(space, name)
        if isinstance(hdf5.child(group, name), h5py.Group):
            yield from _leaves(hdf5.subgroup(group, name), part, f"{above}{name}/")
        else:
            yield above + name, (group, part)


def _put(group: "h5py.Group", number: int, episode: Episode) -> None:
    length = len(episode.acts)
    ends = np.zeros(length, bool)
    ends[-1] = True
    ended = bool(episode.terminal)
    group.attrs["id"], group.attrs["total_steps"] = number, length
    group["observations"], group["actions"] = episode.obs, episode.acts
    group["rewards"] = np.zeros(length) if episode.rews is None else episode.rews
    group["terminations"] = ends & ended
    group["truncations"] = ends & (not ended)
    if episode.frames is not None:
        group[f"infos/{_FRAMES}"] = episode.frames


def _new_metadata(demonstrations: Demonstrations, name: str, n_bytes: int) -> dict[str, Any]:
    meta = dict(demonstrations.meta)
    named = name if re.fullmatch(r"[\w-]+-v\d+", name) else "demonstrations-v0"
    spec = {"env_spec": meta["env_spec"]} if isinstance(meta.get("env_spec"), str) else {}
    return {
        "dataset_id": meta.get("dataset_id", named),
        "total_episodes": len(demonstrations),
        "total_steps": demonstrations.n_frames,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": space_of(demonstrations.obs),
        "action_space": space_of(demonstrations.acts),
        "minari_version": _VERSION,
        "dataset_size": round(n_bytes / 1e6, 1),
        **spec,
        hdf5.OWN: {"meta": meta},
    }
