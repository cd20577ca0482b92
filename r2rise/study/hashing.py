"""Hashes of studies that stay the same when studies gain new fields.

Version 1 hashes each of its original fields, whatever the value: a changed default is a new value
and gives another hash. A field added since is left out of the hash where it has its first default,
which reproduces the behaviour from before the field existed. Older records therefore keep the same
design.
"""

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from r2rise.study.parts import (
    AddedField,
    Budget,
    Evaluation,
    Execution,
    Masking,
    StudyPart,
    Until,
    VerdictRule,
)
from r2rise.study.specs import AlgorithmSpec, EnvironmentSpec

HASH_VERSION = 1
"""Version of the hashing rule; a ledger stores the version that it was hashed with."""

_PARTS: dict[str, type[StudyPart]] = {
    "algorithm": AlgorithmSpec,
    "budget": Budget,
    "environment": EnvironmentSpec,
    "evaluation": Evaluation,
    "execution": Execution,
    "masking": Masking,
    "until": Until,
    "verdicts": VerdictRule,
}
FIRST_DEFAULTS: dict[str, JsonValue] = {
    f"{part}.{name}": mark.first_default
    for part, model in _PARTS.items()
    for name, field in model.model_fields.items()
    for mark in field.metadata
    if isinstance(mark, AddedField)
}
"""First default of every field that was added to version 1, which its `AddedField` states."""

FIRST_SETTINGS: dict[str, dict[str, JsonValue]] = {
    "bc": {"average_last": 0.0, "learning_rate_decay": "none"},
    "bco": {"average_last": 0.0, "learning_rate_decay": "none"},
    "imitation-bc": {"n_updates": None},
}
"""The same for the settings of built-in algorithms, by algorithm name.

They are listed here because a study is also hashed where the algorithm is not installed. Settings
of third-party algorithms are always hashed."""


def without_first_defaults(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of the fields to hash: without added fields at their first default.

    Args:
        fields: All fields of a study, or of its design part.
    """
    remaining = copy.deepcopy(dict(fields))
    for part, name, first_default in _added_fields(remaining):
        if name in part and part[name] == first_default:
            del part[name]
    return remaining


def with_first_defaults(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of the fields in which missing added fields have their first default.

    Args:
        fields: Those of a resolved study, or of its design part, perhaps saved by an older version.
    """
    completed_fields = copy.deepcopy(dict(fields))
    for part, name, first_default in _added_fields(completed_fields):
        if part:  # settings that were never filled in mean the current defaults
            part.setdefault(name, first_default)
    return completed_fields


def _added_fields(fields: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, JsonValue]]:
    """Yield each added field: the dict of the part it belongs to, its name, its first default."""
    algorithm = fields.get("algorithm")
    algorithm_name = algorithm.get("name") if isinstance(algorithm, dict) else None
    first_settings = {
        f"algorithm.settings.{setting}": first_default
        for setting, first_default in FIRST_SETTINGS.get(str(algorithm_name), {}).items()
    }
    for path, first_default in (FIRST_DEFAULTS | first_settings).items():
        *part_names, name = path.split(".")
        part: Any = fields
        for part_name in part_names:
            part = part.get(part_name) if isinstance(part, dict) else None
        if isinstance(part, dict):
            yield part, name, first_default


def json_hash(value: Any) -> str:
    """Return `sha256:<hex>` of a JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
