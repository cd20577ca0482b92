"""Demonstrations from the episodes of a file, and back; large ones are built in files on disk."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from r2rise.data.demonstrations import MEMORY_MAP_BYTES, Demonstrations, memory_mapped
from r2rise.data.episodes import Episode, joined_arrays
from r2rise.errors import DemonstrationsError


def join(
    path: Path, episodes: Iterable[Episode], *, n_bytes: int, meta: Mapping[str, Any]
) -> Demonstrations:
    """Join episodes, which are consumed one at a time, into demonstrations.

    Args:
        path: File or folder of the episodes, for messages.
        episodes: The episodes.
        n_bytes: Approximate total size. Above a limit, the arrays are memory-mapped.
        meta: Metadata of the demonstrations.

    Raises:
        DemonstrationsError: If the episodes are inconsistent, or there are none.
    """

    def assembled(folder: Path | None = None) -> Demonstrations:
        arrays = joined_arrays(episodes, source=str(path), folder=folder)
        return Demonstrations(**arrays, meta=meta)

    try:
        return assembled() if n_bytes <= MEMORY_MAP_BYTES else memory_mapped(assembled)
    except DemonstrationsError as error:
        names_path = str(error).startswith(str(path))
        raise DemonstrationsError(str(error) if names_path else f"{path}: {error}") from None


def episodes_of(demonstrations: Demonstrations) -> Iterable[Episode]:
    """Yield the demonstrations one by one, as views of their arrays."""
    ends = np.cumsum(demonstrations.lengths).tolist()
    for start, end in zip(demonstrations.first_frame.tolist(), ends, strict=True):
        yield demonstrations.episode(start, end)
