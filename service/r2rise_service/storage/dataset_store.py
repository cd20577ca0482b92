"""Datasets of the store."""

from r2rise_service.models import DatasetInfo, DatasetPage
from r2rise_service.storage import dataset_queries
from r2rise_service.storage.database import Database
from r2rise_service.storage.new import NewDataset
from r2rise_service.storage.tables import Dataset


class DatasetStore:
    """Datasets."""

    _database: Database

    def add_dataset(self, new: NewDataset) -> tuple[DatasetInfo, bool]:
        """Store a dataset, or return the owner's existing one of this content.

        Returns:
            The dataset, and whether it is new.
        """
        with self._database.writing() as session:
            self._database.lock_owner(session, new.owner)
            return dataset_queries.store_dataset(session, new)

    def dataset(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Return one of the owner's datasets."""
        with self._database.reading() as session:
            found = dataset_queries.find(session, owner, Dataset.id == dataset_id)
            return found[0] if found else None

    def datasets(self, owner: str, *, sha256: str | None = None) -> list[DatasetInfo]:
        """Return the owner's datasets, newest first."""
        conditions = [] if sha256 is None else [Dataset.sha256 == sha256]
        with self._database.reading() as session:
            return dataset_queries.find(session, owner, *conditions)

    def dataset_page(
        self,
        owner: str,
        *,
        sha256: str | None = None,
        page_size: int = 50,
        page_token: str | None = None,
    ) -> DatasetPage:
        """Return a page of the owner's datasets, newest first.

        Raises:
            ValueError: When the token is none that a page gave.
        """
        with self._database.reading() as session:
            return dataset_queries.page(session, owner, sha256, page_size, page_token)

    def remove_dataset(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Remove one of the owner's datasets.

        Raises:
            Conflict: While a live job uses it.
        """
        with self._database.writing() as session:
            return dataset_queries.remove(session, owner, dataset_id)

    def content_is_used(self, sha256: str) -> bool:
        """Whether any owner has a dataset, or any job is about, this content."""
        with self._database.reading() as session:
            return dataset_queries.is_used(session, sha256)
