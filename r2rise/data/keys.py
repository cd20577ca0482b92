"""Dict observations: selected keys, concatenated into one array."""

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError, suggestion

logger = logging.getLogger(__name__)


def select_keys(path: Path, available: Iterable[str], obs_keys: tuple[str, ...]) -> list[str]:
    """Return the keys of a dict observation to concatenate; a single one is selected by default.

    Args:
        path: The file, for messages.
        available: Keys of the file. Those of nested dicts are joined by slashes: `robot/joint`.
        obs_keys: Keys to concatenate. The name of a nested dict stands for all of its keys.

    Raises:
        DemonstrationsError: When `obs_keys` is needed but empty, or has an unknown key.
    """
    names = list(available)
    if not obs_keys and len(names) == 1:
        return names
    if not obs_keys:
        raise DemonstrationsError(
            f"{path} holds dict observations ({', '.join(sorted(names))}): name those to "
            f"concatenate with obs_keys (in a study: environment.obs_keys)."
        )
    selected = []
    for key in obs_keys:
        matching = matching_keys(key, names)
        if not matching:
            raise DemonstrationsError(
                f"{path} has no observation {key!r}. {suggestion(key, names)}"
            )
        selected += matching
    return selected


def matching_keys(key: str, names: Iterable[str]) -> list[str]:
    """Return a key, or all keys of the nested dict of that name in alphabetical order.

    The list is empty if there is neither.
    """
    names = list(names)
    if key in names:
        return [key]
    return sorted(name for name in names if name.startswith(f"{key}/"))


def concatenate_parts(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the observations of several keys as one array, (n_rows, n_values).

    A single array is returned unchanged, whatever its shape.

    Raises:
        DemonstrationsError: When the arrays have different numbers of rows.
    """
    if len(parts) == 1:
        return parts[0]
    rows = {len(part) if part.ndim else 0 for part in parts}
    if len(rows) > 1:
        raise DemonstrationsError(f"dict observations have different numbers of rows: {rows}.")
    return np.concatenate(
        [part.reshape(len(part), math.prod(part.shape[1:])) for part in parts], axis=1
    )


def warn_of_flattened(source: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Warn of pictures among several keys: in one vector, they have no rows and columns any more.

    Args:
        source: File or environment.
        shapes: Shape of each of the keys that are concatenated.
    """
    pictures = [f"{key} {shape}" for key, shape in shapes.items() if len(shape) > 1]
    if pictures and len(shapes) > 1:
        logger.warning(
            "%s: the observations %s become one vector. %s loses its shape there; selected alone, "
            "it would keep it.", source, ", ".join(shapes), " and ".join(pictures),
        )  # fmt: skip
