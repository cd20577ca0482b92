"""The runner: submits shards and saves their records until the ledger has every task."""

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
from r2rise.errors import InputError
from r2rise.files import to_path
from r2rise.ledger.journal import open_ledger
from r2rise.ledger.ledger import Ledger, LedgerHeader
from r2rise.ledger.record import Record
from r2rise.limits import check_workers
from r2rise.run.clock import Clock
from r2rise.run.engines import Engine, InlineEngine, SharedEngine
from r2rise.run.progress import OnProgress, Tally
from r2rise.run.resolve import check_hash, with_identities
from r2rise.run.shards import Shard, missing_shards
from r2rise.study.study import Study


class RunsTasks(Protocol):
    """Retrains tasks of a study and keeps their records: what every analysis needs."""

    @property
    def study(self) -> Study:
        """The resolved study."""

    @property
    def segments(self) -> Segments:
        """The segments that are masked."""

    @property
    def ledger(self) -> Ledger:
        """All records so far."""

    def run(self, tasks: Sequence[Task]) -> list[Record]:
        """Retrain the tasks that the ledger lacks; return the records of all, in their order."""


class Runner:
    """Retrains the tasks of a resolved study that its ledger lacks. Use as a context manager.

    Args:
        study: The resolved study.
        demonstrations: The demonstrations of the study.
        ledger: Ledger file, or None to keep the records in memory.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.
        clock: Counts the working time, which the ledger then stores over all runs. With a limit,
            work ends with the first shard that returns after the limit.

    Raises:
        InputError: When there cannot be so many workers.
        StudyError: When the study is about other demonstrations; when its algorithm or environment
            has changed since; or when one of them has no identity, but there is a ledger file.
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
        self._path = None if ledger is None else to_path(ledger, "ledger")
        check_workers(workers)
        check_hash(study, demonstrations)
        with_identities(study, on_disk=ledger is not None)
        self.study = study
        self.demonstrations = demonstrations
        self.segments = demonstrations.segments(study.masking)
        self._workers, self._supplied_engine = workers, engine
        self._on_progress = on_progress or (lambda _: None)
        self._clock = clock
        self._engine: Engine | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        lengths = tuple(self.demonstrations.lengths.tolist())
        header = LedgerHeader(self.study.design_part(), lengths, len(self.segments))
        self._ledger_file = self._stack.enter_context(open_ledger(self._path, header))
        if self._clock is not None:
            self._clock.resume_from(self.ledger.work_seconds)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._close_engine()
        finally:
            self._stack.__exit__(error_type, error, traceback)

    @property
    def ledger(self) -> Ledger:
        """All records so far."""
        return self._ledger_file.ledger

    def _save(self, records: Sequence[Record] = ()) -> None:
        """Save records and the working time so far; at the limit the time stops counting."""
        clock, noted = self._clock, self.ledger.work_seconds
        self._ledger_file.append(records, work_seconds=clock.to_note(noted) if clock else None)

    def _is_over(self, should_stop: Callable[[], bool]) -> bool:
        time_is_up = self._clock is not None and self._clock.is_up(self.ledger.work_seconds)
        return should_stop() or time_is_up

    def run(
        self, tasks: Sequence[Task], *, should_stop: Callable[[], bool] = lambda: False
    ) -> list[Record]:
        """Retrain the tasks that the ledger lacks, a window of shards at a time, in any order.

        Args:
            tasks: The requested retrainings.
            should_stop: Called after each shard; if it returns True, shards in flight are dropped.

        Returns:
            The records of the tasks that are done, in the order of the tasks.

        Raises:
            StudyFailed: When more retrainings fail than the study allows.
        """
        tally = Tally(self.study, tasks, self.ledger)
        shards = missing_shards(self.ledger, self.study, tasks)
        first = next(shards, None)
        self._save()
        if first is not None and not self._is_over(should_stop):
            self._run_shards(chain([first], shards), tally, should_stop)
        return [record for task in tasks if (record := self.ledger.get(task)) is not None]

    def _run_shards(
        self, shards: Iterator[Shard], tally: Tally, should_stop: Callable[[], bool]
    ) -> None:
        engine = self._started_engine()
        for shard in islice(shards, engine.window):
            engine.submit(shard)
        for records in engine.results():
            self._save(records)
            tally.add(records)
            self._on_progress(replace(tally.progress(), seconds_left=self._seconds_left()))
            tally.check_failures()
            if self._is_over(should_stop):
                self._close_engine()
                return
            for shard in islice(shards, 1):
                engine.submit(shard)

    def _seconds_left(self) -> float | None:
        return None if self._clock is None else self._clock.left

    def _started_engine(self) -> Engine:
        if self._engine is None:
            engine = self._supplied_engine or make_engine(self._workers)
            self._engine = engine
            engine.start(self.study, self.demonstrations)
        return self._engine

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def shared_engine(engine: Engine | None, workers: int) -> SharedEngine:
    """Return an engine for several runners: the one given, or else a new one of that many workers.

    Raises:
        InputError: When there cannot be so many, or the engine is not one.
    """
    check_workers(workers)
    if engine is not None and not isinstance(engine, Engine):
        raise InputError(
            f"engine should have the methods of r2rise.Engine, got {type(engine).__name__}: for a "
            f"number of worker processes, give workers."
        )
    return SharedEngine(lambda: engine or make_engine(workers))


def make_engine(workers: int) -> Engine:
    """Return an engine with that many worker processes, or with 0 one in this process."""
    if workers == 0:
        return InlineEngine()
    from r2rise.run.engines.dask import DaskEngine

    return DaskEngine(workers)
