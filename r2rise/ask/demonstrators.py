"""Who demonstrates: a policy of the user's own program, or one that a model file holds."""

import json
import logging
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from r2rise.algorithms.base import Policy
from r2rise.design.seeds import seeded_globals
from r2rise.environments import Environment, import_object
from r2rise.errors import EnvironmentMismatch, InputError, UnknownName, require

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

logger = logging.getLogger(__name__)

RANDOM = "random"
"""The source of uniformly random actions."""

_TOLD_BY = {  # which setting only models of this class have
    "DQN": "exploration_initial_eps",
    "SAC": "target_entropy",
    "TD3": "policy_delay",
    "PPO": "clip_range",
    "A2C": "normalize_advantage",
}
_FOR_TRAINING_ONLY = {
    "learning_rate": 0.0,
    "lr_schedule": float,
    "clip_range": float,
    "clip_range_vf": float,
    "exploration_schedule": float,
    "buffer_size": 1,
}
"""What acting does not need: functions that other versions cannot read, and a large buffer."""


_DAMAGED = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error),
    *(KeyError, TypeError, ValueError, RuntimeError),
)
"""What reading a file raises that is no zip file, or whose `data` is something else."""


def load_policy(source: str, environment: Environment) -> Policy | None:
    """Return the policy that a source names, or None for uniformly random actions.

    Args:
        source: `random`; a model file of Stable-Baselines3 (`.zip`), **which is unpickled, and so
            runs what code it holds: it must be trusted**; or `module:policy`, an object with
            `predict(observations, deterministic=True) -> (actions, state)` or a function that
            returns one, `make(environment) -> policy`.
        environment: Where it will act.

    Raises:
        UnknownName: When there is no such source.
        InputError: When the file is no model of Stable-Baselines3, or the object is no policy.
        EnvironmentMismatch: When the model was trained on other spaces.
        MissingExtra: When Stable-Baselines3 is needed and not installed.
    """
    if source == RANDOM:
        return None
    if source.endswith(".zip"):
        return _load_model(Path(source), environment)
    if ":" in source:
        return _policy_of(import_object(source, "policy"), source, environment)
    raise UnknownName(
        f"There is no policy {source!r}. Expected {RANDOM!r}, a model file of Stable-Baselines3 "
        f"(.zip), or module:policy."
    )


def _policy_of(found: Any, source: str, environment: Environment) -> Policy:
    if not _acts(found) and callable(found):
        try:
            found = found(environment)
        except Exception as error:
            raise InputError(
                f"{source!r} cannot make a policy for environment {environment.spec.id!r} "
                f"({type(error).__name__}: {error}). Expected a function make(environment)."
            ) from error
    if not _acts(found):
        raise InputError(
            f"{source!r} is no policy: expected an object with a method predict(observations, "
            f"deterministic=True) -> (actions, state), or a function make(environment) that "
            f"returns one, got {type(found).__name__}."
        )
    policy: Policy = found
    return policy


def _acts(thing: Any) -> bool:
    return not isinstance(thing, type) and callable(getattr(thing, "predict", None))


def _load_model(path: Path, environment: Environment) -> Policy:
    kind = _model_class(path)
    require("stable_baselines3", f"The policy {path}", "imitation")
    import stable_baselines3

    logger.warning(
        "%s is a pickled %s model: reading it runs what code it holds. Use such files only from "
        "people whom you trust.",
        path,
        kind,
    )
    try:
        with seeded_globals(0, threads=1):  # reading a model seeds them
            model = getattr(stable_baselines3, kind).load(
                path, device="cpu", custom_objects=_FOR_TRAINING_ONLY
            )
    except Exception as error:
        raise InputError(
            f"Stable-Baselines3 {stable_baselines3.__version__} cannot read the {kind} model "
            f"{path} ({type(error).__name__}: {error}). A model of another version may have to be "
            f"saved anew; its own classes must be on the Python path."
        ) from error
    _check_spaces(model, path, environment)
    policy: Policy = model
    return policy


def _model_class(path: Path) -> str:
    """Return the class of a model file from the names of its settings; nothing is unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
            known = {"policy_class", "observation_space", "action_space"} <= set(data)
            module = str(dict(data["policy_class"]).get("__module__", "")) if known else ""
    except FileNotFoundError:
        raise UnknownName(f"There is no file {path}.") from None
    except _DAMAGED:
        known = False
    if not known:
        raise InputError(
            f"{path} is no model of Stable-Baselines3: expected a .zip file that "
            f"model.save({path.name!r}) or `r2rise train-expert` wrote."
        )
    for kind, setting in _TOLD_BY.items():
        if setting in data and not module.startswith("sb3_contrib"):
            return kind
    raise InputError(
        f"{path} holds a model of another class ({module}) than {', '.join(_TOLD_BY)}: load it in "
        f"a module of your own, and give module:policy."
    )


def _check_spaces(model: "BaseAlgorithm", path: Path, environment: Environment) -> None:
    own = (model.observation_space, model.action_space)
    given = (environment.observation_space, environment.action_space)
    if _shows_same(own[0], given[0]) and _acts_same(own[1], given[1]):
        return
    raise EnvironmentMismatch(
        f"The policy {path} was trained on observations {own[0]} and actions {own[1]}, but "
        f"environment {environment.spec.id!r} has {given[0]} and {given[1]}: name the environment "
        f"it was trained in, its wrappers included.",
        field="environment.id",
    )


def _shows_same(own: spaces.Space[Any], given: spaces.Space[Any]) -> bool:
    """Say whether a policy sees such observations; it moves channels of images to the front."""
    if own.shape == given.shape:
        return type(own) is type(given)
    shape = given.shape or ()
    return len(shape) == 3 and given.dtype == np.uint8 and own.shape == (shape[2], *shape[:2])


def _acts_same(own: spaces.Space[Any], given: spaces.Space[Any]) -> bool:
    if isinstance(own, spaces.Box) or isinstance(given, spaces.Box):
        return type(own) is type(given) and own.shape == given.shape
    return own == given
