"""Connections: exactly one that writes, a few that read."""

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

from r2rise_service.storage.exclusive import Exclusive, FileExclusive, PostgresExclusive
from r2rise_service.storage.tables import Table

if TYPE_CHECKING:
    from alembic.config import Config

N_READERS = 8
BUSY_MILLISECONDS = 30_000
SCRIPTS = "r2rise_service.storage:migrations"


class Database:
    """A database on SQLite or PostgreSQL.

    SQLite before 3.51.3 can damage a WAL database when two connections write at once, so one
    connection writes, under a lock, and the others only read.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.dialect = self._url.get_backend_name()
        self._lock = threading.Lock()
        self._writer = _engine(url, n_connections=1, writes=True)
        self._readers = _engine(url, n_connections=N_READERS, writes=False)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open the one writing transaction; it is committed when the block ends well."""
        with self._lock, Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that sees one state of the database."""
        with Session(self._readers, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def altering(self) -> Iterator[Connection]:
        """Open the one writing transaction for changes of the schema."""
        with self._lock, self._writer.begin() as connection:
            yield connection

    def exclusive(self, name: str) -> Exclusive:
        """Return a lock that one holder among all processes of this database can have."""
        if self.dialect == "sqlite":
            return FileExclusive(Path(f"{self._url.database}.{name}.lock"))
        return PostgresExclusive(self._url, name)

    def lock_owner(self, session: Session, owner: str) -> None:
        """Let other transactions of an owner wait for this one; on SQLite they all do anyway."""
        if self.dialect == "postgresql":
            key = func.hashtextextended(f"owner {owner}", 0)
            session.execute(select(func.pg_advisory_xact_lock(key)))

    def close(self) -> None:
        """Close all connections."""
        self._readers.dispose()
        self._writer.dispose()

    def insert(self, table: type[Table]) -> Any:
        """Return an INSERT that knows ON CONFLICT."""
        return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[self.dialect](table)


def _engine(url: str, *, n_connections: int, writes: bool) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, n_connections, writes)
    return create_engine(
        parsed,
        pool_size=n_connections,
        max_overflow=0,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
    )


def _sqlite_engine(url: URL, n_connections: int, writes: bool) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise ValueError(f"Expected sqlite:///path of a file, got {str(url)!r}: name a file.")
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    threads = {"check_same_thread": False}  # the pool hands a connection to one at a time
    engine = create_engine(url, pool_size=n_connections, max_overflow=0, connect_args=threads)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        if writes:
            # of those that change a new file's mode at once, SQLite makes none wait but fails
            with FileExclusive(Path(f"{url.database}.mode.lock")):
                connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def migrate(database: Database) -> None:
    """Bring the schema to the newest version, all in one transaction."""
    from alembic import command

    config = alembic_config()
    with database.altering() as connection:
        if database.dialect == "postgresql":  # one after the other, where several begin at once
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('r2rise migrate'))"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


class Schema(NamedTuple):
    """Versions of the schema: the one that the database has, or None, and the newest."""

    current: str | None
    newest: str | None

    @property
    def is_current(self) -> bool:
        """Whether nothing has to be upgraded."""
        return self.current == self.newest


def schema(connection: Connection) -> Schema:
    """Return the versions of the schema."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    return Schema(MigrationContext.configure(connection).get_current_revision(), newest)


def alembic_config() -> "Config":
    """Return where Alembic finds the migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.set_main_option("path_separator", "os")
    return config
