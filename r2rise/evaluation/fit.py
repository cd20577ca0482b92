"""Fits demonstrations to an environment: the same numbers in the form of its spaces."""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.data.checks import row_chunks
from r2rise.data.demonstrations import Demonstrations
from r2rise.environments import Environment, discrete_bounds
from r2rise.errors import EnvironmentMismatch
from r2rise.study.notices import Notice

_MARK_EVERY_END = ("imitation", "robomimic")
"""Sources whose files mark the end of every episode, also where a time limit cut it off."""
_TELL_ENDS_APART = ("minari", "d4rl")
"""Sources whose files tell terminal states from time limits."""


class Fitted(NamedTuple):
    """Demonstrations in the form of an environment's spaces.

    Attributes:
        demonstrations: The demonstrations; the given ones if nothing had to be changed.
        notices: What was changed, and what is unusual.
    """

    demonstrations: Demonstrations
    notices: list[Notice]


def fit(demonstrations: Demonstrations, environment: Environment) -> Fitted:
    """Return demonstrations in the form of the environment's spaces.

    Single values and columns of one value are interchangeable. Discrete values may be stored as
    floats. Choices among concatenated observations become one-hot, as the environment shows them.
    An end at the step limit is not terminal where the source of the file marks every end.

    Raises:
        EnvironmentMismatch: When a shape, dtype or discrete value does not fit its space.
    """
    name = environment.spec.id
    notices: list[Notice] = []
    changed: dict[str, Any] = {}
    observations = _one_hot_choices(demonstrations.obs, environment)
    for key, array, space in (
        ("obs", observations, environment.observation_space),
        ("acts", demonstrations.acts, environment.action_space),
    ):
        fitted = _in_form_of(key, array, space, name)
        original = getattr(demonstrations, key)
        if fitted is not original:
            changed[key] = fitted
            notices.append(_form_notice(key, original, fitted))
    at_limit = _terminal_at_limit(demonstrations, environment)
    if at_limit.any():
        marks_every_end = demonstrations.meta.get("source") in _MARK_EVERY_END
        notices.append(_limit_notice(at_limit, environment, marks_every_end))
        if demonstrations.terminal is not None and marks_every_end:
            changed["terminal"] = demonstrations.terminal & ~at_limit
    if changed:
        demonstrations = dataclasses.replace(demonstrations, **changed)
    return Fitted(demonstrations, notices + _outside_notices(demonstrations, environment))


def _in_form_of(key: str, array: NDArray[Any], space: spaces.Space[Any], name: str) -> NDArray[Any]:
    """Return the array in the form of a space; the same object if it has it already."""
    shape, dtype = space.shape or (), np.dtype(space.dtype)
    if array.shape[1:] != shape and {array.shape[1:], shape} == {(), (1,)}:
        array = array.reshape(len(array), *shape)
    if array.shape[1:] != shape:
        raise EnvironmentMismatch(
            f"{key} has shape {array.shape[1:]} for each frame, but environment {name!r} expects "
            f"{shape}: {space}.{_one_hot_hint(key, array, space)}",
            field="environment.id",
        )
    is_discrete = not isinstance(space, spaces.Box)
    if is_discrete:
        _check_choices(key, array, space, name)
    if is_discrete and array.dtype.kind == "f" and not (array % 1).any():
        array = array.astype(dtype)
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise EnvironmentMismatch(
            f"{key} has dtype {array.dtype}, which cannot be cast to {dtype} of environment "
            f"{name!r} ({space}). Convert it before saving.",
            field="environment.id",
        )
    _check_magnitude(key, array, dtype, name)
    return array


def _check_magnitude(key: str, array: NDArray[Any], dtype: np.dtype[Any], name: str) -> None:
    """Check that no value becomes infinite in the dtype of a space."""
    if dtype.kind != "f" or array.dtype.kind != "f" or array.dtype.itemsize <= dtype.itemsize:
        return
    largest = max((float(np.abs(rows).max()) for rows in row_chunks(array)), default=0.0)
    if largest > float(np.finfo(dtype).max):
        raise EnvironmentMismatch(
            f"{key} has values up to {largest:.3g}, which are infinite in {dtype} of environment "
            f"{name!r}: check their unit, or leave out these frames.",
            field="environment.id",
        )


