"""Datasets, within a transaction."""

from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from r2rise_service.models import LIVE, DatasetInfo, DatasetPage
from r2rise_service.storage.new import NewDataset
from r2rise_service.storage.pages import page_of
from r2rise_service.storage.rows import Conflict, dataset_info, new_id, utc_now
from r2rise_service.storage.tables import Dataset, Job


def store_dataset(session: Session, new: NewDataset) -> tuple[DatasetInfo, bool]:
    """Store a dataset, or return the owner's existing one; and whether it is new."""
    held = find(session, new.owner, Dataset.sha256 == new.sha256)
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


def find(session: Session, owner: str, *conditions: Any) -> list[DatasetInfo]:
    """Return the owner's datasets, newest first."""
    own = select(Dataset).where(Dataset.owner == owner, *conditions).order_by(Dataset.id.desc())
    return [dataset_info(dataset) for dataset in session.scalars(own)]


def page(
    session: Session, owner: str, sha256: str | None, size: int, token: str | None
) -> DatasetPage:
    """Return a page of the owner's datasets, newest first.

    Raises:
        ValueError: When the token is none that a page gave.
    """
    own = select(Dataset.id, Dataset).where(Dataset.owner == owner)
    if sha256 is not None:
        own = own.where(Dataset.sha256 == sha256)
    shown, following = page_of(session, own, Dataset.id, size, token)
    return DatasetPage(data=tuple(dataset_info(row) for _, row in shown), next_page_token=following)


def remove(session: Session, owner: str, dataset_id: str) -> DatasetInfo | None:
    """Remove one of the owner's datasets.

    Raises:
        Conflict: While a live job uses it.
    """
    own = select(Dataset).where(Dataset.id == dataset_id, Dataset.owner == owner)
    dataset = session.scalar(own.with_for_update())
    if dataset is None:
        return None
    users = select(Job.id).where(Job.dataset_id == dataset_id, Job.status.in_(LIVE))
    user = session.scalar(users.limit(1))
    if user is not None:
        raise Conflict(
            f"Dataset {dataset_id} is used by job {user}: cancel it and wait for its end first."
        )
    session.delete(dataset)
    return dataset_info(dataset)


def is_used(session: Session, sha256: str) -> bool:
    """Say whether any dataset has, or any job is about, this content."""
    dataset = exists().where(Dataset.sha256 == sha256)
    job = exists().where(Job.sha256 == sha256)
    return bool(session.scalar(select(or_(dataset, job))))
