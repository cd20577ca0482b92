"""A runner that retrains nothing: it answers from the stored records."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from r2rise.data.segments import Segments
from r2rise.design.tasks import Task, TaskKey
from r2rise.ledger.ledger import Ledger
from r2rise.ledger.record import Record
from r2rise.run.shards import to_retry
from r2rise.study.study import Study


class TaskRequest(NamedTuple):
    """Tasks that were requested from a runner in one call, not all of which are done."""

    runner: "StoredRunner"
    tasks: Sequence[Task]


class MissingTasks(Exception):
    """A question cannot be answered before some tasks are done."""

    def __init__(self, requests: Sequence[TaskRequest]) -> None:
        super().__init__(f"{sum(len(tasks) for _, tasks in requests)} tasks are not done yet")
        self.requests = requests


class StoredRunner:
    """Answers from a ledger, or raises `MissingTasks`.

    Args:
        part: Number of the learner within the job.
        study: Resolved study of the learner.
        segments: What is masked.
        ledger: Records of the learner so far.

    Attributes:
        requested: Keys of all tasks that were ever requested.
        attempted: Keys of the tasks that came back to this runner. A failure among them is final:
            it is not tried again.
    """

    def __init__(self, part: int, study: Study, segments: Segments, ledger: Ledger) -> None:
        self.part, self.study, self.segments, self.ledger = part, study, segments, ledger
        self.requested: set[TaskKey] = set()
        self.attempted: set[TaskKey] = set()

    def run(self, tasks: Sequence[Task]) -> list[Record]:
        """Return the records of tasks.

        Raises:
            MissingTasks: When a task has no record, or failed before this runner was made and has
                not been tried again.
        """
        self.requested.update(task.key for task in tasks)
        if any(self.is_missing(task) for task in tasks):
            raise MissingTasks([TaskRequest(self, tasks)])
        return [record for task in tasks if (record := self.ledger.get(task)) is not None]

    def is_missing(self, task: Task) -> bool:
        """Whether a task is still to be done."""
        record = self.ledger.get(task)
        return record is None or (to_retry(record) and task.key not in self.attempted)

    def add(
        self, records: Iterable[Record], *, work_seconds: float | None = None
    ) -> dict[int, float]:
        """Add records to the ledger, and return the times that were noted, as `Ledger.add`."""
        records = list(records)
        self.attempted.update(record.key for record in records)
        return self.ledger.add(records, work_seconds=work_seconds)
