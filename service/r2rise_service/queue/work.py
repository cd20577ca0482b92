"""The work of one live job: which tasks are missing or in flight, and the result.

A job asks its question. Missing tasks make a stage of shards; when all of them are back, the
question is asked again. The job is done when the question is answered.
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
from r2rise_service.queue.stored import MissingTasks, StoredRunner, TaskRequest


class _ShardOwner(NamedTuple):
    """The runner that a shard belongs to, and the tally that counts its failures."""

    runner: StoredRunner
    tally: Tally


class JobWork:
    """A live job: its question, and the shards of its current stage.

    Args:
        job: The job.
        question: What the job asks its runners.
        runners: One runner for each learner.
        learner_works: What workers need, for each learner.
        cancel_flag: File whose existence ends running shards.
        early_stopping: Decides when a study has enough; None for jobs that cannot end early.

    Attributes:
        priority: Priority of the job.
        total: Retrainings requested so far, baselines included.
        answered: Whether the question was answered.
        result: The answer; None for kinds without one.
        canceled: Whether the rest of the work is given up.
    """

    def __init__(
        self,
        job: JobInfo,
        question: Question,
        runners: Sequence[StoredRunner],
        learner_works: Sequence[Work],
        cancel_flag: Path,
        early_stopping: "EarlyStopping | None" = None,
    ) -> None:
        self.id, self.priority, self.total = job.id, job.priority, job.progress.total
        self._question, self._runners, self._learner_works = question, runners, learner_works
        self._cancel_flag, self._early_stopping = cancel_flag, early_stopping
        self._cancel_flag.unlink(missing_ok=True)
        self._in_flight: dict[Shard, _ShardOwner] = {}
        self._tallies: set[Tally] = set()
        self._stage: Iterator[tuple[Shard, _ShardOwner]] = iter(())
        # The stage is lazy: the shard after the last submitted one is held here, so that
        # `has_more` knows whether there is one.
        self._next: tuple[Shard, _ShardOwner] | None = None
        self.answered = self.canceled = False
        self.result: Result | None = None

    def ask(self) -> None:
        """Ask the question: either it is answered, or a new stage of shards begins.

        Raises:
            R2RiseError: When there is no answer, and no retraining could give one.
        """
        try:
            self.result = self._question()
            self.answered = True
        except MissingTasks as missing:
            self._stage = _stage_shards(missing.requests)
            self._tallies.clear()  # each stage has its own tallies, one for each request
            self._next = next(self._stage, None)
            self.total = max(self.total, sum(len(runner.requested) for runner in self._runners))

    @property
    def in_flight(self) -> int:
        """Number of shards that were submitted and have not come back."""
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
        """Return the next shard to submit, with the work of its learner.

        Raises:
            LookupError: When there is none; check `has_more` first.
        """
        if self._next is None:
            raise LookupError(f"{self.id} has no shard left")
        shard, owner = self._next
        self._next = next(self._stage, None)
        self._in_flight[shard] = owner
        return self._learner_works[owner.runner.part], shard

    def part_of(self, shard: Shard) -> int:
        """Return the number of the learner that a shard in flight belongs to."""
        return self._in_flight[shard].runner.part

    def add_records(self, shard: Shard, records: list[Record]) -> dict[int, float]:
        """Add the records of a shard, which is then no longer in flight.

        Args:
            shard: A shard in flight.
            records: Its records; empty when it was canceled or lost.

        Returns:
            The times to be stored with the records, as `Ledger.add`.
        """
        runner, tally = self._in_flight.pop(shard)
        tally.add(records)
        self._tallies.add(tally)
        work_seconds = self._early_stopping.worked if self._early_stopping else None
        return runner.add(records, work_seconds=work_seconds)

    def may_stop(self) -> bool:
        """Say whether the study has enough before its budget is spent.

        Raises:
            StudyFailed: When more retrainings failed than the study allows.
            NotReady: When time is up, and there is not enough for a map.
        """
        for tally in self._tallies:
            tally.check_failures()
        return self._early_stopping is not None and self._early_stopping.has_enough()

    def cancel(self) -> None:
        """Give up the rest of the work; running shards end when they next check the flag."""
        self.canceled = True
        self._cancel_flag.parent.mkdir(parents=True, exist_ok=True)
        self._cancel_flag.touch()

    def close(self) -> None:
        """Remove the cancel flag."""
        self._cancel_flag.unlink(missing_ok=True)


class EarlyStopping:
    """Decides when a study has enough, and counts its seconds of work over all servers.

    Args:
        study: The resolved study.
        rule: Decides from the ledger whether the study has enough.
        ledger: Records of the study.
    """

    def __init__(self, study: Study, rule: StoppingRule, ledger: Ledger) -> None:
        self._study, self._rule, self._ledger = study, rule, ledger
        self._clock = Clock(study.until.seconds)
        self._clock.resume_from(ledger.work_seconds)

    @property
    def worked(self) -> float | None:
        """Seconds of work to note with what comes now, as `Clock.to_note`."""
        return self._clock.to_note(self._ledger.work_seconds)

    def has_enough(self) -> bool:
        """Say whether the study may stop before its budget is spent.

        Raises:
            NotReady: When time is up, and there is not enough for a map.
        """
        stop = self._rule.decide(self._ledger)
        check_time_sufficed(stop, self._study, self._ledger)
        return stop is not None


def _stage_shards(requests: Sequence[TaskRequest]) -> Iterator[tuple[Shard, _ShardOwner]]:
    """Yield the shards of a stage, with each missing task at least once.

    Shards are whole, as the library makes them, even when some of their tasks are already done.
    """
    scheduled: set[tuple[int, TaskKey]] = set()
    for runner, tasks in requests:
        tally = Tally(runner.study, tasks, runner.ledger)
        # A new tally forgives stored failures, as they are tried again. Failures among the tasks
        # that this runner attempted are final, so they count.
        attempted = (runner.ledger.get(task) for task in tasks if task.key in runner.attempted)
        tally.add([record for record in attempted if record is not None])
        for shard in missing_shards(runner.ledger, runner.study, tasks):
            keys = {(runner.part, task.key) for task in shard.tasks if runner.is_missing(task)}
            # Requests may share tasks (a transfer asks a learner about several maps). A shard
            # whose missing tasks are all scheduled would only repeat them.
            if not keys <= scheduled:
                scheduled |= keys
                yield shard, _ShardOwner(runner, tally)


def clear_cancel_flags(folder: Path) -> None:
    """Remove the cancel flags that an earlier server left in a folder of demonstrations."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "canceled")
