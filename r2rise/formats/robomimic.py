"""robomimic's HDF5 files: `data/demo_<i>/{obs,next_obs}/<key>`, `actions`, `mask/<filter key>`.

The layout is that of robomimic 0.3.0: `robomimic/utils/dataset.py` and `file_utils.py` read it,
`robomimic/scripts/dataset_states_to_obs.py` writes it.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.data.keys import concatenate_parts, select_keys
from r2rise.errors import DemonstrationsError
from r2rise.formats import hdf5, hdf5_ends
from r2rise.formats.episodes import join
from r2rise.formats.pieces import Pieces
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap
from r2rise.statistics.wording import counted

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)

OBS_KEY = "obs"
"""Key of the observations in written files."""

_GYM = 2
"""robomimic's number for environments of gym (`robomimic/envs/env_base.py`, EnvType)."""


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:
    """Read a robomimic file.

    Args:
        path: The file.
        obs_keys: Observations to concatenate; required if there is more than one. Those in groups
            have a slash: `robot/joint`.

    Raises:
        DemonstrationsError: If the file cannot be used. The message gives the exact reason.
        MissingExtra: If h5py is not installed.
    """
    with hdf5.open_file(path) as file:
        data = hdf5.subgroup(file, "data")
        fields = hdf5.read_r2rise_fields(file)
        names = hdf5.numbered_members(data, "demo_")
        hdf5.warn_of_others(data, names)
        demos = (hdf5.subgroup(data, name) for name in names)
        episodes = (one for demo in demos for one in _episodes(path, demo, obs_keys, fields))
        meta = fields.get("meta", _robomimic_meta(data))
        return join(path, episodes, n_bytes=hdf5.total_bytes(data), meta=meta)


def keys(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each key of the observations, from the first demonstration."""
    with hdf5.open_file(path) as file:
        data = hdf5.subgroup(file, "data")
        for name in hdf5.numbered_members(data, "demo_")[:1]:
            obs = hdf5.subgroup(hdf5.subgroup(data, name), "obs")
            return {key: hdf5.leaf(obs, key).shape[1:] for key in hdf5.leaf_names(obs)}
    return {}


def write(
    demonstrations: Demonstrations,
    path: Path,
    *,
    importance: ImportanceMap | None = None,
    curation: Curation | None = None,
) -> list[str]:
    """Write a robomimic file; with a map, as pieces with filter keys.

    Args:
        demonstrations: The demonstrations.
        path: The file.
        importance: A map of these demonstrations. Each demonstration is cut where membership in
            `top`, `bottom` or `no_harm` changes, and `mask/<key>` lists the pieces of each.
        curation: The result of a curation of the map, if there is one.

    Returns:
        A line for each thing that the file cannot hold.

    Raises:
        MapError: If the map is of other demonstrations.
        MissingExtra: If h5py is not installed.
    """
    pieces = (
        Pieces.whole(demonstrations)
        if importance is None
        else Pieces.of_map(demonstrations, importance, curation)
    )
    fields: dict[str, Any] = {
        "act_shape": list(demonstrations.acts.shape[1:]),
        "meta": dict(demonstrations.meta),
    }
    with hdf5.create_file(path) as file:
        hdf5.write_r2rise_fields(file, fields)
        data = file.create_group("data")
        for number, episode in enumerate(pieces.episodes(demonstrations)):
            demo = data.create_group(f"demo_{number}")
            _write_episode(demo, episode)
            demo.attrs["source"] = json.dumps(pieces.segments[number]._asdict())
        data.attrs["total"] = demonstrations.n_frames
        data.attrs["env_args"] = json.dumps(_env_args(demonstrations.meta))
        for key, numbers in pieces.sets.items():
            names = [f"demo_{number}" for number in numbers]
            file[f"mask/{key}"] = np.array(names, dtype="S")
    return list(pieces.notes)


def _write_episode(demo: "h5py.Group", episode: Episode) -> None:
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


def _episodes(
    path: Path, demo: "h5py.Group", obs_keys: tuple[str, ...], fields: Mapping[str, Any]
) -> Iterator[Episode]:
    """Yield a demonstration, in pieces where next observations show that it was interrupted."""
    if "obs" not in demo and "states" in demo:
        raise DemonstrationsError(
            f"{demo.name} holds states of the simulator, but no observations: robomimic's "
            f"dataset_states_to_obs.py creates them."
        )
    obs_group = hdf5.subgroup(demo, "obs")
    keys = select_keys(path, hdf5.leaf_names(obs_group), obs_keys)
    parts = [hdf5.leaf(obs_group, key) for key in keys]
    obs = concatenate_parts([part[:] for part in parts])
    acts = hdf5.restore_shape(hdf5.array(demo, "actions")[:], fields.get("act_shape"))
    dones = hdf5_ends.flags(demo, "dones", len(acts)) if "dones" in demo else None
    whole = Episode(
        obs=obs,
        acts=acts,
        rews=_optional_numbers(demo, "rewards"),
        terminal=None if dones is None else bool(dones[-1:].any()),
        frames=hdf5.array(demo, "frames")[:] if "frames" in demo else None,
    )
    if "next_obs" not in demo:
        yield whole
        return
    if len(obs) != len(acts):
        raise DemonstrationsError(
            f"{demo.name} should have as many rows of obs as of actions, {len(acts)}, got "
            f"{len(obs)}."
        )
    next_group = hdf5.subgroup(demo, "next_obs")
    next_parts = [hdf5.leaf(next_group, key) for key in keys]
    ends = _ends(demo, parts, next_parts)
    for start, stop in zip([0, *ends], [*ends, len(obs)], strict=True):
        frames = slice(start, stop)
        last_obs = concatenate_parts([part[stop - 1 : stop] for part in next_parts])
        yield Episode(
            obs=np.concatenate([obs[frames], last_obs]),
            acts=whole.acts[frames],
            rews=None if whole.rews is None else whole.rews[frames],
            terminal=whole.terminal and stop == len(obs),
            frames=None if whole.frames is None else whole.frames[frames],
        )


def _ends(
    demo: "h5py.Group", parts: Sequence["h5py.Dataset"], next_parts: Sequence["h5py.Dataset"]
) -> list[int]:
    """Return after how many frames a demonstration was interrupted, without its own end."""
    if any(
        part.shape != following.shape for part, following in zip(parts, next_parts, strict=True)
    ):
        raise DemonstrationsError(f"{demo.name} should have as many rows of next_obs as of obs.")
    breaks = [hdf5_ends.breaks(*pair) for pair in zip(parts, next_parts, strict=True)]
    ends: list[int] = (np.flatnonzero(np.any(breaks, axis=0)) + 1).tolist()
    if ends:
        logger.warning(
            "%s: %s: after %s next_obs is not the next row of obs: the rest is read as another "
            "demonstration.", demo.file.filename, demo.name, counted(len(ends), "frame"),
        )  # fmt: skip
    return ends


def _optional_numbers(demo: "h5py.Group", name: str) -> NDArray[Any] | None:
    return hdf5.flat(hdf5.array(demo, name)) if name in demo else None


def _env_args(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return robomimic's description of the environment."""
    env_args = meta.get("env_args")
    if isinstance(env_args, dict):
        return env_args
    return {"env_name": str(meta.get("environment", "")), "type": _GYM, "env_kwargs": {}}


def _robomimic_meta(data: "h5py.Group") -> dict[str, Any]:
    try:
        env_args = json.loads(hdf5.text_attribute(data.attrs, "env_args") or "{}")
    except ValueError:
        env_args = {}
    return {"source": "robomimic", "env_args": env_args}
