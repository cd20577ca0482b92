"""Datasets: metadata of uploaded demonstrations."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from r2rise_service.models import LIVE, DatasetInfo, DatasetPage
from r2rise_service.storage.database import Database
from r2rise_service.storage.rows import StoreConflict, dataset_info, new_id, read_page, utc_now
from r2rise_service.storage.tables import Dataset, Job


@dataclass(frozen=True)
class NewDataset:
    """Metadata of uploaded demonstrations, to be stored."""

    owner: str
    sha256: str
    lengths: tuple[int, ...]
    obs_shape: tuple[int, ...]
    act_shape: tuple[int, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


class DatasetStore:
    """Stores the metadata of uploaded demonstrations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new_dataset: NewDataset) -> tuple[DatasetInfo, bool]:
        """Store a dataset, or return the owner's existing one with the same content.

        Returns:
            The dataset, and whether it is new.
        """
        with self._database.writing() as session:
            self._database.lock_owner(session, new_dataset.owner)
            existing = _find(session, new_dataset.owner, Dataset.sha256 == new_dataset.sha256)
            if existing:
                return existing[0], False
            dataset = Dataset(
                id=new_id("ds"),
                owner=new_dataset.owner,
                sha256=new_dataset.sha256,
                lengths=list(new_dataset.lengths),
                obs_shape=list(new_dataset.obs_shape),
                act_shape=list(new_dataset.act_shape),
                details=dict(new_dataset.metadata),
                created_at=utc_now(),
            )
            session.add(dataset)
            return dataset_info(dataset), True

    def get(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Return one of the owner's datasets; None if the owner has none with this id."""
        with self._database.reading() as session:
            datasets = _find(session, owner, Dataset.id == dataset_id)
            return datasets[0] if datasets else None

    def find(self, owner: str, *, sha256: str | None = None) -> list[DatasetInfo]:
        """Return the owner's datasets, newest first.

        Args:
            owner: Owner of the datasets.
            sha256: Content of the datasets; None returns all.
        """
        conditions = [] if sha256 is None else [Dataset.sha256 == sha256]
        with self._database.reading() as session:
            return _find(session, owner, *conditions)

    def page(
        self,
        owner: str,
        *,
        sha256: str | None = None,
        page_size: int = 50,
        page_token: str | None = None,
    ) -> DatasetPage:
        """Return a page of the owner's datasets, newest first.

        Raises:
            ValueError: When the token is not one that a page returned.
        """
        query = select(Dataset.id, Dataset).where(Dataset.owner == owner)
        if sha256 is not None:
            query = query.where(Dataset.sha256 == sha256)
        with self._database.reading() as session:
            rows, next_token = read_page(session, query, Dataset.id, page_size, page_token)
            infos = tuple(dataset_info(dataset) for _, dataset in rows)
            return DatasetPage(data=infos, next_page_token=next_token)

    def remove(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Remove one of the owner's datasets, and return it; None if there is none with this id.

        Raises:
            StoreConflict: While a live job uses it.
        """
        query = select(Dataset).where(Dataset.id == dataset_id, Dataset.owner == owner)
        live_jobs = select(Job.id).where(Job.dataset_id == dataset_id, Job.status.in_(LIVE))
        with self._database.writing() as session:
            dataset = session.scalar(query.with_for_update())
            if dataset is None:
                return None
            job_id = session.scalar(live_jobs.limit(1))
            if job_id is not None:
                raise StoreConflict(
                    f"Dataset {dataset_id} is used by job {job_id}: cancel it and wait for its end "
                    "first."
                )
            session.delete(dataset)
            return dataset_info(dataset)

    def lengths_of_job(self, job_id: str) -> tuple[int, ...] | None:
        """Return the number of frames of each of a job's demonstrations; None if not stored.

        They stay when the dataset is deleted. Old jobs may have none.
        """
        with self._database.reading() as session:
            lengths = session.scalar(select(Job.lengths).where(Job.id == job_id))
            return None if lengths is None else tuple(lengths)

    def content_is_used(self, sha256: str) -> bool:
        """Whether any dataset or job, of any owner, uses this content."""
        dataset = exists().where(Dataset.sha256 == sha256)
        job = exists().where(Job.sha256 == sha256)
        with self._database.reading() as session:
            return bool(session.scalar(select(or_(dataset, job))))


def _find(session: Session, owner: str, *conditions: Any) -> list[DatasetInfo]:
    """Return the owner's datasets that meet all conditions, newest first."""
    query = select(Dataset).where(Dataset.owner == owner, *conditions).order_by(Dataset.id.desc())
    return [dataset_info(dataset) for dataset in session.scalars(query)]
