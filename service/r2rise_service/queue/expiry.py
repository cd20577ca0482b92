"""What is deleted when it is old."""

import logging
from datetime import datetime, timedelta

from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles

logger = logging.getLogger(__name__)


def remove_expired(
    store: Store, files: DatasetFiles, now: datetime, *, keep_days: float | None
) -> int:
    """Delete jobs that ended long ago, with all that nobody else uses, and old idempotency keys.

    Args:
        store: State.
        files: Demonstrations.
        now: The time.
        keep_days: Days after its end that a job is kept; None keeps all.

    Returns:
        How many jobs were deleted.
    """
    store.jobs.forget_old_keys(now)
    if keep_days is None:
        return 0
    n_removed, contents = 0, set[str | None]()
    while removed := store.jobs.remove_ended(now - timedelta(days=keep_days)):
        n_removed += len(removed)
        contents.update(removed.values())
    for sha256 in filter(None, contents):
        store.remove_unused(files, sha256)
    if n_removed:
        logger.info("deleted %d jobs that ended %g days ago or earlier", n_removed, keep_days)
    return n_removed