def _one_hot_hint(key: str, array: NDArray[Any], space: spaces.Space[Any]) -> str:
    if not isinstance(space, spaces.Discrete) or array.shape[1:] != (space.n,):
        return ""
    start = f" + {space.start}" if space.start else ""
    option = "read them with one_hot, or " if key == "acts" and not start else ""
    return f" If they are one-hot, {option}save {key}.argmax(axis=1){start} instead."


def _check_choices(key: str, array: NDArray[Any], space: spaces.Space[Any], name: str) -> None:
    low, high = discrete_bounds(space)
    if len(array) and ((array < low) | (array > high)).any():
        raise EnvironmentMismatch(
            f"{key} has values from {array.min()} to {array.max()}, but environment {name!r} "
            f"expects {space}.",
            field="environment.id",
        )


def _one_hot_choices(obs: NDArray[Any], environment: Environment) -> NDArray[Any]:
    """Return concatenated observations with every choice one-hot.

    Files of dict observations hold a choice as a number; the environment shows it one-hot. The
    observations are returned unchanged if their width is not that of the parts in a file.
    """
    parts = environment.observation_parts
    widths = [math.prod(part.shape or ()) for part in parts.values()]
    if len(parts) < 2 or obs.shape[1:] != (sum(widths),):
        return obs
    if obs.shape[1:] == environment.observation_space.shape:
        return obs
    columns = np.split(obs, np.cumsum(widths)[:-1], axis=1)
    vectors = []
    for (key, part), values in zip(parts.items(), columns, strict=True):
        if isinstance(part, spaces.Discrete | spaces.MultiDiscrete):
            shaped = values.reshape(len(values), *(part.shape or ()))
            choices = _in_form_of(f"obs {key!r}", shaped, part, environment.spec.id)
            vectors += _one_hot(choices.reshape(len(values), -1), part)
        else:
            vectors.append(values)
    return np.concatenate(vectors, axis=1).astype(environment.observation_space.dtype)


def _one_hot(columns: NDArray[Any], space: spaces.Space[Any]) -> list[NDArray[np.bool_]]:
    """Return a one-hot matrix for each column of choices, (n_rows, n_choices) each."""
    low, high = (np.ravel(bound) for bound in discrete_bounds(space))
    return [
        columns[:, [i]] == np.arange(first, last + 1)
        for i, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True))
    ]


def _terminal_at_limit(
    demonstrations: Demonstrations, environment: Environment
) -> NDArray[np.bool_]:
    """Return which demonstrations are as long as the step limit, but marked terminal, (n_demos,).

    None are where the source tells terminal states from time limits.
    """
    meta, terminal = demonstrations.meta, demonstrations.terminal
    if terminal is None or "recording" in meta or meta.get("source") in _TELL_ENDS_APART:
        return np.zeros(len(demonstrations), dtype=bool)
    is_terminal: NDArray[np.bool_] = terminal & (
        demonstrations.lengths == environment.max_episode_steps
    )
    return is_terminal


def _form_notice(key: str, original: NDArray[Any], fitted: NDArray[Any]) -> Notice:
    detail = (
        f"{key} are stored with shape {original.shape[1:]} {original.dtype} for each frame, and "
        f"used as the environment's {fitted.shape[1:]} {fitted.dtype}."
    )
    return Notice(code="converted_to_space", detail=detail)


def _limit_notice(
    at_limit: NDArray[np.bool_], environment: Environment, marks_every_end: bool
) -> Notice:
    outcome = (
        "Their source marks the end of every episode: they count as cut off, not as terminal."
        if marks_every_end
        else "They count as terminal. If the limit cut them off, set `terminal` to False for them."
    )
    detail = (
        f"{at_limit.sum()} of {len(at_limit)} demonstrations are marked as terminal, but have "
        f"exactly as many frames as the step limit of the environment, "
        f"{environment.max_episode_steps}. {outcome}"
    )
    return Notice(code="terminal_at_step_limit", detail=detail)


def _outside_notices(demonstrations: Demonstrations, environment: Environment) -> list[Notice]:
    """Return a notice about actions outside the bounds of a Box, which are allowed."""
    space, acts = environment.action_space, demonstrations.acts
    if not isinstance(space, spaces.Box):
        return []
    is_outside = (acts < space.low) | (acts > space.high)
    n_outside = int(is_outside.reshape(len(acts), -1).any(axis=1).sum())
    if not n_outside:
        return []
    detail = (
        f"{n_outside} of {demonstrations.n_frames} actions lie outside the action space "
        f"{space}; they are kept (actions of policies are clipped)."
    )
    return [Notice(code="actions_outside_bounds", detail=detail)]
