"""D4RL's HDF5 files: all episodes in one array, separated by `terminals` and `timeouts`.

The layout is the one that is read by D4RL 1.1: `d4rl/offline_env.py` (get_dataset) and
`d4rl/__init__.py` (qlearning_dataset, sequence_dataset).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.errors import DemonstrationsError
from r2rise.formats import hdf5
from r2rise.formats.episodes import episodes_of, join

if TYPE_CHECKING:
    import h5py


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:  # noqa: ARG001
    """Read a D4RL file.

    An episode ends where `terminals` or `timeouts` is set. Frames after the last end are one more
    episode.

    Args:
        path: The file.
        obs_keys: Not used: observations are one array.

    Raises:
        DemonstrationsError: If the file cannot be used. The message gives the exact reason.
        MissingExtra: If h5py is not installed.
    """
    with hdf5.open_file(path) as file:
        fields = hdf5.read_r2rise_fields(file)
        meta = fields.get("meta", {"source": "d4rl"})
        return join(path, _episodes(file, fields), n_bytes=hdf5.total_bytes(file), meta=meta)


def write(demonstrations: Demonstrations, path: Path) -> list[str]:
    """Write a D4RL file, with `next_observations`, so that no last observation is lost.

    Args:
        demonstrations: The demonstrations.
        path: The file.

    Returns:
        A line for each thing that the file cannot hold.

    Raises:
        MissingExtra: If h5py is not installed.
    """
    n_frames = demonstrations.n_frames
    last = np.cumsum(demonstrations.lengths) - 1
    terminals, timeouts = np.zeros(n_frames, bool), np.zeros(n_frames, bool)
    terminal = demonstrations.terminal
    terminals[last] = False if terminal is None else terminal
    timeouts[last] = ~terminals[last]
    with hdf5.create_file(path) as file:
        hdf5.write_r2rise_fields(
            file,
            {
                "act_shape": list(demonstrations.acts.shape[1:]),
                "meta": dict(demonstrations.meta),
            },
        )
        obs = demonstrations.obs
        observations = file.create_dataset("observations", (n_frames, *obs.shape[1:]), obs.dtype)
        next_observations = file.create_dataset("next_observations", observations.shape, obs.dtype)
        start = 0
        for episode in episodes_of(demonstrations):
            frames = slice(start, start + len(episode.acts))
            observations[frames], next_observations[frames] = episode.obs[:-1], episode.obs[1:]
            start = frames.stop
        file["actions"] = hdf5.as_columns(demonstrations.acts)
        rews = demonstrations.rews
        file["rewards"] = np.zeros(n_frames, np.float32) if rews is None else rews
        file["terminals"], file["timeouts"] = terminals, timeouts
    return _loss_notes(demonstrations)


def _loss_notes(demonstrations: Demonstrations) -> list[str]:
    notes = []
    if demonstrations.frames is not None:
        notes.append("pictures: d4rl cannot hold them")
    if demonstrations.rews is None:
        notes.append("that there are no rewards: d4rl needs some, they are written as 0")
    if demonstrations.terminal is None:
        notes.append("that it is unknown how demonstrations ended: written as timeouts")
    return notes


def _episodes(file: "h5py.File", fields: Mapping[str, Any]) -> Iterator[Episode]:
    obs, acts = hdf5.array(file, "observations"), hdf5.array(file, "actions")
    next_obs = hdf5.array(file, "next_observations") if "next_observations" in file else None
    rews = hdf5.array(file, "rewards") if "rewards" in file else None
    terminals = _flags(file, "terminals", len(acts))
    timeouts = _flags(file, "timeouts", len(acts))
    for name, rows in (("observations", obs), ("next_observations", next_obs), ("rewards", rews)):
        if rows is not None and len(rows) != len(acts):
            raise DemonstrationsError(f"{name} has {len(rows)} rows, actions {len(acts)}.")
    ends = np.flatnonzero(terminals | timeouts) + 1
    if not len(ends) or ends[-1] < len(acts):
        ends = np.append(ends, len(acts))
    start = 0
    for stop in ends.tolist():
        frames = slice(start, stop)
        episode_obs = obs[frames]
        if next_obs is not None:
            episode_obs = np.concatenate([episode_obs, next_obs[stop - 1 : stop]])
        yield Episode(
            obs=episode_obs,
            acts=hdf5.restore_shape(acts[frames], fields.get("act_shape")),
            rews=None if rews is None else hdf5.flat(rows=frames, dataset=rews),
            terminal=bool(terminals[stop - 1]),
        )
        start = stop


def _flags(file: "h5py.File", name: str, n_frames: int) -> NDArray[np.bool_]:
    if name not in file:
        return np.zeros(n_frames, bool)
    flags = hdf5.flat(hdf5.array(file, name)).astype(bool)
    if flags.shape != (n_frames,):
        raise DemonstrationsError(f"{name} should be ({n_frames},), got {flags.shape}.")
    return flags
