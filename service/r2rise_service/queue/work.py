"""One live job as the reconciler sees it: what is missing, in flight, and what came of it.

A job asks its question. Tasks that are missing make a stage of shards; when all of them are back it
asks again. It is done when the question is answered.
"""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from r2rise.design.tasks import TaskKey
from r2rise.ledger.ledger import Ledger
from r2rise.ledger.record import Record
from r2rise.results.result import Result
from r2rise.run.clock import Clock
from r2rise.run.engines.shards import Work
from r2rise.run.progress import Tally
from r2rise.run.shards import Shard, missing_shards
from r2rise.statistics.stopping import StoppingRule, check_time_sufficed
from r2rise.study.study import Study
from r2rise_service.models import JobInfo
from r2rise_service.queue.questions import Question
from r2rise_service.queue.stored import Missing, StoredRunner, Wanted


class _Submitted(NamedTuple):
    """Whose shard it is, and who counts its failures."""

    runner: StoredRunner
    tally: Tally


class JobWork:
    """A live job: its question, and the shards of the stage that it is in.

    Args:
        job: The job.
        question: What it asks of its runners.
        runners: One for each of its learners.
        works: What workers need of each learner.
        flag: File that tells running shards to end.
        ending: When a study has enough, for jobs that may end early.

    Attributes:
        priority: Of the job.
        total: Retrainings asked for so far, baselines included.
        answered: Whether the question was answered.
        result: The answer, for kinds that have one.
        canceled: Whether what is left is given up.
    """

    def __init__(
        self,
        job: JobInfo,
        question: Question,
        runners: Sequence[StoredRunner],
        works: Sequence[Work],
        flag: Path,
        ending: "Ending | None" = None,
    ) -> None:
        self.id, self.priority, self.total = job.id, job.priority, job.progress.total
        self._question, self._runners, self._works = question, runners, works
        self._flag, self._ending = flag, ending
        self._flag.unlink(missing_ok=True)
        self._in_flight: dict[Shard, _Submitted] = {}
        self._tallies: set[Tally] = set()
        self._stage: Iterator[tuple[Shard, _Submitted]] = iter(())
        self._next: tuple[Shard, _Submitted] | None = None
        self.answered = self.canceled = False
        self.result: Result | None = None

    def ask(self) -> None:
        """Ask the question: it is answered, or a stage of shards begins.

        Raises:
            R2RiseError: When there is no answer, whatever would be retrained.
        """
        try:
            self.result = self._question()
            self.answered = True
        except Missing as missing:
            self._stage = _shards(missing.wanted)
            self._tallies.clear()
            self._next = next(self._stage, None)
            self.total = max(self.total, sum(len(runner.asked) for runner in self._runners))

    @property
    def in_flight(self) -> int:
        """Shards that were submitted and have not come back."""
        return len(self._in_flight)

    @property
    def has_more(self) -> bool:
        """Whether there is a shard to submit."""
        return self._next is not None and not self.canceled

    @property
    def is_idle(self) -> bool:
        """Whether nothing can be done before the question is asked again."""
        return not self._in_flight and not self.has_more

    def take_shard(self) -> tuple[Work, Shard]:
        """Return the next shard to submit, and whose it is; look at `has_more` first."""
        if self._next is None:
            raise LookupError(f"{self.id} has no shard left")
        shard, submitted = self._next
        self._next = next(self._stage, None)
        self._in_flight[shard] = submitted
        return self._works[submitted.runner.part], shard

    def part_of(self, shard: Shard) -> int:
        """Return the number of the learner that a shard in flight belongs to."""
        return self._in_flight[shard].runner.part

    def take_in(self, shard: Shard, records: list[Record]) -> dict[int, float]:
        """Take in what came of a shard; nothing did where it was canceled or lost.

        Returns:
            The times to be stored with the records, as `Ledger.add`.
        """
        runner, tally = self._in_flight.pop(shard)
        tally.add(records)
        self._tallies.add(tally)
        return runner.add(records, worked=self._ending.worked if self._ending else None)

    def may_stop(self) -> bool:
        """Say whether the study has enough before its budget is spent.

        Raises:
            StudyFailed: When more retrainings failed than the study allows.
            NotReady: When time is up, and there is not enough for a map.
        """
        for tally in self._tallies:
            tally.check_failures()
        return self._ending is not None and self._ending.has_enough()

    def cancel(self) -> None:
        """Let running shards end at their next look at the flag."""
        self.canceled = True
        self._flag.parent.mkdir(parents=True, exist_ok=True)
        self._flag.touch()

    def close(self) -> None:
        """Remove the flag."""
        self._flag.unlink(missing_ok=True)


class Ending:
    """When a study has enough, and how long it was worked on, over all servers.

    Args:
        study: The resolved study.
        rule: When it has enough.
        ledger: Its records.
    """

    def __init__(self, study: Study, rule: StoppingRule, ledger: Ledger) -> None:
        self._study, self._rule, self._ledger = study, rule, ledger
        self._clock = Clock(study.until.seconds)
        self._clock.resume_from(ledger.worked)

    @property
    def worked(self) -> float | None:
        """Seconds of work until now; None once the limit is reached, where time stands still.

        It stands still because whoever reads the ledger later has to come to the same end.
        """
        limit = self._clock.limit
        is_up = limit is not None and self._ledger.worked >= limit
        return None if is_up else self._clock.worked

    def has_enough(self) -> bool:
        """Say whether the study may stop before its budget.

        Raises:
            NotReady: When it has to, as time is up, and has not enough for a map.
        """
        stop = self._rule.decide(self._ledger)
        check_time_sufficed(stop, self._study, self._ledger)
        return stop is not None


def _shards(wanted: Sequence[Wanted]) -> Iterator[tuple[Shard, _Submitted]]:
    """Yield the shards of a stage, each task's once; whole ones, as the library makes them."""
    begun: set[tuple[int, TaskKey]] = set()
    for runner, tasks in wanted:
        tally = Tally(runner.study, tasks, runner.ledger)
        tried = (runner.ledger.get(task) for task in tasks if task.key in runner.tried)
        tally.add([record for record in tried if record is not None])
        for shard in missing_shards(runner.ledger, runner.study, tasks):
            keys = {(runner.part, task.key) for task in shard.tasks if runner.lacks(task)}
            if not keys <= begun:
                begun |= keys
                yield shard, _Submitted(runner, tally)


def clear_flags(folder: Path) -> None:
    """Remove the flags that an earlier server left."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "canceled")
