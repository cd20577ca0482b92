"""Reads and writes HDF5 files. Reading never leaves the file.

HDF5 links and datasets can refer to other files, and unwritten chunks can claim any size. Neither
is read.
"""

import json
import logging
import math
import os
import re
import textwrap
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

logger = logging.getLogger(__name__)

R2RISE_KEY = "r2rise"
"""Attribute of the root with R2RISE's fields that the format itself cannot hold, as JSON."""

_MAX_COMPRESSION = 1100
"""Largest ratio of claimed to stored bytes. Deflate achieves at most 1032."""

_MAX_FIXED_LENGTH = 60_000
"""Characters of the longest attribute that is written with fixed length."""

_SMALL_BYTES = 2**20
"""Claimed sizes up to this one are accepted without checking the stored size."""


@contextmanager
def open_file(path: Path) -> Iterator["h5py.File"]:
    """Open a file for reading.

    Raises:
        DemonstrationsError: If it does not exist, is not an HDF5 file, or is damaged.
        MissingExtra: If h5py is not installed.
    """
    require("h5py", f"Reading {path}", "hdf5")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise DemonstrationsError(f"There is no file {path}.") from None
    except DemonstrationsError as error:
        names_path = str(error).startswith(str(path))
        raise DemonstrationsError(str(error) if names_path else f"{path}: {error}") from None
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
        raise DemonstrationsError(f"{path} is not a whole HDF5 file: {error}.") from None


