"""What a hash of a study counts, so that it stays the same when studies get new fields.

Version 1 counts every field that it began with, whatever its value: a changed default is a new
value, and another hash. A field that was added since is left out where it has its first default,
which is what was done before there was the field; so records of before it are of the same design.
"""

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

HASH_VERSION = 1
"""Of this rule; a ledger says by which it was hashed."""

FIRST_DEFAULTS: dict[str, JsonValue] = {
    "algorithm.identity": None,
    "environment.identity": None,
    "evaluation.reuse_environments": True,
    "masking.frame_stack": 1,
    "masking.training_seeds": "block",
}
"""Every field of a study that was added to version 1, and its first default, which stays as it is
whatever the default becomes."""

FIRST_SETTINGS: dict[str, dict[str, JsonValue]] = {
    "bc": {"average_last": 0.0, "learning_rate_decay": "none"},
    "bco": {"average_last": 0.0, "learning_rate_decay": "none"},
    "imitation-bc": {"n_updates": None},
}
"""The same for the settings of our algorithms, by name: a hash is taken also where an algorithm is
not installed. Settings of other people's algorithms all count."""


def hashed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a study's fields, or of its design: not what has its first default."""
    counted = copy.deepcopy(dict(fields))
    for part, name, first in _first_defaults(counted):
        if name in part and part[name] == first:
            del part[name]
    return counted


def completed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a resolved study, or its design, with those that it did not know yet."""
    whole = copy.deepcopy(dict(fields))
    for part, name, first in _first_defaults(whole):
        if part:  # settings that were never filled in mean today's defaults
            part.setdefault(name, first)
    return whole


def _first_defaults(fields: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, JsonValue]]:
    """Yield each added field: the part that it belongs to, its name and its first default."""
    algorithm = fields.get("algorithm")
    name = algorithm.get("name") if isinstance(algorithm, dict) else None
    settings = FIRST_SETTINGS.get(str(name), {})
    of_settings = {f"algorithm.settings.{own}": first for own, first in settings.items()}
    for path, first in (FIRST_DEFAULTS | of_settings).items():
        *above, name = path.split(".")
        part: Any = fields
        for step in above:
            part = part.get(step) if isinstance(part, dict) else None
        if isinstance(part, dict):
            yield part, name, first


def json_hash(value: Any) -> str:
    """Return `sha256:<hex>` of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
