"""One live job as the reconciler sees it: what is missing, in flight, and when it has enough."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from r2rise import Demonstrations
from r2rise.engines.pool import Work
from r2rise.ledger import Ledger, Record
from r2rise.retraining import Shard
from r2rise.runner import Tally, missing_shards
from r2rise.stopping import StoppingRule
from r2rise.tasks import study_tasks
from r2rise_service.models import JobInfo
from r2rise_service.storage.files import UNPACKED


class JobWork:
    """A job of kind `explain`: its tasks, and the records that the store holds of them.

    Args:
        job: The job.
        demonstrations: What it is about.
        ledger: Its records so far.
        folder: Where demonstrations are unpacked and flags are set.

    Attributes:
        in_flight: Shards that were submitted and have not come back.
        priority: Of the job.
    """

    def __init__(
        self, job: JobInfo, demonstrations: Demonstrations, ledger: Ledger, folder: Path
    ) -> None:
        study = job.study
        segments = demonstrations.segments(study.masking)
        tasks = study_tasks(study, len(segments))
        self.id, self.priority, self.in_flight = job.id, job.priority, 0
        self.ledger = ledger
        self._flag = folder / "canceled" / job.id
        self._flag.unlink(missing_ok=True)
        self.work = Work.of(study, demonstrations, folder / UNPACKED, self._flag)
        self._rule = StoppingRule(study, segments)
        self._tally = Tally(study, tasks, ledger)
        self._missing: Iterator[Shard] = missing_shards(
            ledger, tasks, study.execution.shard_size or 1
        )
        self._next = next(self._missing, None)
        self.canceled = False

    @property
    def has_more(self) -> bool:
        """Whether there is a shard to submit."""
        return self._next is not None and not self.canceled

    def take_shard(self) -> Shard:
        """Return the next shard to submit; ask `has_more` first."""
        shard = self._next
        if shard is None:
            raise LookupError(f"{self.id} has no shard left")
        self._next = next(self._missing, None)
        self.in_flight += 1
        return shard

    def give_back(self, records: list[Record]) -> None:
        """Take in what came of a shard.

        Raises:
            StudyFailed: When more retrainings failed than the study allows.
        """
        self.in_flight -= 1
        self.ledger.add(records)
        self._tally.add(records)
        if not self.canceled:
            self._tally.check_failures()

    def new_marks(self) -> list[int]:
        """Return the blocks of the design that are complete and have no elapsed time yet."""
        marks: list[int] = []
        self._rule.decide(self.ledger, marks.append)
        return marks

    @property
    def has_enough(self) -> bool:
        """Whether the study may stop before its budget."""
        return self._rule.decide(self.ledger) is not None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.in_flight == 0 and (self.canceled or self._next is None)

    def cancel(self) -> None:
        """Let running shards end at their next look at the flag."""
        self.canceled = True
        self._flag.parent.mkdir(parents=True, exist_ok=True)
        self._flag.touch()

    def close(self) -> None:
        """Remove the flag."""
        self._flag.unlink(missing_ok=True)


def clear_flags(folder: Path) -> None:
    """Remove the flags that an earlier server left."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "canceled")
