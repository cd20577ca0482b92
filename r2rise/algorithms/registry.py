"""Looks up the algorithm that a study names, and makes it ready to train."""

import functools
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeGuard, cast

from pydantic import BaseModel, ValidationError

from r2rise.algorithms.base import (
    Algorithm,
    CountsTraining,
    NoSettings,
    Policy,
    ProgressCallback,
    TrainingAmount,
    TrainsAlong,
)
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment, import_object
from r2rise.errors import MissingExtra, R2RiseError, StudyError, UnknownName, suggestion
from r2rise.study.identity import identity_of
from r2rise.study.specs import AlgorithmSpec
from r2rise.study.validation import describe

GROUP = "r2rise.algorithms"
_UNDECLARED = object()


class FunctionAlgorithm:
    """A plain training function as an algorithm without settings."""

    def __init__(self, function: Callable[..., Policy]) -> None:
        self._function = function
        self.uses_next_obs = uses_next_obs(function)

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,
        *,
        progress: ProgressCallback,
    ) -> Policy:
        """Call the function."""
        return self._function(transitions, environment, seed, progress=progress)


@functools.cache
def _installed_entry_points() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def algorithm_names() -> list[str]:
    """Return the names of all installed algorithms."""
    return sorted(_installed_entry_points())


def load_implementation(spec: AlgorithmSpec) -> Any:
    """Return the class, instance or function that a study names.

    Raises:
        UnknownName: If no such algorithm is installed, or it cannot be imported.
        MissingExtra: If a package that it needs is not installed.
    """
    if spec.implementation is not None:
        return spec.implementation
    if ":" in spec.name:
        return import_object(spec.name, "algorithm")
    if spec.name not in _installed_entry_points():
        raise UnknownName(
            f"There is no algorithm {spec.name!r}. {suggestion(spec.name, algorithm_names())} "
            f"Your own is named module:object.",
            field="algorithm.name",
        )
    entry_point = _installed_entry_points()[spec.name]
    try:
        return entry_point.load()
    except R2RiseError:
        raise
    except Exception as error:
        raise UnknownName(
            f"The installed algorithm {spec.name!r} ({entry_point.value}) cannot be "
            f"imported ({type(error).__name__}: {error}). Fix or uninstall that package.",
            field="algorithm.name",
        ) from None


def algorithm_identity(spec: AlgorithmSpec) -> str | None:
    """Return the identity hash of the user's own algorithm, or None for an installed one.

    Raises:
        UnknownName: If it cannot be imported.
        Unidentified: If it holds something that cannot be hashed, so that a changed version of it
            would go unnoticed.
    """
    if spec.implementation is None and ":" not in spec.name:
        return None
    return identity_of(load_implementation(spec))


def settings_model(implementation: Any) -> type[BaseModel]:
    """Return the settings model of a class, instance or function.

    Raises:
        StudyError: If its `Settings` is not a pydantic model.
    """
    model = getattr(implementation, "Settings", NoSettings)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise StudyError(
            f"{implementation!r} has Settings that are not a pydantic model: expected a subclass "
            f"of pydantic.BaseModel, got {model!r}.",
            field="algorithm.name",
        )
    return model


def check_algorithm(spec: AlgorithmSpec) -> AlgorithmSpec:
    """Return the spec with every setting filled in and checked.

    Raises:
        UnknownName: If there is no such algorithm.
        StudyError: If it is not an algorithm, or a setting is unknown or out of range.
    """
    implementation = load_implementation(spec)
    has_train = callable(getattr(implementation, "train", None))
    if not has_train and (inspect.isclass(implementation) or not callable(implementation)):
        raise StudyError(
            f"{spec.name!r} is not an algorithm: expected a function, or a class with a method "
            f"train(transitions, environment, seed, *, progress), got {implementation!r}.",
            field="algorithm.name",
        )
    if has_train and not isinstance(implementation, type):
        if not spec.settings:
            return spec
        raise StudyError(
            f"{spec.name!r} is an instance, which has its settings already: leave "
            f"algorithm.settings out, or give the class.",
            field="algorithm.settings",
        )
    model = settings_model(implementation)
    try:
        settings = model.model_validate(spec.settings)
    except ValidationError as error:
        raise StudyError(
            f"The settings of algorithm {spec.name!r} cannot be used:\n{describe(error, model)}",
            field="algorithm.settings",
        ) from None
    if not isinstance(implementation, type):
        return spec
    _check_constructor(implementation)
    if hasattr(implementation, "resolve_settings"):
        settings = implementation.resolve_settings(settings)
    return spec.model_copy(update={"settings": settings.model_dump(mode="json")})


def _check_constructor(implementation: type[Any]) -> None:
    has_settings = hasattr(implementation, "Settings")
    try:
        inspect.signature(implementation).bind(*[None] * has_settings)
    except TypeError:
        expected = "its settings alone" if has_settings else "no arguments, as it has no Settings"
        raise StudyError(
            f"{implementation!r} cannot be built: expected a constructor that takes {expected}, "
            f"got {implementation.__name__}{inspect.signature(implementation)}.",
            field="algorithm.name",
        ) from None


