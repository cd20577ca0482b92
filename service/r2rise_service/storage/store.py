"""The store: every query of the service, on SQLite or PostgreSQL.

All methods are safe to call from several threads. What does not exist, or belongs to another
owner, is None: the two cannot be told apart from outside.
"""

from sqlalchemy.exc import SQLAlchemyError

from r2rise_service.storage.database import Database, Schema, migrate, schema
from r2rise_service.storage.dataset_store import DatasetStore
from r2rise_service.storage.exclusive import Exclusive
from r2rise_service.storage.job_store import JobStore
from r2rise_service.storage.key_store import KeyStore
from r2rise_service.storage.known_jobs import KnownJobs
from r2rise_service.storage.new import NewDataset, NewJob, Source
from r2rise_service.storage.record_store import RecordStore
from r2rise_service.storage.result_store import ResultStore
from r2rise_service.storage.rows import Conflict, KeyReused, TooManyLive

__all__ = ["Conflict", "KeyReused", "NewDataset", "NewJob", "Source", "Store", "TooManyLive"]


class Store(KeyStore, DatasetStore, JobStore, RecordStore, ResultStore):
    """Keys, datasets, jobs, records and results; each base holds the queries of one of them.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._known_jobs = KnownJobs()
        self._known_keys = {}

    def migrate(self) -> None:
        """Bring the database to the newest schema (Alembic)."""
        migrate(self._database)

    def schema(self) -> Schema:
        """Return the version of the schema that the database has, and the newest.

        Raises:
            SQLAlchemyError: When the database cannot be reached.
        """
        with self._database.reading() as session:
            return schema(session.connection())

    def is_current(self) -> bool:
        """Whether the database can be reached and has the newest schema."""
        try:
            return self.schema().is_current
        except SQLAlchemyError:
            return False

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def exclusive(self, name: str) -> Exclusive:
        """Return a lock that one holder among all processes of this database can have."""
        return self._database.exclusive(name)
