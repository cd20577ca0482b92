"""R2RISE's demonstrations file: a `.npz` of plain arrays, never of pickled objects.

Headers are checked before data are read, so that a small file cannot make R2RISE allocate a huge
array.
"""

import json
import logging
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from r2rise.data.checks import ARRAY_KEYS
from r2rise.data.keys import concatenate_parts, select_keys
from r2rise.errors import DemonstrationsError
from r2rise.files import NO_SPACE, atomic_file, cache_folder

logger = logging.getLogger(__name__)

_REQUIRED = ("obs", "acts", "lengths")
_DICT_PREFIX = "obs."


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def n_bytes(self) -> int:
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size


class NpzFile:
    """An open demonstrations file with checked headers.

    Attributes:
        n_bytes: Total size of the arrays that make up the demonstrations.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, obs_keys: tuple[str, ...]) -> None:
        headers = _headers(path, archive)
        self._path, self._archive = path, archive
        self._names = _array_names(path, headers, obs_keys)
        _warn_of_ignored(path, headers, self._names)
        self.n_bytes = sum(
            headers[name].n_bytes for names in self._names.values() for name in names
        )

    def fields(self, scratch: Path | None = None) -> dict[str, Any]:
        """Read the arguments of `Demonstrations`: the arrays and `meta`, by name.

        Args:
            scratch: An empty folder to unpack the arrays to, which are then memory-mapped.

        Raises:
            DemonstrationsError: When parts are inconsistent, or meta is not a JSON object.
        """
        parts = {
            key: [_read(self._archive, name, scratch) for name in names]
            for key, names in self._names.items()
        }
        meta = _parse_meta(self._path, parts.pop("meta", None))
        try:
            return {key: concatenate_parts(arrays) for key, arrays in parts.items()} | {
                "meta": meta
            }
        except DemonstrationsError as error:
            raise DemonstrationsError(f"{self._path}: {error}") from None


@contextmanager
def open_npz(path: Path, obs_keys: tuple[str, ...] = ()) -> Iterator[NpzFile]:
    """Open a demonstrations file.

    Raises:
        DemonstrationsError: When the file cannot be used; it states the exact reason.
    """
    with _open_archive(path) as archive:
        yield NpzFile(path, archive, obs_keys)


def observation_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each key of dict observations; empty for other observations.

    Raises:
        DemonstrationsError: When the file cannot be used; it states the exact reason.
    """
    with _open_archive(path) as archive:
        headers = _headers(path, archive)
    if "obs" in headers:
        return {}
    return {
        name.removeprefix(_DICT_PREFIX): header.shape[1:]
        for name, header in headers.items()
        if _is_dict_part(name)
    }


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write a demonstrations file atomically."""
    contents = dict(arrays)
    if meta:
        contents["meta"] = np.array(json.dumps(dict(meta)))
    with atomic_file(path) as file:
        np.savez_compressed(file, allow_pickle=False, **contents)


@contextmanager
def unpacking() -> Iterator[tuple[Path, Path]]:
    """Yield the cache, to which large demonstrations are unpacked, and an empty folder in it.

    Raises:
        DemonstrationsError: When the disk is full.
    """
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            yield cache, Path(scratch)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise DemonstrationsError(
            f"Large demonstrations are unpacked in {cache}, where no space is left: make room, or "
            f"name another folder in R2RISE_CACHE."
        ) from error


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise DemonstrationsError(f"There is no file {path}.") from None
    except (OSError, NotImplementedError, RuntimeError) as error:
        raise DemonstrationsError(f"Cannot read {path}: {error}.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DemonstrationsError(
            f"{path} is not a whole .npz file ({error}): expected the arrays "
            f"{', '.join(_REQUIRED)} as numpy.savez writes them. "
            f"`r2rise convert` reads other formats."
        ) from None


def _headers(path: Path, archive: zipfile.ZipFile) -> dict[str, _Header]:
    return {
        info.filename.removesuffix(".npy"): _header(path, archive, info)
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }


def _header(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Header:
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
            header_bytes = file.tell()
        except (ValueError, KeyError):
            raise DemonstrationsError(
                f"{path}: {name} is not a NumPy array of a known version: write it with "
                f"numpy.savez."
            ) from None
    header = _Header(shape, dtype)
    if any(length < 0 for length in shape):
        raise DemonstrationsError(f"{path}: {name} claims the shape {shape}. The file is damaged.")
    if dtype.hasobject:
        raise DemonstrationsError(
            f"{path}: {name} holds Python objects, which are never unpickled. Save plain arrays "
            f"(demonstrations of different lengths go one after another, see lengths)."
        )
    if header.n_bytes != info.file_size - header_bytes:
        raise DemonstrationsError(
            f"{path}: {name} claims {header.n_bytes} bytes {shape} {dtype}, but holds "
            f"{info.file_size - header_bytes}. The file is damaged."
        )
    return header


def _array_names(
    path: Path, headers: dict[str, _Header], obs_keys: tuple[str, ...]
) -> dict[str, list[str]]:
    """Return the names of the file's arrays that make up each field of `Demonstrations`."""
    dict_keys = [name.removeprefix(_DICT_PREFIX) for name in headers if _is_dict_part(name)]
    names = {key: [key] for key in (*ARRAY_KEYS, "meta") if key in headers}
    if "obs" not in headers and dict_keys:
        names["obs"] = [_DICT_PREFIX + key for key in select_keys(path, dict_keys, obs_keys)]
    missing = [key for key in _REQUIRED if key not in names]
    if missing:
        raise DemonstrationsError(
            f"{path} lacks {', '.join(missing)}: expected the arrays {', '.join(_REQUIRED)}, "
            f"found {', '.join(sorted(headers)) or 'none'}."
        )
    return names


def _warn_of_ignored(
    path: Path, headers: Mapping[str, _Header], names: Mapping[str, list[str]]
) -> None:
    """Warn of arrays that are not read, except observations that were not selected."""
    is_dict = names["obs"] != ["obs"]
    read = {name for of_field in names.values() for name in of_field}
    ignored = [
        name for name in headers if name not in read and not (is_dict and _is_dict_part(name))
    ]
    if ignored:
        logger.warning(
            "%s: the arrays %s are not read. The names of optional arrays are %s.",
            path, ", ".join(ignored), ", ".join((*ARRAY_KEYS[len(_REQUIRED) :], "meta")),
        )  # fmt: skip


def _is_dict_part(name: str) -> bool:
    return name.startswith(_DICT_PREFIX) and len(name) > len(_DICT_PREFIX)


def _read(archive: zipfile.ZipFile, name: str, scratch: Path | None) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as file:
        if scratch is None:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return array
        target = scratch / f"{quote(name, safe='')}.npy"  # a key may contain slashes
        with target.open("wb") as out:
            shutil.copyfileobj(file, out)
    mapped: NDArray[Any] = np.load(target, mmap_mode="r", allow_pickle=False)
    return mapped


def _parse_meta(path: Path, arrays: list[NDArray[Any]] | None) -> dict[str, Any]:
    if arrays is None:
        return {}
    try:
        meta = json.loads(str(arrays[0]))
    except ValueError:
        meta = None
    if not isinstance(meta, dict) or arrays[0].ndim != 0:
        raise DemonstrationsError(f"{path}: meta should be a 0-d string with a JSON object.")
    return meta
