"""Episodes in memory, of any class: their parts are found by name."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.episodes import Episode
from r2rise.data.keys import concatenate_parts
from r2rise.errors import DemonstrationsError, suggestion

_NAMES = {
    "obs": ("obs", "observations"),
    "acts": ("acts", "actions"),
    "rews": ("rews", "rewards"),
    "terminal": ("terminal", "terminations"),
    "frames": ("frames",),
}
"""What R2RISE and `imitation` call a part of an episode, and what Minari calls it."""

_IGNORED = {"infos", "truncations"}


def to_episodes(episodes: Iterable[object], obs_keys: Sequence[str] = ()) -> Iterator[Episode]:
    """Yield episodes with their parts as arrays.

    Args:
        episodes: Dicts or objects; see `Demonstrations.from_episodes`.
        obs_keys: For dict observations, the keys to concatenate.

    Raises:
        DemonstrationsError: When a part is missing or cannot be used; it names the episode.
    """
    if isinstance(episodes, str | Mapping) or not isinstance(episodes, Iterable):
        raise DemonstrationsError(
            f"Expected a list of episodes, each a dict or an object with obs and acts, got "
            f"{type(episodes).__name__}. Put a single episode into a list."
        )
    for number, episode in enumerate(episodes):
        try:
            yield _to_episode(episode, obs_keys)
        except DemonstrationsError as error:
            raise DemonstrationsError(f"Episode {number}: {error}") from None


def _to_episode(episode: object, obs_keys: Sequence[str]) -> Episode:
    parts = _parts(episode)
    for key in ("obs", "acts"):
        if key not in parts:
            raise DemonstrationsError(
                f"{' or '.join(_NAMES[key])} is missing. Expected a dict or an object with obs, "
                f"acts, and optionally rews and terminal, got {type(episode).__name__}."
            )
    terminal = _array("terminal", parts["terminal"]) if "terminal" in parts else None
    optional = {key: _array(key, parts[key]) for key in ("rews", "frames") if key in parts}
    return Episode(
        obs=_observations(parts["obs"], obs_keys),
        acts=_rows("acts", parts["acts"]),
        terminal=None if terminal is None else bool(terminal.any() and terminal.flat[-1]),
        **optional,
    )


def _parts(episode: object) -> dict[str, Any]:
    """Return the parts of an episode that are there, by R2RISE's names."""
    if isinstance(episode, Mapping):
        _check_names(map(str, episode))
        get: Callable[[str, None], Any] = episode.get
    else:
        get = partial(getattr, episode)
    found = {key: [get(name, None) for name in names] for key, names in _NAMES.items()}
    return {
        key: next(part for part in parts if part is not None)
        for key, parts in found.items()
        if any(part is not None for part in parts)
    }


def _check_names(names: Iterable[str]) -> None:
    known = {name for names_of_part in _NAMES.values() for name in names_of_part}
    for name in names:
        if name not in known | _IGNORED:
            raise DemonstrationsError(f"unknown part {name!r}. {suggestion(name, known)}")


def _observations(obs: Any, obs_keys: Sequence[str]) -> NDArray[Any]:
    """Return observations as one array; those of several keys are concatenated."""
    if not hasattr(obs, "keys"):
        if obs_keys:
            raise DemonstrationsError("obs_keys are for dict observations, but obs is an array.")
        return _rows("obs", obs)
    leaves = dict(_leaves(obs))
    if not obs_keys and len(leaves) > 1:
        raise DemonstrationsError(
            f"obs is a dict: name the keys to concatenate with obs_keys, of {', '.join(leaves)}."
        )
    for key in obs_keys:
        if key not in leaves:
            raise DemonstrationsError(f"no observation {key!r}. {suggestion(key, leaves)}")
    return concatenate_parts([_rows(f"obs {key!r}", leaves[key]) for key in obs_keys or leaves])


def _leaves(obs: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays of nested dict observations with their keys, such as `robot/joint`."""
    for key in obs.keys():  # noqa: SIM118 - not every class of dict observations is a dict
        value = obs.get(key)
        if hasattr(value, "keys"):
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _rows(name: str, values: Any) -> NDArray[Any]:
    array = _array(name, values)
    if not array.ndim:
        raise DemonstrationsError(f"{name} should have a row for each frame, got a single number.")
    return array


def _array(name: str, values: Any) -> NDArray[Any]:
    """Return an array, a list or a torch tensor as an array of numbers."""
    try:
        array = np.asarray(_without_torch(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DemonstrationsError(f"{name} should be one array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise DemonstrationsError(f"{name} should hold numbers, got dtype {array.dtype}.")
    return array


def _without_torch(values: Any) -> Any:
    if hasattr(values, "detach"):
        return values.detach().cpu().numpy()
    if isinstance(values, list | tuple) and values and hasattr(values[0], "detach"):
        return [_without_torch(value) for value in values]
    return values
