"""Files and folders that appear complete or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from r2rise.errors import InputError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""


def to_path(
    value: object, name: str, kind: Literal["file", "directory", "file or directory"] = "file"
) -> Path:
    """Return an argument as a path.

    Args:
        value: The argument: a text or a path.
        name: Its name, for the message.
        kind: What the path is of.

    Raises:
        InputError: When it is not a path, or empty, or a directory instead of a file.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name} should be the path of a {kind}, got {value!r}.")
    if value == "":
        hint = "; '.' is the working directory" if kind == "directory" else ""
        raise InputError(f"{name} is empty: name a {kind}{hint}.")
    path = Path(value)
    if kind == "file" and path.is_dir():
        raise InputError(f"{name} should be a file, but {path} is a directory.")
    return path


def check_place(folder: Path, name: str = "out") -> None:
    """Check that files can be written to a folder, which may have to be made first.

    Args:
        folder: The folder.
        name: The argument or option that named it, for the message.

    Raises:
        InputError: When they cannot.
    """
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not place.is_dir():
        raise InputError(f"{name} cannot be written: {place} is a file, not a directory.")
    if not os.access(place, os.W_OK):
        raise InputError(f"{name} cannot be written: {place} is read-only.")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors of the file system the name of the file that is being written.

    Those of a full disk name none, and others name an unfinished file.
    """
    try:
        yield
    except OSError as error:
        number, reason = error.errno, error.strerror
        if number is None and "requested and" in str(error):  # NumPy's words for a short write
            number, reason = errno.ENOSPC, os.strerror(errno.ENOSPC)
        if number is None:
            raise
        raise OSError(number, reason, str(path)) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` only when the block ends without an exception.

    Raises:
        OSError: When it cannot be written; the error names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        naming(path),
        tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file,
    ):
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def move_folder(source: Path, target: Path) -> None:
    """Move a finished folder into place, unless another process has already put one there."""
    try:
        source.rename(target)
    except OSError:
        if not target.exists():
            raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that appears at `path` only when the block ends without an exception.

    Raises:
        InputError: When `path` already exists.
    """
    if path.exists():
        raise InputError(f"{path} already exists: choose another name or delete it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        folder = Path(scratch) / path.name
        folder.mkdir()
        yield folder
        folder.rename(path)


def cache_folder() -> Path:
    """Return the folder for unpacked demonstrations: `R2RISE_CACHE`, else in the user's cache."""
    override = os.environ.get("R2RISE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(override) if override else Path(base).expanduser() / "r2rise"
