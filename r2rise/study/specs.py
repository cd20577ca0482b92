"""The algorithm and the environment of a study, given by name or as objects."""

import functools
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import (
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from r2rise.study.identity import Unidentified, identity_of, name_of
from r2rise.study.parts import AddedField, StudyPart

_NUMBER_AS_TEXT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
"""Numbers that YAML 1.1 reads as text."""


def _label(thing: object) -> str:
    """Return the `module:name` of a function, class or instance; for a partial with arguments."""
    if not isinstance(thing, functools.partial):
        return name_of(thing)
    arguments = [*map(_argument_label, thing.args)]
    arguments += [f"{name}={_argument_label(value)}" for name, value in thing.keywords.items()]
    return f"{_label(thing.func)}({', '.join(arguments)})"


def _argument_label(value: object) -> str:
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return reprlib.repr(value) if is_plain else f"<{type(value).__name__}>"


def _fields_from_object(thing: object, object_field: str, name_field: str) -> dict[str, Any]:
    """Return the fields of a part of a study that is given as an object.

    Args:
        thing: The object.
        object_field: Name of the field that holds the object.
        name_field: Name of the field that holds its label.
    """
    try:
        identity = identity_of(thing)
    except Unidentified:  # reported when a ledger on disk is opened
        identity = None
    return {name_field: _label(thing), object_field: thing, "identity": identity}


class EnvironmentSpec(StudyPart):
    """Where policies are evaluated.

    Attributes:
        id: A gymnasium id, `module:Env-v0`, or `module:factory`. A function that makes an
            environment may be given instead of the whole part; its `module:name` becomes the id.
        kwargs: Keyword arguments of the environment.
        obs_keys: Keys of a dict observation to concatenate, in this order.
        factory: The function itself, where one was given; neither saved nor hashed.
        identity: Hash of a factory of the user's own program, of all that `identity_of` sees.
    """

    id: str = Field(min_length=1)
    kwargs: dict[str, JsonValue] = Field(default={})
    obs_keys: tuple[str, ...] = ()
    factory: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)
    identity: Annotated[str | None, AddedField(None)] = None

    @field_validator("kwargs")
    @classmethod
    def _no_numbers_as_text(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name, argument in value.items():
            if isinstance(argument, str) and _NUMBER_AS_TEXT.fullmatch(argument):
                number = np.format_float_positional(float(argument), trim="-")
                raise ValueError(
                    f"{name} is the text {argument!r}, since YAML knows other numbers only: write "
                    f"{number}"
                )
        return value

    @property
    def is_plain(self) -> bool:
        """Whether the id alone determines the environment and what policies see of it."""
        return not self.kwargs and not self.obs_keys and self.factory is None

    @model_validator(mode="before")
    @classmethod
    def _from_name_or_factory(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"id": value}
        if callable(value):
            return _fields_from_object(value, "factory", "id")
        if isinstance(value, Mapping) and callable(value.get("factory")):
            return _fields_from_object(value["factory"], "factory", "id") | dict(value)
        if not isinstance(value, Mapping | EnvironmentSpec):
            raise ValueError(
                f"expected an id such as 'CartPole-v1', a function that makes an environment, or a "
                f"dict of id, kwargs and obs_keys (got {type(value).__name__})"
            )
        return value


class AlgorithmSpec(StudyPart):
    """What is retrained.

    Attributes:
        name: An installed algorithm, or `module:object`. A class, instance or function may be
            given instead of the whole part; its `module:name` becomes the name.
        settings: The algorithm's own settings, checked by its settings model.
        implementation: The object itself, where one was given; neither saved nor hashed.
        identity: Hash of an algorithm of the user's own program, of all that `identity_of` sees.
    """

    name: str = Field(default="bc", min_length=1)
    settings: dict[str, JsonValue] = Field(default={})
    implementation: Any = Field(default=None, exclude=True, repr=False)
    identity: Annotated[str | None, AddedField(None)] = None

    @model_validator(mode="before")
    @classmethod
    def _from_name_or_object(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, AlgorithmSpec):
            return value
        if not isinstance(value, Mapping):
            return _fields_from_object(value, "implementation", "name")
        if value.get("implementation") is not None:
            implementation = value["implementation"]
            fields = _fields_from_object(implementation, "implementation", "name")
            return fields | dict(value)
        return value
