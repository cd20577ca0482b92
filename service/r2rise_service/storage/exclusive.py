"""Locks that one holder among all processes has; they go with the process that holds them."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

_ALIVE = {
    # both ends notice within seconds that the other machine is gone
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 9_000,
    "connect_timeout": 5,
    "options": "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3",
}


class Exclusive(Protocol):
    """A lock that one holder at a time has; as a context manager it waits for its turn."""

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock, or say that another holder has it; True where it is held already."""

    def is_held(self) -> bool:
        """Whether it is held still: a lost connection loses it."""

    def release(self) -> None:
        """Let the next one have it."""

    def __enter__(self) -> Self:
        """Wait until it is held."""
        self.acquire(wait=True)
        return self

    def __exit__(self, *error: object) -> None:
        """Release it."""
        self.release()


class FileExclusive(Exclusive):
    """A lock on a file."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path, thread_local=False)

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock, or say that another holder has it."""
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        return True

    def is_held(self) -> bool:
        """Whether it is held still."""
        return self._lock.is_locked

    def release(self) -> None:
        """Let the next one have it."""
        self._lock.release()


class PostgresExclusive(Exclusive):
    """An advisory lock of PostgreSQL on a connection of its own, which goes when that goes."""

    def __init__(self, url: URL, name: str) -> None:
        self._engine = create_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=_ALIVE
        )
        digest = hashlib.sha256(f"r2rise {name}".encode()).digest()
        self._number = {"number": int.from_bytes(digest[:8], signed=True)}
        self._connection: Connection | None = None
        self._has_it = False

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock, or say that another holder has it."""
        if self.is_held():
            return True
        try:
            self._connection = self._connection or self._engine.connect()
            call = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
            got = self._connection.scalar(text(f"SELECT {call}(:number)"), self._number)
        except DBAPIError:
            self._close()
            raise
        self._has_it = wait or bool(got)
        return self._has_it

    def is_held(self) -> bool:
        """Whether it is held still: a lost connection loses it."""
        if self._has_it and self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except DBAPIError:
                self._close()
        return self._has_it

    def release(self) -> None:
        """Let the next one have it."""
        if self._connection is not None and self.is_held():
            # the server drops the locks of a closed connection some time later only
            with suppress(DBAPIError):
                self._connection.execute(text("SELECT pg_advisory_unlock(:number)"), self._number)
        self._close()

    def _close(self) -> None:
        self._has_it = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None
