"""Datasets: what is known of the demonstrations that were uploaded."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from r2rise_service.models import LIVE, DatasetInfo, DatasetPage
from r2rise_service.storage.database import Database
from r2rise_service.storage.rows import StoreConflict, dataset_info, new_id, page_of, utc_now
from r2rise_service.storage.tables import Dataset, Job


@dataclass(frozen=True)
class NewDataset:
    """What is stored of demonstrations that were uploaded."""

    owner: str
    sha256: str
    lengths: tuple[int, ...]
    obs_shape: tuple[int, ...]
    act_shape: tuple[int, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


class DatasetStore:
    """Datasets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewDataset) -> tuple[DatasetInfo, bool]:
        """Store a dataset, or return the owner's existing one of this content.

        Returns:
            The dataset, and whether it is new.
        """
        with self._database.writing() as session:
            self._database.lock_owner(session, new.owner)
            held = _find(session, new.owner, Dataset.sha256 == new.sha256)
            if held:
                return held[0], False
            dataset = Dataset(
                id=new_id("ds"),
                owner=new.owner,
                sha256=new.sha256,
                lengths=list(new.lengths),
                obs_shape=list(new.obs_shape),
                act_shape=list(new.act_shape),
                details=dict(new.metadata),
                created_at=utc_now(),
            )
            session.add(dataset)
            return dataset_info(dataset), True

    def get(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Return one of the owner's datasets."""
        with self._database.reading() as session:
            found = _find(session, owner, Dataset.id == dataset_id)
            return found[0] if found else None

    def find(self, owner: str, *, sha256: str | None = None) -> list[DatasetInfo]:
        """Return the owner's datasets, newest first."""
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
            ValueError: When the token is none that a page gave.
        """
        own = select(Dataset.id, Dataset).where(Dataset.owner == owner)
        if sha256 is not None:
            own = own.where(Dataset.sha256 == sha256)
        with self._database.reading() as session:
            shown, following = page_of(session, own, Dataset.id, page_size, page_token)
            infos = tuple(dataset_info(row) for _, row in shown)
            return DatasetPage(data=infos, next_page_token=following)

    def remove(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Remove one of the owner's datasets.

        Raises:
            StoreConflict: While a live job uses it.
        """
        own = select(Dataset).where(Dataset.id == dataset_id, Dataset.owner == owner)
        users = select(Job.id).where(Job.dataset_id == dataset_id, Job.status.in_(LIVE))
        with self._database.writing() as session:
            dataset = session.scalar(own.with_for_update())
            if dataset is None:
                return None
            user = session.scalar(users.limit(1))
            if user is not None:
                raise StoreConflict(
                    f"Dataset {dataset_id} is used by job {user}: cancel it and wait for its end "
                    "first."
                )
            session.delete(dataset)
            return dataset_info(dataset)

    def lengths_of_job(self, job_id: str) -> tuple[int, ...] | None:
        """Return the frames of each demonstration that a job is about, where they were kept.

        They are there also when the dataset is not any more.
        """
        with self._database.reading() as session:
            lengths = session.scalar(select(Job.lengths).where(Job.id == job_id))
            return None if lengths is None else tuple(lengths)

    def content_is_used(self, sha256: str) -> bool:
        """Whether any owner has a dataset, or any job is about, this content."""
        dataset = exists().where(Dataset.sha256 == sha256)
        job = exists().where(Job.sha256 == sha256)
        with self._database.reading() as session:
            return bool(session.scalar(select(or_(dataset, job))))


def _find(session: Session, owner: str, *conditions: Any) -> list[DatasetInfo]:
    """Return the owner's datasets, newest first."""
    own = select(Dataset).where(Dataset.owner == owner, *conditions).order_by(Dataset.id.desc())
    return [dataset_info(dataset) for dataset in session.scalars(own)]
