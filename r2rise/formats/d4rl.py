"""D4RL's HDF5 files: all episodes in one array, separated by `terminals` and `timeouts`.

The layout is the one that is read by D4RL 1.1: `d4rl/offline_env.py` (get_dataset) and
`d4rl/__init__.py` (qlearning_dataset, sequence_dataset).
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.errors import DemonstrationsError
from r2rise.formats import hdf5, hdf5_ends
from r2rise.formats.episodes import episodes_of, join
from r2rise.statistics.wording import counted

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)

_WHAT_NEXT = (
    "no next_observations",
    "next_observations is the next row of observations throughout",
)
"""What a file without timeouts says about ends: without and with `next_observations`."""


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:  # noqa: ARG001
    """Read a D4RL file.

    An episode ends where `terminals` or `timeouts` is set, and where `next_observations` is not the
    next row of `observations`. Frames after the last end are one more episode.

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
        notes.append("that there are no rewards: d4rl requires them, so they are written as 0")
    if demonstrations.terminal is None:
        notes.append("that it is unknown how demonstrations ended: written as timeouts")
    return notes


def _episodes(file: "h5py.File", fields: Mapping[str, Any]) -> Iterator[Episode]:
    obs, acts = hdf5.array(file, "observations"), hdf5.array(file, "actions")
    next_obs = hdf5.array(file, "next_observations") if "next_observations" in file else None
    rews = hdf5.array(file, "rewards") if "rewards" in file else None
    terminals = _flags(file, "terminals", len(acts))
    for name, rows in (("observations", obs), ("next_observations", next_obs), ("rewards", rews)):
        if rows is not None and len(rows) != len(acts):
            raise DemonstrationsError(f"{name} has {len(rows)} rows, actions {len(acts)}.")
    ends = _ends(file, obs, next_obs, terminals)
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


def _ends(
    file: "h5py.File",
    obs: "h5py.Dataset",
    next_obs: "h5py.Dataset | None",
    terminals: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Return the number of frames before each end of an episode, (n_episodes,) int64.

    Raises:
        DemonstrationsError: If the file does not show where time limits ended episodes.
    """
    n_frames = len(obs)
    marked = terminals | _flags(file, "timeouts", n_frames)
    breaks = np.zeros(n_frames, dtype=bool) if next_obs is None else hdf5_ends.breaks(obs, next_obs)
    unmarked = breaks & ~marked
    if "timeouts" not in file and (next_obs is None or not (marked.any() or unmarked.any())):
        raise DemonstrationsError(
            f"there are no timeouts, and {_WHAT_NEXT[next_obs is not None]}, so that nothing shows "
            f"where a time limit ended an episode. Add timeouts, ({n_frames},) of 0 and 1."
        )
    if unmarked.any():
        logger.warning(
            "%s: after %s next_observations is not the next row of observations, although neither "
            "terminals nor timeouts is set: an episode ends there.",
            file.filename, counted(int(unmarked.sum()), "frame"),
        )  # fmt: skip
    marked |= unmarked
    marked[-1:] = True
    ends: NDArray[np.int64] = np.flatnonzero(marked) + 1
    return ends


def _flags(file: "h5py.File", name: str, n_frames: int) -> NDArray[np.bool_]:
    if name not in file:
        return np.zeros(n_frames, bool)
    return hdf5_ends.flags(file, name, n_frames)
