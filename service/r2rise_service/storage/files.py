"""Demonstrations on disk: a folder of files named by their content."""

import contextlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from r2rise import Demonstrations

UNPACKED = "unpacked"
"""Folder of the arrays that are memory-mapped, by their content."""

UNFINISHED = ".incoming."
"""How the names of files and folders begin that nobody may rely on."""

_UPLOAD_SECONDS = 3600.0
"""No upload takes longer."""


class TooLarge(Exception):
    """An upload is larger than allowed; the text says how large it may be."""


class DatasetFiles:
    """The demonstrations that were uploaded.

    What a crash left unfinished is removed at the beginning.

    Args:
        folder: Made when it is not there.
        shared: Whether other processes receive uploads in it: what is younger than an hour may
            be one of theirs, and stays.

    Attributes:
        folder: Where the files lie.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self.folder = folder
        self._unpacked = folder / UNPACKED
        self._unpacking = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{UNFINISHED}*"):
            with contextlib.suppress(FileNotFoundError):  # its owner was quicker
                if shared and left.stat().st_mtime > time.time() - _UPLOAD_SECONDS:
                    continue
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()

    def receive(self, chunks: Iterable[bytes], max_bytes: int) -> Path:
        """Write an upload to a temporary file; keep or unlink it.

        Args:
            chunks: The bytes.
            max_bytes: How many there may be.

        Raises:
            TooLarge: When there are more; nothing is left on disk.
        """
        with tempfile.NamedTemporaryFile(
            dir=self.folder, prefix=UNFINISHED, suffix=".npz", delete=False
        ) as file:
            path = Path(file.name)
            try:
                n_bytes = 0
                for chunk in chunks:
                    n_bytes += len(chunk)
                    if n_bytes > max_bytes:
                        raise TooLarge(
                            f"Expected at most {max_bytes} bytes, more came: upload fewer "
                            f"demonstrations, or leave out the frames for people to look at."
                        )
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                path.unlink()
                raise
        return path

    def keep(self, path: Path, sha256: str) -> Path:
        """Move a received file into its place; a file of equal content that is there stays.

        Args:
            path: What `receive` returned.
            sha256: `sha256:<hex>` of its content.

        Raises:
            ValueError: When the hash is none.
        """
        target = self.path(sha256)
        if target.exists():
            path.unlink()
        else:
            path.replace(target)
        return target

    def path(self, sha256: str) -> Path:
        """Return where the file of a content lies, or would.

        Raises:
            ValueError: When the hash is none.
        """
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", sha256):
            raise ValueError(f"Expected sha256: and 64 hexadecimal digits, got {sha256[:80]!r}.")
        return self.folder / f"{sha256.removeprefix('sha256:')}.npz"

    def unpacked(self, sha256: str) -> Path:
        """Return the folder of a content's arrays, for memory-mapping; unpacked at first use.

        Raises:
            DemonstrationsError: When the file is not there any more.
            ValueError: When the hash is none.
        """
        path = self.path(sha256)
        with self._unpacking:
            folder = self._unpacked / path.stem
            return folder if folder.exists() else Demonstrations.load(path).unpack(self._unpacked)

    def remove(self, sha256: str) -> None:
        """Remove the file of a content and its unpacked arrays, where they are.

        Raises:
            ValueError: When the hash is none.
        """
        path = self.path(sha256)
        path.unlink(missing_ok=True)
        shutil.rmtree(self._unpacked / path.stem, ignore_errors=True)
