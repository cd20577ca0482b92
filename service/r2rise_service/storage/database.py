"""Database connections: exactly one that writes, and a few that read."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from r2rise_service.storage.exclusive import (
    ExclusiveFileLock,
    ExclusiveLock,
    ExclusivePostgresLock,
)
from r2rise_service.storage.tables import Table

if TYPE_CHECKING:
    from alembic.config import Config

N_READERS = 8
BUSY_MILLISECONDS = 30_000
_MIGRATIONS = "r2rise_service.storage:migrations"


class Database:
    """A database on SQLite or PostgreSQL.

    SQLite before 3.51.3 can damage a WAL database when two connections write at once. So one
    connection writes, under a lock, and the others only read.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.dialect = self._url.get_backend_name()
        self._lock = threading.Lock()
        self._writer = _make_engine(url, n_connections=1, writes=True)
        self._readers = _make_engine(url, n_connections=N_READERS, writes=False)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open the only writing transaction; it is committed unless the block raises."""
        with self._lock, Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a read-only transaction that sees one snapshot of the database."""
        with Session(self._readers, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def altering(self) -> Iterator[Connection]:
        """Open the only writing transaction, for changes of the schema."""
        with self._lock, self._writer.begin() as connection:
            yield connection

    def exclusive_lock(self, name: str) -> ExclusiveLock:
        """Return a lock with one holder among all processes that use this database."""
        if self.dialect == "sqlite":
            return ExclusiveFileLock(Path(f"{self._url.database}.{name}.lock"))
        return ExclusivePostgresLock(self._url, name)

    def lock_owner(self, session: Session, owner: str) -> None:
        """Make other transactions of an owner wait for this one.

        On SQLite there is only one writing transaction at a time, so nothing has to be done.
        """
        if self.dialect == "postgresql":
            key = func.hashtextextended(f"owner {owner}", 0)
            session.execute(select(func.pg_advisory_xact_lock(key)))

    def close(self) -> None:
        """Close all connections."""
        self._readers.dispose()
        self._writer.dispose()

    def insert(self, table: type[Table]) -> Any:
        """Return an INSERT that supports ON CONFLICT, in the dialect of the database."""
        return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[self.dialect](table)


def _make_engine(url: str, *, n_connections: int, writes: bool) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _make_sqlite_engine(parsed, n_connections, writes)
    return create_engine(
        parsed,
        pool_size=n_connections,
        max_overflow=0,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
    )


def _make_sqlite_engine(url: URL, n_connections: int, writes: bool) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise ValueError(f"Expected sqlite:///path of a file, got {str(url)!r}: name a file.")
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    # the pool hands a connection to one thread at a time
    connect_args = {"check_same_thread": False}
    engine = create_engine(url, pool_size=n_connections, max_overflow=0, connect_args=connect_args)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        if writes:
            # SQLite fails, instead of waiting, when two processes change the mode of a new file
            with ExclusiveFileLock(Path(f"{url.database}.mode.lock")):
                connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def migrate(database: Database) -> None:
    """Upgrade the schema to the newest version, in one transaction."""
    from alembic import command

    config = alembic_config()
    with database.altering() as connection:
        if database.dialect == "postgresql":  # several processes may upgrade at once
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('r2rise migrate'))"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


class SchemaVersions(NamedTuple):
    """Versions of the schema.

    Attributes:
        current: Version of the database; None when it has no schema yet.
        newest: Version that this code needs.
    """

    current: str | None
    newest: str | None

    @property
    def is_current(self) -> bool:
        """Whether the database has the newest version."""
        return self.current == self.newest


def read_schema_versions(connection: Connection) -> SchemaVersions:
    """Return the version of the database's schema, and the newest."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    return SchemaVersions(MigrationContext.configure(connection).get_current_revision(), newest)


def alembic_config() -> "Config":
    """Return the configuration with which Alembic finds the migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    config.set_main_option("path_separator", "os")
    return config
