"""Environments for algorithms and evaluation: creation, spaces and identity."""

import functools
import importlib
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from r2rise.errors import (
    EnvironmentMismatch,
    MissingExtra,
    R2RiseError,
    UnknownName,
    suggestion,
)
from r2rise.observations import ARRAY_SPACES, ConcatenateKeys, GymEnv
from r2rise.study.identity import identity_of
from r2rise.study.specs import EnvironmentSpec

DEFAULT_MAX_STEPS = 10_000
"""Step limit of episodes where neither study nor environment have one."""

_MAX_REASON_LENGTH = 300


class Environment:
    """Creates environments of one spec and holds their spaces.

    Attributes:
        spec: The part of the study that names the environment.
        observation_space: Space of the observations that policies get, `obs_keys` concatenated.
        observation_parts: Spaces of the concatenated keys of a dict observation, in their order;
            empty if observations are no dict.
        action_space: Space of the actions.
        max_episode_steps: Step limit of the environment itself, or None.

    Raises:
        UnknownName: When no environment has this name.
        EnvironmentMismatch: When it cannot be created, or its spaces have an unsupported type, or
            its step limit is none.
        MissingExtra: When an optional package that it needs is not installed.
    """

    def __init__(self, spec: EnvironmentSpec) -> None:
        self.spec = spec
        env = self._make()
        self.observation_space: spaces.Space[Any] = env.observation_space
        self.action_space: spaces.Space[Any] = env.action_space
        self.observation_parts = env.parts if isinstance(env, ConcatenateKeys) else {}
        self.max_episode_steps: int | None = env.spec.max_episode_steps if env.spec else None
        env.close()
        _check_step_limit(self.max_episode_steps, spec)
        for role, space in (
            ("actions", self.action_space),
            ("observations", env.observation_space),
        ):
            if not isinstance(space, ARRAY_SPACES):
                raise EnvironmentMismatch(
                    f"Environment {spec.id!r} has {role} of kind {type(space).__name__}: expected "
                    f"{', '.join(kind.__name__ for kind in ARRAY_SPACES)}.",
                    field="environment.id",
                )

    def make(self, seed: int) -> GymEnv:
        """Return a new environment whose generators are seeded."""
        env = self._make()
        begin_episode(env, seed)
        return env

    def _make(self) -> GymEnv:
        env = _make_gym(self.spec)
        if isinstance(env.observation_space, spaces.Dict):
            return ConcatenateKeys(env, self.spec)
        if self.spec.obs_keys:
            raise EnvironmentMismatch(
                f"obs_keys are given, but environment {self.spec.id!r} has no dict observations: "
                f"leave them out.",
                field="environment.obs_keys",
            )
        return env


def _check_step_limit(limit: Any, spec: EnvironmentSpec) -> None:
    """Check the step limit, which gymnasium 0.29 takes as it is.

    Raises:
        EnvironmentMismatch: When it is not a whole number of at least 1.
    """
    is_whole = isinstance(limit, int) and not isinstance(limit, bool)
    if limit is None or (is_whole and limit >= 1):
        return
    raise EnvironmentMismatch(
        f"max_episode_steps of environment {spec.id!r} should be a whole number of at least 1, got "
        f"{limit!r}. For episodes without such a limit, use a function that makes the "
        f"environment without its wrappers (module:factory).",
        field="environment.kwargs",
    )


@contextmanager
def failures_of(environment: Environment) -> Iterator[None]:
    """Turn exceptions from environment or policy code into an error that names the environment.

    Raises:
        EnvironmentMismatch: For any exception but an `R2RiseError`, which passes unchanged.
    """
    try:
        yield
    except R2RiseError:
        raise
    except Exception as error:
        raise EnvironmentMismatch(
            f"Environment {environment.spec.id!r} failed: {type(error).__name__}: "
            f"{textwrap.shorten(str(error), _MAX_REASON_LENGTH)}",
            field="environment.id",
        ) from error


def begin_episode(env: GymEnv, seed: int) -> tuple[Any, dict[str, Any]]:
    """Reset an environment so that the episode depends on the seed alone.

    The action space is seeded too, since some environments draw from it.

    Returns:
        The first observation and `info`.
    """
    env.action_space.seed(seed)
    return env.reset(seed=seed)


@functools.cache
def register_environments() -> None:
    """Call every function of the entry-point group `r2rise.environments`, once per process."""
    for entry in entry_points(group="r2rise.environments"):
        entry.load()()


