"""What environments show: the parts of dict observations, and values in the type of their space."""

from collections.abc import Mapping
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.data.keys import matching_keys
from r2rise.errors import EnvironmentMismatch, suggestion
from r2rise.study.specs import EnvironmentSpec

ARRAY_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)

GymEnv = gym.Env[Any, Any]

_Path = tuple[str, ...]


class ConcatenateKeys(gym.ObservationWrapper[Any, Any, Any]):
    """Concatenates the `obs_keys` of a dict observation into one vector, choices one-hot.

    The observation of a single key is shown as it is.

    Attributes:
        parts: Spaces of the keys. Those of nested dicts are joined by slashes: `robot/joint`.

    Raises:
        EnvironmentMismatch: When a key is unknown, or there is none, or parts are no arrays.
    """

    def __init__(self, env: GymEnv, spec: EnvironmentSpec) -> None:
        super().__init__(env)
        leaves = _leaves(cast("spaces.Dict", env.observation_space))
        paths = {"/".join(path): path for path in leaves}
        self._paths = [paths[name] for name in _selected_names(spec, paths)]
        self.parts = {"/".join(path): leaves[path] for path in self._paths}
        if len(self.parts) == 1:
            [self.observation_space] = self.parts.values()
        else:
            self.observation_space = _concatenated(self.parts, spec)

    def observation(self, observation: dict[str, Any]) -> Any:
        """Return the selected parts of an observation."""
        values = [
            in_space(_leaf(observation, path), part, f"observation {name!r}")
            for path, (name, part) in zip(self._paths, self.parts.items(), strict=True)
        ]
        if len(values) == 1:
            return values[0]
        vectors = [
            cast("NDArray[Any]", spaces.flatten(part, value))
            for part, value in zip(self.parts.values(), values, strict=True)
        ]
        return np.concatenate(vectors).astype(self.observation_space.dtype)


def is_image(space: spaces.Space[Any]) -> bool:
    """Return whether observations are images for Stable-Baselines3: uint8, 0 to 255, three axes."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and bool((space.low == 0).all() and (space.high == 255).all())
    )


def in_space(value: Any, space: spaces.Space[Any], what: str = "observation") -> NDArray[Any]:
    """Return what an environment shows in the type that its space announces.

    Args:
        value: The observation or a part of it.
        space: Its space.
        what: What it is, for messages.

    Raises:
        EnvironmentMismatch: When its shape is another one, or when this would change the numbers,
            such as brightness from 0 to 1 in a space of whole numbers from 0 to 255.
    """
    array = np.asarray(value)
    if isinstance(space, ARRAY_SPACES) and array.shape != space.shape:
        if {array.shape, space.shape} != {(), (1,)}:
            raise EnvironmentMismatch(
                f"The environment shows an {what} of shape {array.shape}, but its space {space} "
                f"has {space.shape}. A wrapper that changes observations has to change "
                f"observation_space, too.",
                field="environment.id",
            )
        array = array.reshape(space.shape)
    if array.dtype == space.dtype or not isinstance(space, ARRAY_SPACES):
        return array
    with np.errstate(invalid="ignore"):  # NaN as a whole number
        converted = array.astype(space.dtype)
    if converted.dtype.kind == "f":
        return converted
    is_changed = converted != array
    if not is_changed.any():
        return converted
    raise EnvironmentMismatch(
        f"The environment returned an {what} of {array.dtype} with the value "
        f"{array[is_changed][0].item()!r}, which its space {space} cannot hold. A wrapper that "
        f"changes observations must also change observation_space.",
        field="environment.id",
    )


def _concatenated(parts: Mapping[str, spaces.Space[Any]], spec: EnvironmentSpec) -> spaces.Box:
    flat_spaces = [spaces.flatten_space(part) for part in parts.values()]
    if not all(isinstance(space, spaces.Box) for space in flat_spaces):
        raise EnvironmentMismatch(
            f"The observations {', '.join(parts)} of environment {spec.id!r} cannot be "
            f"concatenated into one vector.",
            field="environment.obs_keys",
        )
    boxes = [cast("spaces.Box", space) for space in flat_spaces]
    dtype = np.result_type(*(box.dtype for box in boxes))
    return spaces.Box(
        np.concatenate([box.low for box in boxes]).astype(dtype),
        np.concatenate([box.high for box in boxes]).astype(dtype),
        dtype=cast("type[np.floating[Any]]", dtype.type),
    )


def _leaves(space: spaces.Dict, prefix: _Path = ()) -> dict[_Path, spaces.Space[Any]]:
    """Return the spaces of a Dict, and of those nested in it, by their paths."""
    leaves: dict[_Path, spaces.Space[Any]] = {}
    for key, part in space.spaces.items():
        path = (*prefix, key)
        leaves |= _leaves(part, path) if isinstance(part, spaces.Dict) else {path: part}
    return leaves


def _leaf(observation: Any, path: _Path) -> Any:
    for key in path:
        observation = observation[key]
    return observation


def _selected_names(spec: EnvironmentSpec, names: Mapping[str, _Path]) -> list[str]:
    if not spec.obs_keys:
        raise EnvironmentMismatch(
            f"Environment {spec.id!r} has dict observations ({', '.join(names)}): name those "
            f"to concatenate with obs_keys (in a study: environment.obs_keys).",
            field="environment.obs_keys",
        )
    selected = []
    for key in spec.obs_keys:
        matching = matching_keys(key, names)
        if not matching:
            raise EnvironmentMismatch(
                f"Environment {spec.id!r} has no observation {key!r}. {suggestion(key, names)}",
                field="environment.obs_keys",
            )
        selected += matching
    return selected
