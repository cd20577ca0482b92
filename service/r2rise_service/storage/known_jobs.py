"""Ended jobs that were read before: lists show the same ones again and again."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r2rise_service.models import JobInfo
from r2rise_service.storage.rows import job_info
from r2rise_service.storage.tables import Job

_KEPT = 2048


class KnownJobs:
    """Keeps what is shown of ended jobs; their rows are read again only at another version."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, JobInfo] = OrderedDict()

    def of(self, session: Session, versions: Sequence[tuple[str, int]]) -> list[JobInfo]:
        """Return jobs by their ids and present versions, in this order."""
        with self._lock:
            found = {
                job_id: known
                for job_id, version in versions
                if (known := self._known.get(job_id)) is not None and known.version == version
            }
        missing = [job_id for job_id, _ in versions if job_id not in found]
        if missing:
            rows = session.scalars(select(Job).where(Job.id.in_(missing)))
            read = {row.id: job_info(row) for row in rows}
            self._keep(read)
            found |= read
        return [found[job_id] for job_id, _ in versions if job_id in found]

    def _keep(self, read: dict[str, JobInfo]) -> None:
        ended = {job_id: info for job_id, info in read.items() if not info.is_live}
        with self._lock:
            self._known.update(ended)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
