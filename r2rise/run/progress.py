"""Progress of the requested retrainings, and their failures."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from r2rise.design.seeds import Kind
from r2rise.design.tasks import Task, TaskKey
from r2rise.errors import StudyFailed
from r2rise.ledger.ledger import Ledger
from r2rise.ledger.record import Record
from r2rise.run.shards import to_retry
from r2rise.statistics.failures import failing_segments_words
from r2rise.study.study import Study


@dataclass(frozen=True)
class Progress:
    """Progress of the requested retrainings; all counts include the baselines.

    Attributes:
        done: Requested retrainings that are in the ledger.
        total: Requested retrainings.
        failed: Failed retrainings among `done`.
        resumed: Retrainings among `done` that an earlier run left in the ledger.
        seconds_left: Seconds until the time limit; None without a limit.
    """

    done: int
    total: int
    failed: int
    resumed: int
    seconds_left: float | None = None


OnProgress = Callable[[Progress], None]


class Tally:
    """Counts the requested tasks that are done and those that failed."""

    def __init__(self, study: Study, tasks: Sequence[Task], ledger: Ledger) -> None:
        self._max_failed_share = study.execution.max_failed_share
        self._n_tasks = Counter(task.kind for task in tasks)
        self._done: set[TaskKey] = set()
        self._failed: set[TaskKey] = set()
        self._reasons: dict[TaskKey, str] = {}
        self.add([record for task in tasks if (record := ledger.get(task)) is not None])
        self._reasons.clear()  # failures of earlier runs are retried, so they do not count
        self._resumed = len(self._done)

    def add(self, records: Sequence[Record]) -> None:
        """Count records; a later record of a task replaces an earlier one."""
        for record in records:
            self._done.add(record.key)
            self._failed.discard(record.key)
            self._reasons.pop(record.key, None)
            if record.status == "failed":
                self._failed.add(record.key)
            if to_retry(record):
                self._reasons[record.key] = record.reason

    def progress(self) -> Progress:
        """Return the counts so far, without the time left."""
        total = sum(self._n_tasks.values())
        return Progress(len(self._done), total, len(self._failed), self._resumed)

    def check_failures(self) -> None:
        """Check that no more retrainings failed than the study allows.

        Masks that keep no frames do not count as failures.

        Raises:
            StudyFailed: When too many failed; the message has the most frequent reason.
        """
        max_share = self._max_failed_share
        for kind, count in self._n_tasks.items():
            reasons = [reason for key, reason in self._reasons.items() if key[0] == kind]
            if len(reasons) > max_share * count:
                reason, n_times = Counter(reasons).most_common(1)[0]
                raise StudyFailed(
                    f"{len(reasons)} of {count} {_NOUNS.get(kind, 'retrainings')} failed "
                    f"(allowed: {max_share:.0%}), {n_times} of them with:\n  {reason}\n"
                    f"{self._by_segment(kind)}"
                    f"Fix the cause and run the same command again; it resumes from the ledger."
                )

    def _by_segment(self, kind: Kind) -> str:
        """Return a line on the segments that failures of this kind depend on, or an empty text."""
        tasks = [
            Task(*key)
            for key in self._done
            if key[0] == kind and (key in self._reasons or key not in self._failed)
        ]
        masks = np.array([task.mask(8 * len(task.packed_mask)) for task in tasks])
        words = failing_segments_words(masks, np.array([t.key in self._reasons for t in tasks]))
        return f"{words}\n" if words else ""


_NOUNS: dict[Kind, str] = {
    "random_policy": "evaluations of random actions",
    "baseline": "retrainings on all frames",
}
