"""The store: every query of the service, on SQLite or PostgreSQL.

All methods are safe to call from several threads. What does not exist, or belongs to another
owner, is None: the two cannot be told apart from outside.
"""

from sqlalchemy.exc import SQLAlchemyError

from r2rise_service.storage.database import Database, Schema, migrate, schema
from r2rise_service.storage.datasets import DatasetStore
from r2rise_service.storage.exclusive import Exclusive
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
        datasets: What is known of uploaded demonstrations.
        jobs: Jobs and their events.
        records: Records of retrainings, and how long they took.
        results: What jobs are based on, and what came of them.
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

    @property
    def content(self) -> Exclusive:
        """A lock to hold while files and datasets change together, in whichever process."""
        return self.exclusive("content")

    def remove_unused(self, files: DatasetFiles, sha256: str) -> None:
        """Remove the file of a content that no dataset and no job is about any more."""
        with self.content:
            if not self.datasets.content_is_used(sha256):
                files.remove(sha256)