def environment_ids() -> list[str]:
    """Return all ids in gymnasium's registry, including those of installed plug-ins."""
    register_environments()
    return sorted(gym.registry)


def import_object(name: str, role: str) -> Any:
    """Return the object that `module:object` names.

    Raises:
        UnknownName: When the module or the object does not exist, or the module fails to import.
    """
    module_name, _, attribute = name.partition(":")
    target: Any = import_module_of(name, role)
    file = getattr(target, "__file__", None)
    where = f" ({file})" if file else ""  # perhaps an installed module of the same name
    for part in attribute.split("."):
        if not hasattr(target, part):
            public_names = [name for name in dir(target) if not name.startswith("_")]
            hint = suggestion(part, public_names)
            raise UnknownName(f"{module_name!r}{where} has no {attribute!r}. {hint}")
        target = getattr(target, part)
    return target


def import_module_of(name: str, role: str) -> ModuleType:
    """Import the module that `module:object` names.

    Raises:
        UnknownName: When the module does not exist or fails to import.
    """
    module_name, _, attribute = name.partition(":")
    if module_name.endswith(".py"):
        stem = module_name.removesuffix(".py").replace("/", ".")
        raise UnknownName(
            f"The {role} {name!r} names a file: expected module:object, such as "
            f"{stem}:{attribute}, with the module on the Python path (for a file here: "
            f"PYTHONPATH=.)."
        )
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a script may call sys.exit
        raise UnknownName(
            f"Cannot import {module_name!r} for the {role} {name!r} "
            f"({type(error).__name__}: {error}). Expected module:object, with the module on the "
            f"Python path (for a file here: PYTHONPATH=.)."
        ) from None


def _make_gym(spec: EnvironmentSpec) -> GymEnv:
    register_environments()
    factory = spec.factory or _import_factory(spec.id)
    if factory is None:
        _check_step_limit(spec.kwargs.get("max_episode_steps"), spec)
    try:
        if factory is not None:
            env = factory(**spec.kwargs)
        else:
            env = gym.make(spec.id, disable_env_checker=True, **cast("dict[str, Any]", spec.kwargs))
    except MissingExtra:
        raise
    except gym.error.Error as error:
        raise UnknownName(
            f"There is no environment {spec.id!r}: {error}", field="environment.id"
        ) from None
    except Exception as error:
        raise EnvironmentMismatch(
            f"Environment {spec.id!r} cannot be made with {spec.kwargs or 'its defaults'}: "
            f"{type(error).__name__}: {error}",
            field="environment.id",
        ) from None
    if not isinstance(env, gym.Env):
        raise EnvironmentMismatch(
            f"{spec.id!r} should return a gymnasium environment, but returned {type(env).__name__}."
        )
    return env


def _import_factory(name: str) -> Any:
    """Return the function that `module:factory` names, or None for a gymnasium id.

    The module of `module:Env-v0` is imported, so that gymnasium can find the id.

    Raises:
        UnknownName: When the module or the function cannot be imported.
    """
    _, separator, attribute = name.partition(":")
    if not separator:
        return None
    if not attribute.replace(".", "").isidentifier():
        import_module_of(name, "environment")
        return None
    return import_object(name, "environment")


def environment_identity(spec: EnvironmentSpec) -> str | None:
    """Return the identity of a factory or registered environment from the user's program.

    None stands for an installed one.

    Raises:
        UnknownName: When it cannot be imported.
        Unidentified: When it cannot be hashed.
    """
    factory = spec.factory or _import_factory(spec.id)
    if factory is not None:
        return identity_of(factory)
    register_environments()
    registered = gym.registry.get(spec.id.rpartition(":")[2])
    if registered is None or registered.entry_point is None:
        return None
    creator = registered.entry_point
    if isinstance(creator, str):
        creator = import_object(creator, "environment")
    if identity_of(creator) is None:
        return None
    return identity_of(functools.partial(creator, **registered.kwargs))


def discrete_bounds(space: spaces.Space[Any]) -> tuple[Any, Any]:
    """Return the lowest and the highest values of a discrete space, scalars or arrays."""
    if isinstance(space, spaces.Discrete):
        return space.start, space.start + space.n - 1
    if isinstance(space, spaces.MultiDiscrete):
        start = getattr(space, "start", np.zeros_like(space.nvec))  # since gymnasium 1.0
        return start, start + space.nvec - 1
    return 0, 1
