"""robomimic's HDF5 files: `data/demo_<i>/{obs,next_obs}/<key>`, `actions`, `mask/<filter key>`.

The layout is that of robomimic 0.3.0: `robomimic/utils/dataset.py` and `file_utils.py` read it,
`robomimic/scripts/dataset_states_to_obs.py` writes it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.keys import concatenate_parts, select_keys
from r2rise.errors import DemonstrationsError
from r2rise.formats import hdf5
from r2rise.formats.episodes import Episode, join
from r2rise.formats.pieces import Pieces
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap

if TYPE_CHECKING:
    import h5py

OBS_KEY = "obs"
"""Name under which observations are written."""

_GYM = 2
"""robomimic's number for environments of gym (`robomimic/envs/env_base.py`, EnvType)."""


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:
    """Read a file of robomimic.

    Args:
        path: The file.
        obs_keys: Observations to concatenate; needed where there is more than one.

    Raises:
        DemonstrationsError: With the exact reason why the file cannot be used.
    """
    with hdf5.opened(path) as file:
        data = hdf5.subgroup(file, "data")
        own = hdf5.own_part(file)
        names = hdf5.numbered(data, "demo_")
        episodes = (_episode(path, hdf5.subgroup(data, name), obs_keys, own) for name in names)
        meta = own.get("meta", _foreign_meta(data))
        return join(path, episodes, n_bytes=hdf5.total_bytes(data), meta=meta)


def write(
    demonstrations: Demonstrations,
    path: Path,
    *,
    importance: ImportanceMap | None = None,
    curation: Curation | None = None,
) -> list[str]:
    """Write a file for robomimic; with a map, as pieces with filter keys.

    Args:
        demonstrations: What to write.
        path: The file.
        importance: A map of these demonstrations. Each demonstration is cut where membership in
            `top`, `bottom` or `no_harm` changes, and `mask/<key>` names the pieces.
        curation: What a curation of the map found, if there was one.

    Returns:
        What the file cannot hold.

    Raises:
        MapError: When the map is of other demonstrations.
    """
    pieces = (
        Pieces.whole(demonstrations)
        if importance is None
        else Pieces.of_map(demonstrations, importance, curation)
    )
    own: dict[str, Any] = {
        "act_shape": list(demonstrations.acts.shape[1:]),
        "meta": dict(demonstrations.meta),
    }
    with hdf5.created(path) as file:
        hdf5.put_own_part(file, own)
        data = file.create_group("data")
        for number, episode in enumerate(pieces.episodes(demonstrations)):
            demo = data.create_group(f"demo_{number}")
            _put(demo, episode)
            demo.attrs["source"] = json.dumps(pieces.segments[number]._asdict())
        data.attrs["total"] = demonstrations.n_frames
        data.attrs["env_args"] = json.dumps(_env_args(demonstrations.meta))
        for key, numbers in pieces.sets.items():
            names = [f"demo_{number}" for number in numbers]
            file[f"mask/{key}"] = np.array(names, dtype="S")
    return list(pieces.notes)


def _put(demo: "h5py.Group", episode: Episode) -> None:
    demo.attrs["num_samples"] = len(episode.acts)
    demo[f"obs/{OBS_KEY}"] = episode.obs[:-1]
    demo[f"next_obs/{OBS_KEY}"] = episode.obs[1:]
    demo["actions"] = hdf5.as_columns(episode.acts)
    if episode.rews is not None:
        demo["rewards"] = episode.rews
    if episode.terminal is not None:
        dones = np.zeros(len(episode.acts), np.int64)
        dones[-1] = episode.terminal
        demo["dones"] = dones
    if episode.frames is not None:
        demo["frames"] = episode.frames


def _episode(
    path: Path, demo: "h5py.Group", obs_keys: tuple[str, ...], own: Mapping[str, Any]
) -> Episode:
    if "obs" not in demo and "states" in demo:
        raise DemonstrationsError(
            f"{demo.name} holds states of the simulator, but no observations: robomimic's "
            f"dataset_states_to_obs.py makes them."
        )
    now = hdf5.subgroup(demo, "obs")
    keys = select_keys(path, now, obs_keys)
    obs = concatenate_parts([hdf5.array(now, key)[:] for key in keys])
    if "next_obs" in demo:
        after = hdf5.subgroup(demo, "next_obs")
        last = concatenate_parts([hdf5.array(after, key)[-1:] for key in keys])
        obs = np.concatenate([obs, last])
    return Episode(
        obs=obs,
        acts=hdf5.restored(hdf5.array(demo, "actions")[:], own.get("act_shape")),
        rews=_optional(demo, "rewards"),
        terminal=hdf5.flag(hdf5.array(demo, "dones")[-1:]) if "dones" in demo else None,
        frames=hdf5.array(demo, "frames")[:] if "frames" in demo else None,
    )


def _optional(demo: "h5py.Group", name: str) -> NDArray[Any] | None:
    return hdf5.flat(hdf5.array(demo, name)) if name in demo else None


def _env_args(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what robomimic wants to know of the environment."""
    known = meta.get("env_args")
    if isinstance(known, dict):
        return known
    return {"env_name": str(meta.get("environment", "")), "type": _GYM, "env_kwargs": {}}


def _foreign_meta(data: "h5py.Group") -> dict[str, Any]:
    try:
        env_args = json.loads(hdf5.text(data.attrs, "env_args") or "{}")
    except ValueError:
        env_args = {}
    return {"source": "robomimic", "env_args": env_args}
