"""A runner that retrains nothing: it answers from the records that are stored."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from r2rise.data.segments import Segments
from r2rise.design.tasks import Task, TaskKey
from r2rise.ledger.ledger import Ledger
from r2rise.ledger.record import Record
from r2rise.run.shards import to_retry
from r2rise.study.study import Study


class Wanted(NamedTuple):
    """Tasks that were asked of a runner at once, and that it cannot answer yet."""

    runner: "StoredRunner"
    tasks: Sequence[Task]


class Missing(Exception):
    """A question cannot be answered before some tasks are done."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        super().__init__(f"{sum(len(tasks) for _, tasks in wanted)} tasks are not done yet")
        self.wanted = wanted


class StoredRunner:
    """Answers from a ledger, or says what it lacks.

    Args:
        part: Number of the learner within the job.
        study: Its resolved study.
        segments: What is masked.
        ledger: Its records so far.

    Attributes:
        asked: Keys of all tasks that it was ever asked for.
        tried: Keys of the tasks that came back to it; those that failed are not tried again.
    """

    def __init__(self, part: int, study: Study, segments: Segments, ledger: Ledger) -> None:
        self.part, self.study, self.segments, self.ledger = part, study, segments, ledger
        self.asked: set[TaskKey] = set()
        self.tried: set[TaskKey] = set()

    def run(self, tasks: Sequence[Task]) -> list[Record]:
        """Return the records of tasks.

        Raises:
            Missing: When one is not there, or failed before and was not tried again.
        """
        self.asked.update(task.key for task in tasks)
        if any(self.lacks(task) for task in tasks):
            raise Missing([Wanted(self, tasks)])
        return [record for task in tasks if (record := self.ledger.get(task)) is not None]

    def lacks(self, task: Task) -> bool:
        """Whether a task is still to be done."""
        record = self.ledger.get(task)
        return record is None or (to_retry(record) and task.key not in self.tried)

    def add(
        self, records: Iterable[Record], *, work_seconds: float | None = None
    ) -> dict[int, float]:
        """Take in what came back, and return the times that are noted, as `Ledger.add`."""
        came = list(records)
        self.tried.update(record.key for record in came)
        return self.ledger.add(came, work_seconds=work_seconds)
