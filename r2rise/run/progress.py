"""How far the work is, and what failed of it."""

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
    """How far the work is.

    Attributes:
        done: Retrainings in the ledger of those asked for, baselines included.
        total: Retrainings asked for, baselines included.
        failed: Failed ones among those done.
        resumed: Those done that an earlier run left in the ledger.
        seconds_left: Of the time that may be worked; None without a limit.
    """

    done: int
    total: int
    failed: int
    resumed: int
    seconds_left: float | None = None


OnProgress = Callable[[Progress], None]


class Tally:
    """Counts what is done and what failed of the tasks asked for."""

    def __init__(self, study: Study, tasks: Sequence[Task], ledger: Ledger) -> None:
        self._allowed = study.execution.max_failed_share
        self._counts = Counter(task.kind for task in tasks)
        self._done: set[TaskKey] = set()
        self._failed: set[TaskKey] = set()
        self._reasons: dict[TaskKey, str] = {}
        self.add([record for task in tasks if (record := ledger.get(task)) is not None])
        self._reasons.clear()  # failures of earlier runs are tried again
        self._resumed = len(self._done)

    def add(self, records: Sequence[Record]) -> None:
        """Count records; a later one takes the place of an earlier."""
        for record in records:
            self._done.add(record.key)
            self._failed.discard(record.key)
            self._reasons.pop(record.key, None)
            if record.status == "failed":
                self._failed.add(record.key)
            if to_retry(record):
                self._reasons[record.key] = record.reason

    def progress(self) -> Progress:
        """Return how far the work is."""
        total = sum(self._counts.values())
        return Progress(len(self._done), total, len(self._failed), self._resumed)

    def check_failures(self) -> None:
        """Check that no more retrainings failed than allowed; empty masks do not count.

        Raises:
            StudyFailed: With the most frequent reason.
        """
        for kind, count in self._counts.items():
            reasons = [reason for key, reason in self._reasons.items() if key[0] == kind]
            if len(reasons) > self._allowed * count:
                reason, times = Counter(reasons).most_common(1)[0]
                raise StudyFailed(
                    f"{len(reasons)} of {count} {_NOUNS.get(kind, 'retrainings')} failed "
                    f"(allowed: {self._allowed:.0%}), {times} of them with:\n  {reason}\n"
                    f"{self._by_segment(kind)}"
                    f"Mend the cause and run the same again: it goes on from the ledger."
                )

    def _by_segment(self, kind: Kind) -> str:
        """Say which segments the failures of one kind go with, where they go with any."""
        trained = [
            Task(*key)
            for key in self._done
            if key[0] == kind and (key in self._reasons or key not in self._failed)
        ]
        kept = np.array([task.mask(8 * len(task.packed_mask)) for task in trained])
        words = failing_segments_words(kept, np.array([t.key in self._reasons for t in trained]))
        return f"{words}\n" if words else ""


_NOUNS: dict[Kind, str] = {
    "random_policy": "evaluations of random actions",
    "baseline": "retrainings on all frames",
}
