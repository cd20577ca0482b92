"""Joins a stream of episodes into the arrays of demonstrations, in memory or in files on disk."""

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError

logger = logging.getLogger(__name__)


class Episode(NamedTuple):
    """One episode, as a reader returns it.

    Attributes:
        obs: (T + 1, *obs_shape), or (T, *obs_shape) if the file has no observation after the last
            action. The last action is then left out.
        acts: (T, *act_shape).
        rews: (T,) or None.
        terminal: Whether it ended in a terminal state; None if the file does not say.
        frames: (T, H, W, 3) uint8 pictures or None.
    """

    obs: NDArray[Any]
    acts: NDArray[Any]
    rews: NDArray[Any] | None = None
    terminal: bool | None = None
    frames: NDArray[Any] | None = None


class _Rows:
    """Collects the rows of one array, in memory or in a file that is finally memory-mapped."""

    def __init__(self, key: str, folder: Path | None) -> None:
        self._key = key
        self._parts: list[NDArray[Any]] = []
        self._path = folder / f"{key}.bin" if folder else None
        self._n_rows = 0
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.float64)

    def add(self, part: NDArray[Any], number: int) -> None:
        """Append the rows of episode `number`.

        Raises:
            DemonstrationsError: If shape or dtype differ from those of earlier episodes.
        """
        if not self._n_rows:
            self._shape, self._dtype = part.shape[1:], part.dtype
        if (part.shape[1:], part.dtype) != (self._shape, self._dtype):
            raise DemonstrationsError(
                f"demonstration {number} has {self._key} of shape {part.shape[1:]} {part.dtype}, "
                f"those before it {self._shape} {self._dtype}: all should be alike."
            )
        self._n_rows += len(part)
        if self._path is None:
            self._parts.append(part)
        else:
            with self._path.open("ab") as file:
                file.write(np.ascontiguousarray(part).tobytes())

    def joined(self) -> NDArray[Any]:
        """Return all rows."""
        if self._path is None:
            return np.concatenate(self._parts)
        shape = (self._n_rows, *self._shape)
        if math.prod(shape) == 0:
            return np.zeros(shape, self._dtype)  # an empty file cannot be mapped
        return np.memmap(self._path, dtype=self._dtype, mode="r", shape=shape)


def joined_arrays(
    episodes: Iterable[Episode], *, source: str, folder: Path | None = None
) -> dict[str, NDArray[Any]]:
    """Join episodes, which are consumed one at a time.

    Args:
        episodes: The episodes.
        source: Where they are from, for messages.
        folder: An empty folder for the arrays, which are then memory-mapped.

    Returns:
        The arguments of `Demonstrations` that are arrays, by name; optional ones only where the
        episodes have them.

    Raises:
        DemonstrationsError: If the episodes are inconsistent, or there are none.
    """
    rows: dict[str, _Rows] = {}
    lengths: list[int] = []
    terminal: list[bool | None] = []
    n_cut, empty = 0, list[int]()
    for number, stored_episode in enumerate(episodes):
        episode = _drop_incomplete_frame(stored_episode, number)
        n_cut += episode is not stored_episode
        if not len(episode.acts):
            empty.append(number)
            continue
        _check_consistent(episode, rows, terminal, number)
        for key in ("obs", "acts", "rews", "frames"):
            part = getattr(episode, key)
            if part is not None:
                rows.setdefault(key, _Rows(key, folder)).add(part, number)
        lengths.append(len(episode.acts))
        terminal.append(episode.terminal)
    if not lengths:
        reason = "no demonstration has a frame with a next observation" if empty else "it is empty"
        raise DemonstrationsError(f"{source} holds no demonstration: {reason}.")
    _warn_of_left_out(source, n_cut, empty)
    arrays = {key: collected.joined() for key, collected in rows.items()}
    arrays["lengths"] = np.array(lengths, dtype=np.int64)
    if None not in terminal:
        arrays["terminal"] = np.array(terminal)
    return arrays


def _warn_of_left_out(source: str, n_cut: int, empty: list[int]) -> None:
    """Warn of last frames and of whole demonstrations that have no next observation."""
    if n_cut:
        logger.warning(
            "%s holds no observation after the last action of %s: these last frames are left out.",
            source, _demonstrations(n_cut),
        )  # fmt: skip
    if empty:
        logger.warning(
            "%s: left out %s without a single next observation, the first of them number %d; later "
            "ones move up.",
            source, _demonstrations(len(empty)), empty[0],
        )  # fmt: skip


def _demonstrations(n: int) -> str:
    return f"{n} demonstration{'' if n == 1 else 's'}"


def _check_consistent(
    episode: Episode, rows: Mapping[str, _Rows], terminal: list[bool | None], number: int
) -> None:
    """Check that an episode has rewards, end and pictures if and only if earlier ones have."""
    if not rows:
        return
    earlier_keys = {*rows} | ({"terminal"} if None not in terminal else set())
    for key in ("rews", "terminal", "frames"):
        if (getattr(episode, key) is not None) != (key in earlier_keys):
            first, second = ("no ", "") if key in earlier_keys else ("", "no ")
            raise DemonstrationsError(
                f"demonstration {number} has {first}{key}, those before it have {second}{key}: "
                f"all should be alike."
            )


def _drop_incomplete_frame(episode: Episode, number: int) -> Episode:
    """Return the episode without its last action if the observation after it is missing."""
    n_obs, n_acts = len(episode.obs), len(episode.acts)
    for key in ("rews", "frames"):
        part = getattr(episode, key)
        if part is not None and len(part) != n_acts:
            raise DemonstrationsError(
                f"demonstration {number} has {n_acts} actions, but {len(part)} {key}."
            )
    if n_obs == n_acts + 1:
        return episode
    if n_obs != n_acts:
        raise DemonstrationsError(
            f"demonstration {number} has {n_acts} actions and {n_obs} observations: expected "
            f"{n_acts + 1}, or {n_acts} where the last one is missing."
        )
    shortened = {key: getattr(episode, key)[:-1] for key in ("acts", "rews", "frames")
           if getattr(episode, key) is not None}  # fmt: skip
    terminal = None if episode.terminal is None else False  # the terminal state is not in the file
    return episode._replace(**shortened, terminal=terminal)
