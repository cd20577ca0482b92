"""Spaces in the JSON form of Minari's `metadata.json` (minari/serialization.py)."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError

_SMALLEST_PICTURE = 32
"""Pixels. Minari does not encode smaller pictures as JPEG (minari/dataset/minari_storage.py)."""


def space_json(values: NDArray[Any]) -> str:
    """Return, as JSON, a space that contains the values. The environment's may be narrower."""
    dtype = values.dtype
    if values.ndim == 1 and dtype.kind in "iu":
        start = min(0, int(values.min()))
        space: dict[str, Any] = {
            "type": "Discrete", "dtype": "int64",
            "start": start, "n": int(values.max()) - start + 1,
        }  # fmt: skip
        return json.dumps(space)
    low, high = _bounds(dtype)
    shape = values.shape[1:]
    return json.dumps(
        {
            "type": "Box",
            "dtype": str(dtype),
            "shape": list(shape),
            "low": np.full(shape, low).tolist(),
            "high": np.full(shape, high).tolist(),
        }
    )


def _bounds(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "b":
        return False, True
    if dtype.kind == "f":
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def parse_space(text: Any) -> dict[str, Any]:
    """Return a space from `metadata.json`, or an empty dict if the file has none.

    Raises:
        DemonstrationsError: If it is not a space.
    """
    try:
        space = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        space = None
    if not isinstance(space, dict):
        raise DemonstrationsError("metadata.json should hold spaces as Minari writes them.")
    return space


def subspace(space: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a subspace of a Dict space by name or of a Tuple space by `_index_<i>`, or {}."""
    parts = space.get("subspaces", {})
    if isinstance(parts, list):
        parts = {f"_index_{i}": part for i, part in enumerate(parts)}
    part = parts.get(key) if isinstance(parts, dict) else None
    return part if isinstance(part, dict) else {}


def key_shapes(space: dict[str, Any], prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Return the shape of each part of a Dict or Tuple space by its path; empty for others."""
    parts = space.get("subspaces", {})
    names = [f"_index_{i}" for i in range(len(parts))] if isinstance(parts, list) else list(parts)
    shapes: dict[str, tuple[int, ...]] = {}
    for name in names:
        part = subspace(space, name)
        if "subspaces" in part:
            shapes |= key_shapes(part, f"{prefix}{name}/")
        else:
            shapes[prefix + name] = tuple(part.get("shape") or ())
    return shapes


def is_picture(space: dict[str, Any]) -> bool:
    """Return whether Minari stores observations of this space as JPEG by default."""
    shape = space.get("shape", [])
    return (
        space.get("type") == "Box"
        and space.get("dtype") == "uint8"
        and len(shape) in (2, 3)
        and min(shape[:2]) >= _SMALLEST_PICTURE
        and bool(np.all(np.array(space.get("low")) == 0))
        and bool(np.all(np.array(space.get("high")) == 255))
    )
