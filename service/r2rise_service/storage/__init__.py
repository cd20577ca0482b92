"""State: the store makes every query; demonstrations are files named by their content hash."""

from r2rise_service.storage.datasets import NewDataset
from r2rise_service.storage.job_queries import NewJob, Source
from r2rise_service.storage.rows import IdempotencyKeyReused, StoreConflict, TooManyLive
from r2rise_service.storage.store import Store

__all__ = [
    "IdempotencyKeyReused",
    "NewDataset",
    "NewJob",
    "Source",
    "Store",
    "StoreConflict",
    "TooManyLive",
]
