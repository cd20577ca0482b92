"""The store: every query of the service, on SQLite or PostgreSQL.

All methods are safe to call from several threads. Methods return None both for what does not exist
and for what belongs to another owner: callers cannot distinguish the two.
"""

from sqlalchemy.exc import SQLAlchemyError

from r2rise_service.storage.database import (
    Database,
    SchemaVersions,
    migrate,
    read_schema_versions,
)
from r2rise_service.storage.datasets import DatasetStore
from r2rise_service.storage.exclusive import ExclusiveLock
from r2rise_service.storage.files import DatasetFiles
from r2rise_service.storage.jobs import JobStore
from r2rise_service.storage.keys import KeyStore
from r2rise_service.storage.records import RecordStore
from r2rise_service.storage.results import ComparisonStore, ResultStore


class Store:
    """State of the service.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.

    Attributes:
        keys: API keys.
        datasets: Metadata of uploaded demonstrations.
        jobs: Jobs and their events.
        records: Records of retrainings, and how long they took.
        results: Maps that jobs are based on, and their results.
        comparisons: Comparisons of two maps.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self.keys = KeyStore(self._database)
        self.datasets = DatasetStore(self._database)
        self.jobs = JobStore(self._database)
        self.records = RecordStore(self._database)
        self.results = ResultStore(self._database)
        self.comparisons = ComparisonStore(self._database)

    def migrate(self) -> None:
        """Upgrade the database to the newest schema (Alembic)."""
        migrate(self._database)

    def schema_versions(self) -> SchemaVersions:
        """Return the version of the database's schema, and the newest.

        Raises:
            SQLAlchemyError: When the database cannot be reached.
        """
        with self._database.reading() as session:
            return read_schema_versions(session.connection())

    def is_current(self) -> bool:
        """Whether the database can be reached and has the newest schema."""
        try:
            return self.schema_versions().is_current
        except SQLAlchemyError:
            return False

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def exclusive_lock(self, name: str) -> ExclusiveLock:
        """Return a lock with one holder among all processes that use this database."""
        return self._database.exclusive_lock(name)

    @property
    def content_lock(self) -> ExclusiveLock:
        """Lock to hold while files and datasets change together; shared by all processes."""
        return self.exclusive_lock("content")

    def remove_unused(self, files: DatasetFiles, sha256: str) -> None:
        """Remove the file with this content, unless a dataset or job still uses it."""
        with self.content_lock:
            if not self.datasets.content_is_used(sha256):
                files.remove(sha256)