@contextmanager
def create_file(path: Path, *, track_order: bool = False) -> Iterator["h5py.File"]:
    """Create a file that replaces `path` only when it is complete.

    Args:
        path: The file.
        track_order: Whether the file stores the order in which its members were created.

    Raises:
        MissingExtra: If h5py is not installed.
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
        if error.errno in NO_SPACE:  # the HDF5 library's message has several lines
            raise OSError(error.errno, os.strerror(error.errno)) from None
        raise


def child(group: "h5py.Group", name: str) -> Any:
    """Return a member of a group that is stored in the file itself.

    Raises:
        DemonstrationsError: If it is missing or a soft or external link.
    """
    import h5py

    full_name = f"{group.name.rstrip('/')}/{name}"
    link = group.get(name, getlink=True)
    if link is None:
        raise DemonstrationsError(
            f"{full_name} is missing; found {', '.join(list(group)[:20]) or 'nothing'}."
        )
    if not isinstance(link, h5py.HardLink):
        raise DemonstrationsError(
            f"{full_name} is a link ({type(link).__name__}), which is not followed: it may lead to "
            f"another file. Copy the file with its links resolved (h5copy -f ext)."
        )
    return group[name]


def subgroup(group: "h5py.Group", name: str) -> "h5py.Group":
    """Return a subgroup of a group.

    Raises:
        DemonstrationsError: If it is missing, a link, or not a group.
    """
    import h5py

    member = child(group, name)
    if not isinstance(member, h5py.Group):
        raise DemonstrationsError(f"{member.name} should be a group, but is a dataset.")
    return member


def array(group: "h5py.Group", name: str) -> "h5py.Dataset":
    """Return a dataset of numbers whose rows can be read.

    Raises:
        DemonstrationsError: If it is missing, a link, stored in another file, holds objects, or
            claims a size that the stored bytes cannot have.
    """
    import h5py

    dataset = child(group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or not dataset.shape:
        raise DemonstrationsError(f"{dataset.name} should be an array with a row for each frame.")
    if dataset.external or dataset.is_virtual:
        raise DemonstrationsError(
            f"{dataset.name} is stored in other files, which are not read. Copy it into this one."
        )
    if dataset.dtype.kind not in "biuf":
        raise DemonstrationsError(
            f"{dataset.name} should hold numbers, got {dataset.dtype}; objects are never read."
        )
    claimed, stored = n_bytes(dataset), dataset.id.get_storage_size()
    if claimed > _SMALL_BYTES and claimed > _MAX_COMPRESSION * stored:
        raise DemonstrationsError(
            f"{dataset.name} claims {claimed} bytes {dataset.shape} {dataset.dtype}, but the file "
            f"holds {stored} of it."
        )
    return dataset


def leaf_names(group: "h5py.Group") -> list[str]:
    """Return the paths of all arrays below a group, such as `robot/joint`, and its own links."""
    import h5py

    names = [name for name in group if not isinstance(group.get(name, getlink=True), h5py.HardLink)]

    def add(name: str, member: Any) -> None:  # follows no links
        if isinstance(member, h5py.Dataset):
            names.append(name)

    group.visititems(add)
    return sorted(names)


def leaf(group: "h5py.Group", path: str) -> "h5py.Dataset":
    """Return the array of a path that `leaf_names` gives.

    Raises:
        DemonstrationsError: See `array`.
    """
    *parents, name = path.split("/")
    for parent in parents:
        group = subgroup(group, parent)
    return array(group, name)


def byte_rows(group: "h5py.Group", name: str) -> list[bytes]:
    """Return rows of bytes, such as encoded pictures, of equal or different lengths.

    Raises:
        DemonstrationsError: If they are something else, or not in this file.
    """
    import h5py

    dataset = child(group, name)
    is_array = (
        isinstance(dataset, h5py.Dataset) and dataset.shape is not None and bool(dataset.shape)
    )
    if not is_array or h5py.check_vlen_dtype(dataset.dtype) != np.uint8:
        return [row.tobytes() for row in array(group, name)[:]]
    if dataset.external or dataset.is_virtual or n_bytes(dataset) > _SMALL_BYTES:
        return [row.tobytes() for row in array(group, name)[:]]
    return [np.asarray(row, np.uint8).tobytes() for row in dataset[:]]


def n_bytes(dataset: "h5py.Dataset") -> int:
    """Return the size in bytes that an array claims."""
    return int(math.prod(dataset.shape) * dataset.dtype.itemsize)


def flat(dataset: "h5py.Dataset", rows: slice = slice(None)) -> NDArray[Any]:
    """Return rows of an array of single numbers, stored as (n,) or (n, 1), as (n_rows,)."""
    values: NDArray[Any] = dataset[rows]
    return values[:, 0] if values.shape[1:] == (1,) else values


def total_bytes(group: "h5py.Group") -> int:
    """Return the approximate size in bytes that all arrays below a group claim.

    Links are not followed.
    """
    import h5py

    sizes = []

    def add(_: str, member: Any) -> None:  # called once for each object, even with several links
        if isinstance(member, h5py.Dataset) and member.shape is not None:
            sizes.append(n_bytes(member))

    group.visititems(add)
    return sum(sizes)


def numbered_members(group: "h5py.Group", prefix: str) -> list[str]:
    """Return the names of the members `<prefix><number>`, sorted by number."""
    matches = [(match, name) for name in group if (match := re.fullmatch(rf"{prefix}(\d+)", name))]
    return [name for _, name in sorted(matches, key=lambda pair: int(pair[0][1]))]


def warn_of_others(group: "h5py.Group", names: list[str]) -> None:
    """Warn of members of a group other than those that are read."""
    others = [name for name in group if name not in names]
    if others:
        listed = textwrap.shorten(", ".join(others), 100)
        logger.warning("%s: %s of %s is not read.", group.file.filename, listed, group.name)


def text_attribute(attributes: Mapping[str, Any], name: str) -> str | None:
    """Return a text attribute, or None if it is missing or not text."""
    value = attributes.get(name)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def read_r2rise_fields(file: "h5py.File") -> dict[str, Any]:
    """Return the fields that `write_r2rise_fields` has stored; empty for files of other programs.

    Raises:
        DemonstrationsError: If they are not JSON.
    """
    try:
        fields = json.loads(text_attribute(file.attrs, R2RISE_KEY) or "{}")
    except ValueError:
        raise DemonstrationsError(f"The attribute {R2RISE_KEY!r} should hold JSON.") from None
    return fields if isinstance(fields, dict) else {}


def write_r2rise_fields(file: "h5py.File", fields: Mapping[str, Any]) -> None:
    """Store, as JSON, fields that the format itself cannot hold."""
    value = json.dumps(dict(fields))
    # Text of fixed length is safer to read from a damaged file: the HDF5 library can crash on the
    # heap that holds text of variable length. But an attribute has at most 64 KiB.
    file.attrs[R2RISE_KEY] = np.bytes_(value) if len(value) < _MAX_FIXED_LENGTH else value


def restore_shape(values: NDArray[Any], shape: list[int] | None) -> NDArray[Any]:
    """Return flattened rows in their original shape, or unchanged if it is None or does not fit."""
    if shape is None or math.prod(shape) != math.prod(values.shape[1:]):
        return values
    return values.reshape(len(values), *shape)


def as_columns(values: NDArray[Any]) -> NDArray[Any]:
    """Return rows as a matrix, (n_rows, n_values), for formats that hold only matrices."""
    return values.reshape(len(values), math.prod(values.shape[1:]))
