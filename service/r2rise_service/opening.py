"""Opens the store of a server: exclusively on SQLite, shared on PostgreSQL."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from r2rise.errors import InputError, R2RiseError
from r2rise_service.keys import digest_of
from r2rise_service.operator_file import remove_operator_access
from r2rise_service.settings import Settings, read_secret

if TYPE_CHECKING:
    from r2rise_service.storage import Store

_KEY_PATTERN = re.compile(r"[!-~]{32,}")
_NEW_KEY_COMMAND = "python -c 'import secrets; print(\"r2k_\" + secrets.token_urlsafe(32))' > FILE"


class AlreadyRunning(R2RiseError):
    """Another process uses this data folder."""


class OldSchema(R2RiseError):
    """The database has the schema of an earlier version, or none."""


@contextmanager
def open_store(settings: Settings) -> Iterator["Store"]:
    """Open the store with the newest schema.

    On SQLite this process locks the data folder, and upgrades the schema if necessary.

    Raises:
        AlreadyRunning: When another process uses the data folder.
        InputError: When the database cannot be reached.
        OldSchema: When a PostgreSQL database has to be upgraded first.
    """
    if settings.on_sqlite:
        with lock_data_folder(settings), connect_store(settings) as store:
            store.migrate()
            yield store
        return
    with connect_store(settings) as store:
        if not store.is_current():
            raise OldSchema(
                "The database has an old schema, or none yet. Stop all servers that use it and "
                f"run: r2rise db upgrade --database {redacted_url(settings)}"
            )
        yield store


@contextmanager
def lock_data_folder(settings: Settings) -> Iterator[None]:
    """Hold the lock of the data folder.

    Raises:
        AlreadyRunning: When another process has the lock.
    """
    from r2rise_service.storage.exclusive import ExclusiveFileLock

    make_folder(settings)
    lock = ExclusiveFileLock(settings.data / "server.lock")
    if not lock.acquire(wait=False):
        raise AlreadyRunning(
            f"A server is running on {settings.data}. Stop it first (Ctrl-C), or name another "
            "folder with --data."
        )
    with lock:
        remove_operator_access(settings.data)  # the lock was free: a crash left the file behind
        yield


def make_folder(settings: Settings) -> None:
    """Make the data folder, readable only by its user.

    Raises:
        InputError: When the folder cannot be made.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Cannot create the data folder {settings.data}: {error.strerror}. Name another with "
            "--data."
        ) from None


@contextmanager
def connect_store(settings: Settings) -> Iterator["Store"]:
    """Open the store, whatever version its schema has.

    Raises:
        InputError: When the database cannot be reached.
    """
    from sqlalchemy.exc import DBAPIError

    from r2rise_service.storage import Store

    with closing(Store(settings.database_url)) as store:
        try:
            store.schema_versions()
        except DBAPIError as error:
            reason = str(error.orig).strip().partition("\n")[0]
            raise InputError(
                f"Cannot read the database {redacted_url(settings)}: {reason}. Does it exist, and "
                "is its password right (R2RISE_DATABASE_PASSWORD_FILE)?"
            ) from None
        yield store


def upgrade_database(settings: Settings) -> tuple[str | None, str | None]:
    """Upgrade the database to the newest schema; return the versions before and after.

    Raises:
        AlreadyRunning: When a server uses the data folder of a database with an old schema.
        InputError: When the database cannot be reached.
    """
    if settings.on_sqlite:
        make_folder(settings)
    with connect_store(settings) as store:
        before, newest = store.schema_versions()
        if before == newest:
            return before, newest
        with lock_data_folder(settings) if settings.on_sqlite else nullcontext():
            store.migrate()
        return before, store.schema_versions().current


def redacted_url(settings: Settings) -> str:
    """Return the URL of the database, with asterisks for the password."""
    from sqlalchemy import make_url

    return make_url(settings.database or settings.database_url).render_as_string()


def key_command(settings: Settings) -> str:
    """Return the shell command that makes a key for this server."""
    if settings.on_sqlite:
        return f"r2rise keys create --data {settings.data}"
    return f"r2rise keys create --database {redacted_url(settings)}"


def add_first_key(settings: Settings, store: "Store") -> None:
    """Store the key of `first_key_file`, unless a key was ever made.

    Raises:
        InputError: When the file cannot be read, or does not hold a key.
    """
    from sqlalchemy.exc import IntegrityError

    path = settings.first_key_file
    if path is None or store.keys.any_made():
        return
    secret = read_secret(path, "the first key")
    if not _KEY_PATTERN.fullmatch(secret):
        command = _NEW_KEY_COMMAND.replace("FILE", str(path))
        raise InputError(
            f"Expected a key in {path}: at least 32 characters, without spaces. It has "
            f"{len(secret)} characters. Create one with: {command}"
        )
    with suppress(IntegrityError):  # another server on this database has just stored it
        store.keys.add("local", "first key", ("read", "submit", "admin"), digest_of(secret))
