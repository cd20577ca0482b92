"""Files that are either whole or not there."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from r2rise.errors import InputError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""What a full disk, or the user's full share of it, is called."""


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the place of `path` only when the block ends well."""
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
    """Move a finished folder into place; an equal one that another process put there stays."""
    try:
        source.rename(target)
    except OSError:
        if not target.exists():
            raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that is at `path` only when the block ends well.

    Raises:
        InputError: When something is there already.
    """
    if path.exists():
        raise InputError(f"{path} is there already: choose another name, or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        folder = Path(scratch) / path.name
        folder.mkdir()
        yield folder
        folder.rename(path)


def cache_folder() -> Path:
    """Return where demonstrations are unpacked: `R2RISE_CACHE`, else in the user's cache."""
    own = os.environ.get("R2RISE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(own) if own else Path(base).expanduser() / "r2rise"
