"""Opening the store of a server: alone on SQLite, among others on PostgreSQL."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from r2rise.errors import InputError, R2RiseError
from r2rise_service.keys import digest_of
from r2rise_service.operator_file import forget_operator
from r2rise_service.settings import Settings, read_secret

if TYPE_CHECKING:
    from r2rise_service.storage import Store

_LOOKS_LIKE_A_KEY = re.compile(r"[!-~]{32,}")
_MAKE_ONE = "python -c 'import secrets; print(\"r2k_\" + secrets.token_urlsafe(32))' > FILE"


class AlreadyRunning(R2RiseError):
    """Another process has this data folder."""


class OldSchema(R2RiseError):
    """The database was made by an earlier version."""


@contextmanager
def opened(settings: Settings) -> Iterator["Store"]:
    """Open the store with the newest schema.

    On SQLite this process has the folder for itself, and the schema is brought up to date.

    Raises:
        AlreadyRunning: When another process has the folder.
        InputError: When the database cannot be reached.
        OldSchema: When a PostgreSQL database has to be upgraded first.
    """
    if settings.on_sqlite:
        with alone(settings), connected(settings) as store:
            store.migrate()
            yield store
        return
    with connected(settings) as store:
        if not store.is_current():
            raise OldSchema(
                "The database has an old schema, or none yet. Stop all servers that use it and "
                f"run: r2rise db upgrade --database {shown_url(settings)}"
            )
        yield store


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Hold the lock of the data folder.

    Raises:
        AlreadyRunning: When another process has it.
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
        forget_operator(settings.data)  # nobody had the lock: a crash left the file behind
        yield


def make_folder(settings: Settings) -> None:
    """Make the data folder; others than its user cannot look into it.

    Raises:
        InputError: When it cannot be made.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Cannot make the data folder {settings.data}: {error.strerror}. Name another with "
            "--data."
        ) from None


@contextmanager
def connected(settings: Settings) -> Iterator["Store"]:
    """Open the store, whatever its schema.

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
                f"Cannot read the database {shown_url(settings)}: {reason}. Is it there, and is "
                "its password right (R2RISE_DATABASE_PASSWORD_FILE)?"
            ) from None
        yield store


def upgraded(settings: Settings) -> tuple[str | None, str | None]:
    """Bring the database to the newest schema and return the versions before and after.

    Raises:
        AlreadyRunning: When a server has the data folder of an old database.
        InputError: When the database cannot be reached.
    """
    if settings.on_sqlite:
        make_folder(settings)
    with connected(settings) as store:
        before, newest = store.schema_versions()
        if before == newest:
            return before, newest
        with alone(settings) if settings.on_sqlite else nullcontext():
            store.migrate()
        return before, store.schema_versions().current


def shown_url(settings: Settings) -> str:
    """Return the URL of the database, with stars for a password."""
    from sqlalchemy import make_url

    return make_url(settings.database or settings.database_url).render_as_string()


def key_command(settings: Settings) -> str:
    """Return the command that makes a key for a server."""
    if settings.on_sqlite:
        return f"r2rise keys create --data {settings.data}"
    return f"r2rise keys create --database {shown_url(settings)}"


def add_first_key(settings: Settings, store: "Store") -> None:
    """Store the key of `first_key_file`, where no key was ever made.

    Raises:
        InputError: When the file holds nothing that looks like a key.
    """
    from sqlalchemy.exc import IntegrityError

    path = settings.first_key_file
    if path is None or store.keys.any_made():
        return
    secret = read_secret(path, "the first key")
    if not _LOOKS_LIKE_A_KEY.fullmatch(secret):
        raise InputError(
            f"Expected a key in {path}: at least 32 characters, without spaces. It has "
            f"{len(secret)} characters. Make one with: {_MAKE_ONE.replace('FILE', str(path))}"
        )
    with suppress(IntegrityError):  # another server on this database did it just now
        store.keys.add("local", "first key", ("read", "submit", "admin"), digest_of(secret))
