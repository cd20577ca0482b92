"""Locks with one holder among all processes; a lock ends with the process that holds it."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

_KEEPALIVE_OPTIONS = {
    # client and server notice within seconds that the other machine is gone
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 9_000,
    "connect_timeout": 5,
    "options": "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3",
}


class ExclusiveLock(Protocol):
    """A lock with one holder at a time; as a context manager it waits for the lock."""

    def acquire(self, *, wait: bool) -> bool:
        """Acquire the lock.

        Args:
            wait: Whether to wait until the lock is free.

        Returns:
            Whether this holder has the lock now; True also if it already had it.
        """

    def is_held(self) -> bool:
        """Whether this holder still has the lock: it may be lost with a connection."""

    def release(self) -> None:
        """Release the lock; does nothing if it is not held."""

    def __enter__(self) -> Self:
        """Acquire the lock; wait until it is free."""
        self.acquire(wait=True)
        return self

    def __exit__(self, *error: object) -> None:
        """Release the lock."""
        self.release()


class ExclusiveFileLock(ExclusiveLock):
    """A lock on a file."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path, thread_local=False)

    def acquire(self, *, wait: bool) -> bool:
        """Acquire the lock, or return False if another holder has it."""
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        return True

    def is_held(self) -> bool:
        """Whether this holder still has the lock."""
        return self._lock.is_locked

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


class ExclusivePostgresLock(ExclusiveLock):
    """An advisory lock of PostgreSQL on a separate connection, with which it is lost."""

    def __init__(self, url: URL, name: str) -> None:
        self._engine = create_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=_KEEPALIVE_OPTIONS
        )
        digest = hashlib.sha256(f"r2rise {name}".encode()).digest()
        self._key_parameter = {"key": int.from_bytes(digest[:8], signed=True)}
        self._connection: Connection | None = None
        self._has_lock = False

    def acquire(self, *, wait: bool) -> bool:
        """Acquire the lock, or return False if another holder has it."""
        if self.is_held():
            return True
        try:
            self._connection = self._connection or self._engine.connect()
            function = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
            acquired = self._connection.scalar(
                text(f"SELECT {function}(:key)"), self._key_parameter
            )
        except DBAPIError:
            self._close()
            raise
        self._has_lock = wait or bool(acquired)
        return self._has_lock

    def is_held(self) -> bool:
        """Whether this holder still has the lock: it is lost with its connection."""
        if self._has_lock and self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except DBAPIError:
                self._close()
        return self._has_lock

    def release(self) -> None:
        """Release the lock and close its connection."""
        if self._connection is not None and self.is_held():
            # explicitly: PostgreSQL drops the locks of a closed connection with a delay
            with suppress(DBAPIError):
                self._connection.execute(
                    text("SELECT pg_advisory_unlock(:key)"), self._key_parameter
                )
        self._close()

    def _close(self) -> None:
        self._has_lock = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None
