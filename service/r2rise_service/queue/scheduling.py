"""The order of work: the one place that decides which job goes first.

Higher priority goes first. Jobs of equal priority share the workers: the next shard is taken from
the job with the fewest shards in flight, and among equals from the job that was submitted first.
"""

from collections.abc import Iterable

from r2rise_service.models import JobInfo
from r2rise_service.queue.work import JobWork


def order_key(priority: int, in_flight: int = 0) -> tuple[int, int]:
    """Return the key that jobs are sorted by, the least first; ties keep their order.

    Args:
        priority: Priority of the job.
        in_flight: Number of its shards that workers have; 0 before it is admitted.
    """
    return -priority, in_flight


def admission_order(jobs: Iterable[JobInfo]) -> list[JobInfo]:
    """Return jobs in the order in which they are admitted; expects them oldest first."""
    return sorted(jobs, key=lambda job: order_key(job.priority))


def next_to_submit(job_works: Iterable[JobWork]) -> JobWork | None:
    """Return the job whose next shard is to be submitted; None when no job has one."""
    ready = (job_work for job_work in job_works if job_work.has_more)
    return min(
        ready,
        key=lambda job_work: order_key(job_work.priority, job_work.in_flight),
        default=None,
    )


def worker_priority(job_work: JobWork) -> int:
    """Return the priority of a job's shards that wait for a worker: higher goes first."""
    negated_priority, _ = order_key(job_work.priority)
    return -negated_priority
