"""Loading the policy that demonstrates: a user's own object, or a model file."""

import json
import logging
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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

_CLASS_SETTINGS = {  # a setting that only models of this class have
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
"""Replacements for settings that acting does not need: functions that other versions cannot
unpickle, and a large buffer."""

_OWN_EXPERTS = "r2rise.ask.experts"
_NORMALIZED_LIMIT = 10.0
"""Standard deviations at which VecNormalize clips observations, if it is not told otherwise."""

_DAMAGED = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error),
    *(KeyError, TypeError, ValueError, RuntimeError),
)
"""Errors of reading a file that is not a zip file, or whose `data` is not that of a model."""


def to_policy(policy: object, environment: Environment) -> Policy | None:
    """Return a policy, or the one that a source names; see `load_policy`.

    Raises:
        InputError: When it is neither a policy nor a source.
    """
    if isinstance(policy, str):
        return load_policy(policy, environment)
    if _is_policy(policy):
        return cast("Policy", policy)
    raise InputError(
        f"policy should be an object with a method predict(observations, deterministic=True) -> "
        f"(actions, state), or {RANDOM!r}, a model file (.zip) or module:policy as text, got "
        f"{type(policy).__name__}."
    )


def load_policy(source: str, environment: Environment) -> Policy | None:
    """Return the policy that a source names, or None for uniformly random actions.

    Args:
        source: `random`; a model file of Stable-Baselines3 (`.zip`), **which is unpickled and so
            can run any code: it must be trusted**; or `module:policy`, an object with
            `predict(observations, deterministic=True) -> (actions, state)` or a function that
            returns one, `make(environment) -> policy`.
        environment: The environment that it will act in.

    Raises:
        UnknownName: When there is no such source.
        InputError: When the file is not a model of Stable-Baselines3, or the object not a policy.
        EnvironmentMismatch: When the model was trained with other spaces.
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


def _policy_of(candidate: Any, source: str, environment: Environment) -> Policy:
    if not _is_policy(candidate) and callable(candidate):
        try:
            candidate = candidate(environment)
        except Exception as error:
            raise InputError(
                f"{source!r} cannot make a policy for environment {environment.spec.id!r} "
                f"({type(error).__name__}: {error}). Expected a function make(environment)."
            ) from error
    if not _is_policy(candidate):
        raise InputError(
            f"{source!r} is not a policy: expected an object with a method predict(observations, "
            f"deterministic=True) -> (actions, state), or a function make(environment) that "
            f"returns one, got {type(candidate).__name__}."
        )
    policy: Policy = candidate
    return policy


def _is_policy(thing: Any) -> bool:
    return not isinstance(thing, type) and callable(getattr(thing, "predict", None))


def _load_model(path: Path, environment: Environment) -> Policy:
    data = _model_data(path)
    kind = _model_class(path, data)
    require("stable_baselines3", f"The policy {path}", "imitation")
    import stable_baselines3

    logger.warning(
        "%s is a pickled %s model: reading it runs any code in it. Use only files that you trust.",
        path,
        kind,
    )
    try:
        with seeded_globals(0, threads=1):  # loading a model seeds the global generators
            model = getattr(stable_baselines3, kind).load(
                path, device="cpu", custom_objects=_FOR_TRAINING_ONLY
            )
    except Exception as error:
        raise InputError(
            f"Stable-Baselines3 {stable_baselines3.__version__} cannot read the {kind} model "
            f"{path} ({type(error).__name__}: {error}). A model of another version may have to be "
            f"saved again; its own classes must be on the Python path."
        ) from error
    _check_spaces(model, path, environment)
    if _OWN_EXPERTS not in str(data.get("learning_rate")):  # of these, only rewards are normalised
        _check_not_normalized(model, path)
    policy: Policy = model
    return policy


def _model_data(path: Path) -> dict[str, Any]:
    """Return the settings in a model file, without unpickling anything."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
            is_model = {"policy_class", "observation_space", "action_space"} <= set(data)
    except FileNotFoundError:
        raise UnknownName(f"There is no file {path}.") from None
    except _DAMAGED:
        is_model = False
    if not is_model or not isinstance(data["policy_class"], dict):
        raise InputError(
            f"{path} is not a Stable-Baselines3 model: expected a .zip file that "
            f"model.save({path.name!r}) or `r2rise train-expert` wrote."
        )
    settings: dict[str, Any] = data
    return settings


def _model_class(path: Path, data: dict[str, Any]) -> str:
    """Return the class of a model from the names of its settings."""
    module = str(data["policy_class"].get("__module__", ""))
    for kind, setting in _CLASS_SETTINGS.items():
        if setting in data and not module.startswith("sb3_contrib"):
            return kind
    raise InputError(
        f"{path} holds a model of another class ({module}) than {', '.join(_CLASS_SETTINGS)}: "
        f"load it in a module of your own, and give module:policy."
    )


def _check_not_normalized(model: "BaseAlgorithm", path: Path) -> None:
    """Check that the model was not trained behind VecNormalize, as far as the file shows it.

    VecNormalize is the only one that keeps observations from before it changed them. Where it
    normalises rewards alone, observations may be the same, or larger than it would let them be.

    Raises:
        InputError: When it seems to have been.
    """
    original, seen = model._last_original_obs, model._last_obs
    if original is None or seen is None:
        return
    if isinstance(seen, np.ndarray) and isinstance(original, np.ndarray):
        is_same = np.array_equal(seen, original)
        if is_same or seen.dtype != np.float32 or np.abs(seen).max() > _NORMALIZED_LIMIT:
            return
    raise InputError(
        f"The policy {path} was trained with VecNormalize, whose statistics are not in the file: "
        f"it would not see the observations that it was trained on. Load both in your own module, "
        f"apply VecNormalize.normalize_obs before model.predict, and give module:policy (also "
        f"where only rewards were normalised)."
    )


def _check_spaces(model: "BaseAlgorithm", path: Path, environment: Environment) -> None:
    obs_space, action_space = model.observation_space, model.action_space
    env_obs_space, env_action_space = environment.observation_space, environment.action_space
    if _observations_fit(obs_space, env_obs_space) and _actions_fit(action_space, env_action_space):
        return
    raise EnvironmentMismatch(
        f"The policy {path} was trained on observations {obs_space} and actions {action_space}, "
        f"but environment {environment.spec.id!r} has {env_obs_space} and {env_action_space}: "
        f"name the environment it was trained in, including its wrappers.",
        field="environment.id",
    )


def _observations_fit(of_model: spaces.Space[Any], of_env: spaces.Space[Any]) -> bool:
    """Return whether a model takes these observations.

    Stable-Baselines3 moves the channels of images to the front before it trains.
    """
    if of_model.shape == of_env.shape:
        return type(of_model) is type(of_env)
    shape = of_env.shape or ()
    return len(shape) == 3 and of_env.dtype == np.uint8 and of_model.shape == (shape[2], *shape[:2])


def _actions_fit(of_model: spaces.Space[Any], of_env: spaces.Space[Any]) -> bool:
    if isinstance(of_model, spaces.Box) or isinstance(of_env, spaces.Box):
        return type(of_model) is type(of_env) and of_model.shape == of_env.shape
    return of_model == of_env
