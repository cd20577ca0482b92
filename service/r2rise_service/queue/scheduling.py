"""Whose turn it is: the one place that decides what is done before what.

Higher priority goes first. Jobs of equal priority share the workers: the next shard is of the one
that has the fewest at them, and of equals of the one that came first.
"""

from collections.abc import Iterable

from r2rise_service.models import JobInfo
from r2rise_service.queue.work import JobWork


def turn(priority: int, in_flight: int = 0) -> tuple[int, int]:
    """Return when it is the turn of a job: the least goes first, and of equals who came first.

    Args:
        priority: Of the job.
        in_flight: Shards that workers have of it; none before it is taken up.
    """
    return -priority, in_flight


def to_take_up(jobs: Iterable[JobInfo]) -> list[JobInfo]:
    """Return jobs, of which the older come first, in the order in which they are taken up."""
    return sorted(jobs, key=lambda job: turn(job.priority))


def next_to_submit(works: Iterable[JobWork]) -> JobWork | None:
    """Return the job whose next shard is to be submitted; None where none has one."""
    ready = (work for work in works if work.has_more)
    return min(ready, key=lambda work: turn(work.priority, work.in_flight), default=None)


def rank_at_workers(work: JobWork) -> int:
    """Return the rank of a job's shards among those that wait for a worker: higher goes first."""
    before, _ = turn(work.priority)
    return -before
