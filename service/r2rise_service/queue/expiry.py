"""Deletes jobs and idempotency keys that have expired."""

import logging
from datetime import datetime, timedelta

from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles

logger = logging.getLogger(__name__)


def remove_expired(
    store: Store, files: DatasetFiles, now: datetime, *, keep_days: float | None
) -> int:
    """Delete jobs that ended long ago, files that nothing else uses, and old idempotency keys.

    Args:
        store: State.
        files: Demonstrations.
        now: The current time.
        keep_days: How many days a job is kept after its end; None keeps all jobs.

    Returns:
        How many jobs were deleted.
    """
    store.jobs.forget_old_keys(now)
    if keep_days is None:
        return 0
    n_removed, content_hashes = 0, set[str | None]()
    while removed := store.jobs.remove_ended(now - timedelta(days=keep_days)):
        n_removed += len(removed)
        content_hashes.update(removed.values())
    for sha256 in filter(None, content_hashes):
        store.remove_unused(files, sha256)
    if n_removed:
        logger.info("deleted %d jobs that ended %g days ago or earlier", n_removed, keep_days)
    return n_removed
