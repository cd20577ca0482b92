"""The runner: shards out, records in, until the ledger holds what was asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.segments import Segments
from r2rise.design.tasks import Task
from r2rise.ledger.journal import open_ledger
from r2rise.ledger.ledger import Ledger, LedgerHeader
from r2rise.ledger.record import Record
from r2rise.run.clock import Clock
from r2rise.run.engines import Engine, InlineEngine
from r2rise.run.progress import OnProgress, Tally
from r2rise.run.resolve import check_hash, identified
from r2rise.run.shards import Shard, missing_shards
from r2rise.study.study import Study


class RunsTasks(Protocol):
    """What a question about a study needs: somebody who has tasks done and keeps the records."""

    @property
    def study(self) -> Study:
        """The resolved study."""

    @property
    def segments(self) -> Segments:
        """What is masked."""

    @property
    def ledger(self) -> Ledger:
        """All records so far."""

    def run(self, tasks: Sequence[Task]) -> list[Record]:
        """Have done what the ledger lacks, and return the records of the tasks in their order."""


class Runner:
    """Does the tasks of a resolved study that its ledger lacks. Use it as a context manager.

    Args:
        study: The resolved study.
        demonstrations: Its demonstrations.
        ledger: Ledger file, or None to keep the records in memory.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.
        clock: Counts the work, which the ledger then keeps over all runs. Where it has a limit,
            work ends with the shard that is the first to come back after it.

    Raises:
        StudyError: When the study is about other demonstrations, its algorithm or environment has
            changed since, or cannot be told from a changed one in a ledger file.
        LedgerError: On entering, when the ledger is in use, damaged or of another design.
    """

    def __init__(
        self,
        study: Study,
        demonstrations: Demonstrations,
        *,
        ledger: str | Path | None = None,
        workers: int = 0,
        engine: Engine | None = None,
        on_progress: OnProgress | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_hash(study, demonstrations)
        identified(study, on_disk=ledger is not None)
        self.study = study
        self.demonstrations = demonstrations
        self.segments = demonstrations.segments(study.masking)
        self._path = Path(ledger) if ledger is not None else None
        self._workers, self._own_engine = workers, engine
        self._on_progress = on_progress or (lambda _: None)
        self._clock = clock
        self._engine: Engine | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        lengths = tuple(self.demonstrations.lengths.tolist())
        header = LedgerHeader(self.study.design_part(), lengths, len(self.segments))
        self._book = self._stack.enter_context(open_ledger(self._path, header))
        if self._clock is not None:
            self._clock.go_on_from(self.ledger.work_seconds)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._close_engine()
        finally:
            self._stack.__exit__(kind, error, trace)

    @property
    def ledger(self) -> Ledger:
        """All records so far."""
        return self._book.ledger

    def _take_in(self, records: Sequence[Record] = ()) -> None:
        """Keep records and how long it was worked until now; at its limit time stands still."""
        clock = None if self._time_is_up else self._clock
        self._book.append(records, work_seconds=None if clock is None else clock.worked)

    @property
    def _time_is_up(self) -> bool:
        """By the ledger, not the clock: whoever reads it later has to come to the same end."""
        limit = self._clock.limit if self._clock is not None else None
        return limit is not None and self.ledger.work_seconds >= limit

    def _is_over(self, enough: Callable[[], bool]) -> bool:
        return enough() or self._time_is_up

    def run(
        self, tasks: Sequence[Task], *, enough: Callable[[], bool] = lambda: False
    ) -> list[Record]:
        """Retrain what the ledger lacks, a window of shards at a time, in whatever order they end.

        Args:
            tasks: What is asked for.
            enough: Called after each shard; what is then in flight is given up when it says so.

        Returns:
            The records of the tasks, in their order, as far as they were done.

        Raises:
            StudyFailed: When more retrainings fail than the study allows.
        """
        tally = Tally(self.study, tasks, self.ledger)
        shards = missing_shards(self.ledger, self.study, tasks)
        first = next(shards, None)
        self._take_in()
        if first is not None and not self._is_over(enough):
            self._run_shards(chain([first], shards), tally, enough)
        return [record for task in tasks if (record := self.ledger.get(task)) is not None]

    def _run_shards(
        self, waiting: Iterator[Shard], tally: "Tally", enough: Callable[[], bool]
    ) -> None:
        engine = self._started_engine()
        for shard in islice(waiting, engine.window):
            engine.submit(shard)
        for records in engine.results():
            self._take_in(records)
            tally.add(records)
            self._on_progress(replace(tally.progress(), seconds_left=self._seconds_left()))
            tally.check_failures()
            if self._is_over(enough):
                self._close_engine()
                return
            for shard in islice(waiting, 1):
                engine.submit(shard)

    def _seconds_left(self) -> float | None:
        return None if self._clock is None else self._clock.left

    def _started_engine(self) -> Engine:
        if self._engine is None:
            engine = self._own_engine or make_engine(self._workers)
            self._engine = engine
            engine.start(self.study, self.demonstrations)
        return self._engine

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def make_engine(workers: int) -> Engine:
    """Return the engine for a number of worker processes; 0 is this process."""
    if workers == 0:
        return InlineEngine()
    from r2rise.run.engines.dask import DaskEngine

    return DaskEngine(workers)