def make_algorithm(spec: AlgorithmSpec) -> Algorithm:
    """Return an algorithm that is ready to train.

    Raises:
        MissingExtra: If a package that it needs is not installed.
    """
    implementation = load_implementation(spec)
    if not isinstance(implementation, type):
        has_train = hasattr(implementation, "train")
        return cast("Algorithm", implementation) if has_train else FunctionAlgorithm(implementation)
    if not hasattr(implementation, "Settings"):
        return cast("Algorithm", implementation())
    settings = settings_model(implementation).model_validate(spec.settings)
    return cast("Algorithm", implementation(settings))


def uses_next_obs(algorithm: Any) -> bool:
    """Return whether an algorithm learns from the observations that follow the actions."""
    return bool(getattr(algorithm, "uses_next_obs", False))


def counts_training(spec: AlgorithmSpec) -> TrainingAmount | None:
    """Return how an algorithm measures its training; None if it has no amount that can be set.

    It cannot be set on an instance, which already has its settings.
    """
    implementation = load_implementation(spec)
    if not isinstance(implementation, type):
        return None
    return getattr(implementation, "training_amount", None)


def has_no_amount(spec: AlgorithmSpec) -> bool:
    """Return whether an algorithm declares that it has no amount of training.

    It does so with `training_amount = None`; without the attribute nothing is known.
    """
    return getattr(load_implementation(spec), "training_amount", _UNDECLARED) is None


def least_amount_of(spec: AlgorithmSpec, n_frames: int) -> int | None:
    """Return the smallest amount of training that is worth trying on `n_frames` frames.

    None if the amount cannot be set, or if the algorithm does not define a smallest amount.
    """
    algorithm = None if counts_training(spec) is None else make_algorithm(spec)
    return algorithm.least_amount(n_frames) if isinstance(algorithm, CountsTraining) else None


def amount_of(spec: AlgorithmSpec) -> int | None:
    """Return the amount of training that the settings of a checked spec set, or None."""
    training_amount = counts_training(spec)
    return (
        None
        if training_amount is None
        else cast("int | None", spec.settings.get(training_amount.setting))
    )


def training_of(spec: AlgorithmSpec) -> str | None:
    """Return how long a checked spec trains, such as `1600 updates`, or None if it is not set."""
    training_amount, amount = counts_training(spec), amount_of(spec)
    return None if training_amount is None or amount is None else f"{amount} {training_amount.unit}"


def names_training(spec: AlgorithmSpec) -> bool:
    """Return whether the settings of a checked spec determine how long to train."""
    training_amount = counts_training(spec)
    if training_amount is None:
        return False
    settings = filter(None, (training_amount.setting, training_amount.instead))
    return any(spec.settings.get(setting) is not None for setting in settings)


def with_amount(spec: AlgorithmSpec, amount: int) -> AlgorithmSpec:
    """Return the spec with another amount of training.

    Raises:
        StudyError: If the algorithm has no such setting.
    """
    training_amount = counts_training(spec)
    if training_amount is None:
        raise StudyError(
            f"The algorithm {spec.name!r} does not say how it counts its training: expected a "
            f"class with `training_amount` (see r2rise.algorithms.CountsTraining).",
            field="algorithm.name",
        )
    settings = {**spec.settings, training_amount.setting: amount}
    if training_amount.instead is not None:
        settings[training_amount.instead] = None
    return spec.model_copy(update={"settings": settings})


def without_amount(spec: AlgorithmSpec) -> AlgorithmSpec:
    """Return the checked spec with its amount of training reset to the default."""
    training_amount = counts_training(spec)
    if training_amount is None:
        return spec
    amount_settings = (training_amount.setting, training_amount.instead)
    settings = {name: value for name, value in spec.settings.items() if name not in amount_settings}
    return check_algorithm(spec.model_copy(update={"settings": settings}))


def leaves_amount_open(spec: AlgorithmSpec) -> bool:
    """Return whether the training check has to choose the amount of training of a checked spec."""
    training_amount = counts_training(spec)
    return training_amount is not None and training_amount.automatic and not names_training(spec)


def follows_one_path(algorithm: Algorithm) -> TypeGuard[TrainsAlong]:
    """Return whether one training run of an algorithm gives its policies at several amounts."""
    return isinstance(algorithm, TrainsAlong) and algorithm.trains_along()


def needed_extra(name: str) -> str | None:
    """Return the extra that an algorithm needs and that is not installed, or None."""
    try:
        make_algorithm(AlgorithmSpec(name=name))
    except MissingExtra as error:
        return error.extra
    except ValidationError:  # settings without defaults: it cannot be instantiated here
        return None
    return None
