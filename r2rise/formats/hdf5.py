"""HDF5 files, read without following them anywhere else.

HDF5 links and datasets can name other files, and chunks that were never written can claim any
size: neither is read.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError, require
from r2rise.files import NO_SPACE, atomic_file

if TYPE_CHECKING:
    import h5py

OWN = "r2rise"
"""Attribute of the root that holds, as JSON, what the format itself has no place for."""

_MOST_TIMES = 1100
"""No file is more than so many times larger unpacked: deflate cannot do better than 1032."""

_LONGEST_FIXED = 60_000

_SMALL_BYTES = 2**20
"""Claims up to this are believed without looking at what is stored."""


@contextmanager
def opened(path: Path) -> Iterator["h5py.File"]:
    """Open a file for reading.

    Raises:
        DemonstrationsError: When it is not there, is no HDF5 file or is damaged.
        MissingExtra: When h5py is not installed.
    """
    require("h5py", f"Reading {path}", "hdf5")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise DemonstrationsError(f"There is no file {path}.") from None
    except DemonstrationsError as error:
        told = str(error).startswith(str(path))
        raise DemonstrationsError(str(error) if told else f"{path}: {error}") from None
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
        raise DemonstrationsError(f"{path} is not a whole HDF5 file: {error}.") from None


@contextmanager
def created(path: Path, *, track_order: bool = False) -> Iterator["h5py.File"]:
    """Create a file that takes the place of `path` only when complete.

    Args:
        path: The file.
        track_order: Whether it remembers in which order things were put into it.
    """
    require("h5py", f"Writing {path}", "hdf5")
    import h5py

    try:
        with (
            atomic_file(path) as reserved,
            h5py.File(reserved.name, "w", track_order=track_order) as file,
        ):
            yield file
    except OSError as error:
        if error.errno in NO_SPACE:  # the HDF5 library says it in several lines
            raise OSError(error.errno, os.strerror(error.errno)) from None
        raise


def child(group: "h5py.Group", name: str) -> Any:
    """Return a group or dataset that lies in the file itself.

    Raises:
        DemonstrationsError: When it is missing, a link, or stored in another file.
    """
    import h5py

    where = f"{group.name.rstrip('/')}/{name}"
    link = group.get(name, getlink=True)
    if link is None:
        raise DemonstrationsError(
            f"{where} is missing; found {', '.join(list(group)[:20]) or 'nothing'}."
        )
    if not isinstance(link, h5py.HardLink):
        raise DemonstrationsError(
            f"{where} is a link ({type(link).__name__}), which is not followed: it may lead to "
            f"another file. Copy the file with its links resolved (h5copy -f ext)."
        )
    return group[name]


def subgroup(group: "h5py.Group", name: str) -> "h5py.Group":
    """Return a group below another one.

    Raises:
        DemonstrationsError: When it is missing, a link, or no group.
    """
    import h5py

    found = child(group, name)
    if not isinstance(found, h5py.Group):
        raise DemonstrationsError(f"{found.name} should be a group, but is a dataset.")
    return found


def array(group: "h5py.Group", name: str) -> "h5py.Dataset":
    """Return a dataset of numbers whose rows can be read.

    Raises:
        DemonstrationsError: When it is missing, a link, stored elsewhere, holds objects, or
            claims to be far larger than what the file holds.
    """
    import h5py

    found = child(group, name)
    if not isinstance(found, h5py.Dataset) or found.shape is None or not found.shape:
        raise DemonstrationsError(f"{found.name} should be an array with a row for each frame.")
    if found.external or found.is_virtual:
        raise DemonstrationsError(
            f"{found.name} is stored in other files, which are not read. Copy it into this one."
        )
    if found.dtype.kind not in "biuf":
        raise DemonstrationsError(
            f"{found.name} should hold numbers, got {found.dtype}; objects are never read."
        )
    claimed, stored = n_bytes(found), found.id.get_storage_size()
    if claimed > _SMALL_BYTES and claimed > _MOST_TIMES * stored:
        raise DemonstrationsError(
            f"{found.name} claims {claimed} bytes {found.shape} {found.dtype}, but the file holds "
            f"{stored} of it."
        )
    return found


def byte_rows(group: "h5py.Group", name: str) -> list[bytes]:
    """Return rows of bytes, such as encoded pictures, of equal or different lengths.

    Raises:
        DemonstrationsError: When they are something else, or not in this file.
    """
    import h5py

    found = child(group, name)
    is_array = isinstance(found, h5py.Dataset) and found.shape is not None and bool(found.shape)
    if not is_array or h5py.check_vlen_dtype(found.dtype) != np.uint8:
        return [row.tobytes() for row in array(group, name)[:]]
    if found.external or found.is_virtual or n_bytes(found) > _SMALL_BYTES:
        return [row.tobytes() for row in array(group, name)[:]]
    return [np.asarray(row, np.uint8).tobytes() for row in found[:]]


def n_bytes(dataset: "h5py.Dataset") -> int:
    """Return how large an array claims to be."""
    return int(math.prod(dataset.shape) * dataset.dtype.itemsize)


def flat(dataset: "h5py.Dataset", rows: slice = slice(None)) -> NDArray[Any]:
    """Return rows of an array of single numbers, stored as (n,) or (n, 1)."""
    values: NDArray[Any] = dataset[rows]
    return values[:, 0] if values.shape[1:] == (1,) else values


def total_bytes(group: "h5py.Group") -> int:
    """Return about how large the arrays of a group claim to be, links not followed."""
    import h5py

    sizes = []

    def add(_: str, found: Any) -> None:  # called once for each object, however often it is linked
        if isinstance(found, h5py.Dataset) and found.shape is not None:
            sizes.append(n_bytes(found))

    group.visititems(add)
    return sum(sizes)


def numbered(group: "h5py.Group", prefix: str) -> list[str]:
    """Return the members `<prefix><number>`, by number."""
    found = [(match, name) for name in group if (match := re.fullmatch(rf"{prefix}(\d+)", name))]
    return [name for _, name in sorted(found, key=lambda pair: int(pair[0][1]))]


def text(attributes: Mapping[str, Any], name: str) -> str | None:
    """Return an attribute that is text."""
    value = attributes.get(name)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def own_part(file: "h5py.File") -> dict[str, Any]:
    """Return what `put_own_part` wrote; empty in files of others."""
    try:
        found = json.loads(text(file.attrs, OWN) or "{}")
    except ValueError:
        raise DemonstrationsError(f"The attribute {OWN!r} should hold JSON.") from None
    return found if isinstance(found, dict) else {}


def put_own_part(file: "h5py.File", fields: Mapping[str, Any]) -> None:
    """Keep, as JSON, what the format itself has no place for."""
    value = json.dumps(dict(fields))
    # Text of fixed length is safer to read back from a damaged file: the HDF5 library can crash
    # on the heap that other text lies in. But an attribute of fixed length has at most 64 KiB.
    file.attrs[OWN] = np.bytes_(value) if len(value) < _LONGEST_FIXED else value


def restored(values: NDArray[Any], shape: list[int] | None) -> NDArray[Any]:
    """Return rows in the shape that they had before they were written flat."""
    if shape is None or math.prod(shape) != math.prod(values.shape[1:]):
        return values
    return values.reshape(len(values), *shape)


def as_columns(values: NDArray[Any]) -> NDArray[Any]:
    """Return rows as a matrix, (n, values), for formats that know nothing else."""
    return values.reshape(len(values), math.prod(values.shape[1:]))


def flag(value: Any) -> bool:
    """Return the last of an episode's flags."""
    return bool(np.asarray(value).reshape(-1)[-1])
