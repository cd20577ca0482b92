"""A terminal for programs to write on."""

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminal() -> Iterator[tuple[int, list[str]]]:
    """Yield a terminal's file descriptor and, after the block, all that was shown on it.

    What writes on the terminal should be started in the block; it has ended when the block has.
    """
    shown: list[str] = []
    ours, theirs = pty.openpty()
    yield theirs, shown
    os.close(theirs)
    shown.append(b"".join(iter(lambda: _read(ours), b"")).decode())
    os.close(ours)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except OSError:  # the other end is closed
        return b""
