"""The runner: shards out, records in, until the ledger holds what was asked for."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.segments import Segments
from r2rise.design.seeds import Kind
from r2rise.design.tasks import Key, Task
from r2rise.errors import StudyFailed
from r2rise.ledger.journal import open_ledger
from r2rise.ledger.ledger import EMPTY_MASK, SO_FAR, Ledger, LedgerHeader, Record
from r2rise.run.clock import Clock
from r2rise.run.engines import Engine, InlineEngine
from r2rise.run.resolve import check_hash, identified
from r2rise.run.retraining import Shard
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
            self._clock.go_on_from(self.ledger.worked)
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

    def mark(self, block: int = SO_FAR) -> None:
        """Note in the ledger how long it was worked until a block was complete, or until now."""
        if self._clock is not None:
            self._book.mark(block, self._clock.worked)

    def _is_over(self, enough: Callable[[], bool]) -> bool:
        time_is_up = self._time_is_up()
        return enough() or time_is_up

    def _time_is_up(self) -> bool:
        """Say what the ledger says: whoever reads it later has to come to the same end."""
        limit = self._clock.limit if self._clock is not None else None
        if limit is None or self.ledger.worked < limit:
            self.mark()
        return limit is not None and self.ledger.worked >= limit

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
            self._book.append(records)
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


def missing_shards(ledger: Ledger, study: Study, tasks: Sequence[Task]) -> Iterator[Shard]:
    """Yield the shards with tasks that the ledger lacks or that failed, each as a whole."""
    for own in _cut(tasks, study.execution.shard_size or 1, study.masking.block_size or 1):
        held = [ledger.get(task) for task in own]
        if any(record is None or to_retry(record) for record in held):
            attempts = max(record.attempts if record else 0 for record in held)
            yield Shard(own, attempts)


def _cut(tasks: Sequence[Task], size: int, block_size: int) -> Iterator[tuple[Task, ...]]:
    """Yield the tasks of each kind, `size` masks at a time; a mask's amounts stay together."""
    for (kind, path), group in groupby(
        tasks, key=lambda task: (task.kind, task.seeds if task.amount else None)
    ):
        of_kind = tuple(group)
        step = size * len({task.amount for task in of_kind}) if path else size
        whole = [of_kind[start : start + step] for start in range(0, len(of_kind), step)]
        yield from in_mixed_order(whole, block_size) if kind == "design" else whole


def in_mixed_order(
    shards: Sequence[tuple[Task, ...]], block_size: int
) -> Iterator[tuple[Task, ...]]:
    """Yield the shards of a design block by block, those of a block in an order of their own.

    The first rows of a fold-over block tell many segments apart only together; a block that is cut
    off should be a sample of its rows.
    """
    for _, group in groupby(shards, key=lambda tasks: tasks[0].index // block_size):
        block = list(group)
        generator = np.random.default_rng(block[0][0].training_seed)
        for position in generator.permutation(len(block)):
            yield block[position]


def to_retry(record: Record) -> bool:
    """Say whether a retraining failed in a way that another try may mend."""
    return record.status == "failed" and record.reason != EMPTY_MASK


class Tally:
    """Counts what is done and what failed of the tasks asked for."""

    def __init__(self, study: Study, tasks: Sequence[Task], ledger: Ledger) -> None:
        self._allowed = study.execution.max_failed_share
        self._counts = Counter(task.kind for task in tasks)
        self._done: set[Key] = set()
        self._failed: set[Key] = set()
        self._reasons: dict[Key, str] = {}
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
