"""Files and folders that appear complete or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from r2rise.errors import InputError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` only when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
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
