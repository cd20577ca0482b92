"""The arguments of the analyses: paths are read, and what cannot be used is refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import InputError
from r2rise.formats import read_demonstrations
from r2rise.results.importance_map import ImportanceMap
from r2rise.study.study import Study

AnyDemonstrations = Demonstrations | str | Path
"""Demonstrations, or a file or folder of any format that `read_demonstrations` knows."""

AnyMap = ImportanceMap | str | Path
"""An importance map, its file, or the output directory that holds it."""

AnyStudy = Study | Mapping[str, Any]
"""A study or the fields of one."""


def to_demonstrations(value: object, *, obs_keys: Sequence[str] = ()) -> Demonstrations:
    """Return demonstrations, read from a file or folder if a path is given.

    Raises:
        InputError: When it is neither demonstrations nor a path.
        DemonstrationsError: When the file cannot be used.
    """
    if isinstance(value, Demonstrations):
        return value
    if isinstance(value, str | Path):
        return read_demonstrations(value, obs_keys=obs_keys)
    hint = (
        "Episodes in memory become demonstrations with Demonstrations.from_episodes."
        if isinstance(value, list | tuple | dict)
        else "The demonstrations are the first argument."
    )
    raise _wrong_type("demonstrations", "Demonstrations or the path of a file", value, hint)


def to_map(value: object, name: str = "importance_map") -> ImportanceMap:
    """Return an importance map, read from a file or output directory if a path is given.

    Args:
        value: The map or a path.
        name: Name of the argument, for the message.

    Raises:
        InputError: When it is neither a map nor a path.
        MapError: When the file cannot be used.
    """
    if isinstance(value, ImportanceMap):
        return value
    if isinstance(value, str | Path):
        return ImportanceMap.load(value)
    hint = "Give what `explain` returned, or the directory that it wrote."
    if isinstance(value, Demonstrations):
        hint += " Demonstrations come before the map."
    raise _wrong_type(name, "an ImportanceMap or the path of one", value, hint)


def to_study(value: object) -> Study:
    """Return a study, built from its fields if a dict is given.

    Raises:
        InputError: When it is neither a study nor a dict.
        StudyError: When the fields cannot be used.
    """
    if isinstance(value, Study):
        return value
    if isinstance(value, Mapping):
        return Study.parse(value)
    hint = 'Give Study(environment="CartPole-v1"), or Study.load(path) for a file.'
    raise _wrong_type("study", "a Study or a dict of its fields", value, hint)


def check_flag(name: str, value: object) -> None:
    """Check an argument that is True or False; any text would count as True.

    Raises:
        InputError: When it is something else.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} should be True or False, got {value!r}.")


def _wrong_type(name: str, expected: str, value: object, hint: str) -> InputError:
    shown = repr(value) if isinstance(value, str | int | float) else type(value).__name__
    return InputError(f"{name} should be {expected}, got {shown}. {hint}")
