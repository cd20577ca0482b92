"""Checks of the arrays of demonstrations."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError

ARRAY_KEYS = ("obs", "acts", "lengths", "rews", "terminal", "frames")
"""Names of the arrays of demonstrations, in the order in which they are hashed."""

MAX_DEMONSTRATIONS = 100_000
"""Limit of a server for one file, so also of a recording: every response about a dataset lists the
length of each demonstration."""

_CHUNK_BYTES = 64 * 2**20

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by key; optional ones that are left out have no entry."""


def read_only(key: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view of an array.

    Raises:
        DemonstrationsError: When it is not a NumPy array of numbers or booleans.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DemonstrationsError(f"{key} should hold numbers, got {got}.")
    view = array.view()
    view.flags.writeable = False
    return view


def check_arrays(arrays: Arrays) -> None:
    """Check that arrays are consistent with each other and hold finite values.

    Raises:
        DemonstrationsError: When they are not; it names the array, the expected and actual values.
    """
    _check_lengths(arrays["lengths"])
    _check_rows(arrays)
    _check_shapes(arrays.get("rews"), arrays.get("terminal"), arrays.get("frames"))
    for key in ("obs", "acts", "rews"):
        array = arrays.get(key)
        if array is not None and array.dtype.kind == "f":
            _check_finite(key, array)


def check_meta(meta: Mapping[str, Any]) -> None:
    """Check that `meta` can be written as JSON.

    Raises:
        DemonstrationsError: When it cannot.
    """
    try:
        json.dumps(dict(meta), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise DemonstrationsError(
            f"meta should be a dict of what JSON holds: texts, numbers, lists and dicts ({error})."
        ) from None


def check_kept(kept: NDArray[Any], n_frames: int) -> None:
    """Check which frames are kept.

    Raises:
        DemonstrationsError: When it is not an array of bool with a column for each frame.
    """
    if not isinstance(kept, np.ndarray):
        raise DemonstrationsError(f"kept should be an array of bool, got {type(kept).__name__}.")
    if kept.dtype != bool or kept.shape[-1:] != (n_frames,):
        raise DemonstrationsError(
            f"kept should be an array of {n_frames} bool, one for each frame, got {kept.dtype} of "
            f"shape {kept.shape}."
        )


def row_chunks(array: NDArray[Any]) -> Iterable[NDArray[Any]]:
    """Yield an array in chunks of rows, so that a memory-mapped one is never loaded as a whole."""
    row_bytes = max(1, array.nbytes // max(1, len(array)))
    step = max(1, _CHUNK_BYTES // row_bytes)
    return (array[start : start + step] for start in range(0, len(array), step))


def _check_lengths(lengths: NDArray[Any]) -> None:
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or len(lengths) == 0:
        raise DemonstrationsError(
            f"lengths should be (n_demos,) whole numbers of at least one demonstration, got "
            f"{lengths.shape} {lengths.dtype}."
        )
    if (lengths < 1).any():
        index = int(np.argmax(lengths < 1))
        raise DemonstrationsError(
            f"Every demonstration needs at least 1 frame, but demonstration {index} has length "
            f"{int(lengths[index])}."
        )


def _check_rows(arrays: Arrays) -> None:
    n_frames = sum(arrays["lengths"].tolist())  # in Python, where sums do not overflow
    n_demos = len(arrays["lengths"])
    expected_rows = {
        "obs": n_frames + n_demos,
        "acts": n_frames,
        "rews": n_frames,
        "terminal": n_demos,
        "frames": n_frames,
    }
    for key, expected in expected_rows.items():
        array = arrays.get(key)
        if array is None:
            continue
        got = len(array) if array.ndim else 0
        if got != expected:
            raise DemonstrationsError(
                f"{key} should have {expected} rows ({n_frames} frames in {n_demos} "
                f"demonstrations{', with one more observation each' if key == 'obs' else ''}), "
                f"but has {got}. Check that lengths sums to the number of actions."
            )


def _check_shapes(
    rews: NDArray[Any] | None, terminal: NDArray[Any] | None, frames: NDArray[Any] | None
) -> None:
    if rews is not None and rews.ndim != 1:
        raise DemonstrationsError(f"rews should be (n_frames,), got {rews.shape}.")
    if terminal is not None and (terminal.ndim != 1 or terminal.dtype != bool):
        raise DemonstrationsError(
            f"terminal should be (n_demos,) bool, got {terminal.shape} {terminal.dtype}."
        )
    are_pictures = frames is None or (
        frames.ndim == 4 and frames.shape[-1] == 3 and frames.dtype == np.uint8
    )
    if frames is not None and not are_pictures:
        raise DemonstrationsError(
            f"frames should be (n_frames, height, width, 3) uint8 pictures, got "
            f"{frames.shape} {frames.dtype}."
        )


def _check_finite(key: str, array: NDArray[Any]) -> None:
    first_row = 0
    for rows in row_chunks(array):
        is_bad = ~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
        if is_bad.any():
            bad_row = first_row + int(np.argmax(is_bad))
            raise DemonstrationsError(
                f"{key} holds NaN or infinite values, first in row {bad_row}. "
                f"Remove or repair these frames."
            )
        first_row += len(rows)
