"""What users see of pydantic: its validation errors in words, and none of its names."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from r2rise.errors import suggestion


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """Return one line per wrong field: place, expected and actual value, suggested name."""
    return "\n".join(f"  {_describe_problem(dict(e), model)}" for e in error.errors())


def _describe_problem(problem: dict[str, Any], model: type[BaseModel]) -> str:
    location = [str(part) for part in problem["loc"] if not str(part).startswith("function-")]
    where = ".".join(location) or model.__name__.lower().removesuffix("spec")
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown field. {suggestion(location[-1], _fields_at(model, location))}"
    if problem["type"] == "missing":
        return f"{where}: is missing."
    if problem["type"] == "model_type":
        part, fields = problem["ctx"]["class_name"], ", ".join(_fields_at(model, [*location, ""]))
        article = "an" if part[0] in "AEIOU" else "a"
        message = f"Input should be {article} {part} or a dict of its fields: {fields}"
    if problem["type"] == "value_error":
        return f"{where}: {message}"
    return f"{where}: {message} (got {problem['input']!r})"


def _fields_at(model: type[BaseModel], location: list[str]) -> list[str]:
    """Return the field names of the submodel of `model` that `location[:-1]` leads to."""
    for name in location[:-1]:
        field = model.model_fields.get(name)
        part = field.annotation if field else None
        if not (isinstance(part, type) and issubclass(part, BaseModel)):
            return []
        model = part
    return [name for name, field in model.model_fields.items() if not field.exclude]


def without_pydantic(names: Iterable[str]) -> list[str]:
    """Return names of an object, without the public ones that all pydantic models have."""
    inherited = {name for name in dir(BaseModel) if not name.startswith("_")}
    return [name for name in names if name not in inherited]
