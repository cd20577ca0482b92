"""D4RL's HDF5 files: all episodes one after another, cut by `terminals` and `timeouts`.

The layout is what D4RL 1.1 reads: `d4rl/offline_env.py` (get_dataset) and `d4rl/__init__.py`
(qlearning_dataset, sequence_dataset).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import DemonstrationsError
from r2rise.formats import hdf5
from r2rise.formats.episodes import Episode, episodes_of, join

if TYPE_CHECKING:
    import h5py


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:  # noqa: ARG001
    """Read a file of D4RL.

    An episode ends where `terminals` or `timeouts` is set; frames after the last end are one more.

    Args:
        path: The file.
        obs_keys: Not used: observations are one array.

    Raises:
        DemonstrationsError: With the exact reason why the file cannot be used.
    """
    with hdf5.opened(path) as file:
        own = hdf5.own_part(file)
        meta = own.get("meta", {"source": "d4rl"})
        return join(path, _episodes(file, own), n_bytes=hdf5.total_bytes(file), meta=meta)


def write(demonstrations: Demonstrations, path: Path) -> list[str]:
    """Write a file for D4RL, with `next_observations`, so that no last observation is lost.

    Args:
        demonstrations: What to write.
        path: The file.

    Returns:
        What the file cannot hold.
    """
    n_frames = demonstrations.n_frames
    last = np.cumsum(demonstrations.lengths) - 1
    terminals, timeouts = np.zeros(n_frames, bool), np.zeros(n_frames, bool)
    ended = demonstrations.terminal
    terminals[last] = False if ended is None else ended
    timeouts[last] = ~terminals[last]
    with hdf5.created(path) as file:
        hdf5.put_own_part(
            file,
            {
                "act_shape": list(demonstrations.acts.shape[1:]),
                "meta": dict(demonstrations.meta),
            },
        )
        obs = demonstrations.obs
        now = file.create_dataset("observations", (n_frames, *obs.shape[1:]), obs.dtype)
        after = file.create_dataset("next_observations", now.shape, obs.dtype)
        start = 0
        for episode in episodes_of(demonstrations):
            frames = slice(start, start + len(episode.acts))
            now[frames], after[frames] = episode.obs[:-1], episode.obs[1:]
            start = frames.stop
        file["actions"] = hdf5.as_columns(demonstrations.acts)
        rews = demonstrations.rews
        file["rewards"] = np.zeros(n_frames, np.float32) if rews is None else rews
        file["terminals"], file["timeouts"] = terminals, timeouts
    return _left_out(demonstrations)


def _left_out(demonstrations: Demonstrations) -> list[str]:
    notes = []
    if demonstrations.frames is not None:
        notes.append("pictures: d4rl cannot hold them")
    if demonstrations.rews is None:
        notes.append("that there are no rewards: d4rl needs some, they are written as 0")
    if demonstrations.terminal is None:
        notes.append("that it is unknown how demonstrations ended: written as timeouts")
    return notes


def _episodes(file: "h5py.File", own: Mapping[str, Any]) -> Iterator[Episode]:
    obs, acts = hdf5.array(file, "observations"), hdf5.array(file, "actions")
    after = hdf5.array(file, "next_observations") if "next_observations" in file else None
    rews = hdf5.array(file, "rewards") if "rewards" in file else None
    terminals = _flags(file, "terminals", len(acts))
    timeouts = _flags(file, "timeouts", len(acts))
    for name, rows in (("observations", obs), ("next_observations", after), ("rewards", rews)):
        if rows is not None and len(rows) != len(acts):
            raise DemonstrationsError(f"{name} has {len(rows)} rows, actions {len(acts)}.")
    ends = np.flatnonzero(terminals | timeouts) + 1
    if not len(ends) or ends[-1] < len(acts):
        ends = np.append(ends, len(acts))
    start = 0
    for stop in ends.tolist():
        frames = slice(start, stop)
        seen = obs[frames]
        if after is not None:
            seen = np.concatenate([seen, after[stop - 1 : stop]])
        yield Episode(
            obs=seen,
            acts=hdf5.restored(acts[frames], own.get("act_shape")),
            rews=None if rews is None else hdf5.flat(rows=frames, dataset=rews),
            terminal=bool(terminals[stop - 1]),
        )
        start = stop


def _flags(file: "h5py.File", name: str, n_frames: int) -> NDArray[np.bool_]:
    if name not in file:
        return np.zeros(n_frames, bool)
    found = hdf5.flat(hdf5.array(file, name)).astype(bool)
    if found.shape != (n_frames,):
        raise DemonstrationsError(f"{name} should be ({n_frames},), got {found.shape}.")
    return found
