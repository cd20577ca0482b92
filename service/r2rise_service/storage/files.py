"""Demonstrations on disk: a folder of files named by their content hash."""

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
"""Folder of the unpacked arrays, which are memory-mapped; subfolders are named by content."""

UNFINISHED_PREFIX = ".incoming."
"""Prefix of the names of files and folders that are not complete, or temporary."""

_MAX_UPLOAD_SECONDS = 3600.0
"""Upper limit of the time that an upload takes."""


class TooLarge(Exception):
    """An upload is larger than allowed; the message gives the limit."""


class DatasetFiles:
    """Files of the uploaded demonstrations.

    Unfinished files that a crash left are removed when this is created.

    Args:
        folder: Folder of the files; created if it does not exist.
        shared: Whether other processes receive uploads in the folder. Unfinished files younger
            than an hour may belong to them, and stay.

    Attributes:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self.folder = folder
        self._unpacked = folder / UNPACKED
        self._unpacking = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob(f"{UNFINISHED_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):  # finished or removed meanwhile
                if shared and unfinished.stat().st_mtime > time.time() - _MAX_UPLOAD_SECONDS:
                    continue
                if unfinished.is_dir():
                    shutil.rmtree(unfinished)
                else:
                    unfinished.unlink()

    def receive(self, chunks: Iterable[bytes], max_bytes: int) -> Path:
        """Write an upload to a temporary file; the caller must `keep` or unlink it.

        Args:
            chunks: Content of the upload.
            max_bytes: Limit of its size.

        Raises:
            TooLarge: When the upload is larger; nothing stays on disk.
        """
        with tempfile.NamedTemporaryFile(
            dir=self.folder, prefix=UNFINISHED_PREFIX, suffix=".npz", delete=False
        ) as file:
            path = Path(file.name)
            try:
                n_bytes = 0
                for chunk in chunks:
                    n_bytes += len(chunk)
                    if n_bytes > max_bytes:
                        raise TooLarge(
                            f"Expected at most {max_bytes} bytes, got more: upload fewer "
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
        """Move a received file to its final path, and return that path.

        If a file with the same content already exists, it stays, and the received one is removed.

        Args:
            path: Path that `receive` returned.
            sha256: `sha256:<hex>` of the content.

        Raises:
            ValueError: When `sha256` is not such a hash.
        """
        target = self.path(sha256)
        if target.exists():
            path.unlink()
        else:
            path.replace(target)
        return target

    def path(self, sha256: str) -> Path:
        """Return the path of the file with this content, whether or not it exists.

        Raises:
            ValueError: When `sha256` is not `sha256:<hex>`.
        """
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", sha256):
            raise ValueError(f"Expected sha256: and 64 hexadecimal digits, got {sha256[:80]!r}.")
        return self.folder / f"{sha256.removeprefix('sha256:')}.npz"

    def unpacked(self, sha256: str) -> Path:
        """Return the folder of the arrays of a file, to be memory-mapped; unpacked at first use.

        Raises:
            DemonstrationsError: When the file does not exist any more.
            ValueError: When `sha256` is not `sha256:<hex>`.
        """
        path = self.path(sha256)
        with self._unpacking:
            folder = self._unpacked / path.stem
            return folder if folder.exists() else Demonstrations.load(path).unpack(self._unpacked)

    def remove(self, sha256: str) -> None:
        """Remove the file with this content and its unpacked arrays, if they exist.

        Raises:
            ValueError: When `sha256` is not `sha256:<hex>`.
        """
        path = self.path(sha256)
        path.unlink(missing_ok=True)
        shutil.rmtree(self._unpacked / path.stem, ignore_errors=True)
