"""Shards: the tasks of one call of a worker, and the shards that a ledger still lacks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from r2rise.design.tasks import Task
from r2rise.ledger.ledger import Ledger
from r2rise.ledger.record import EMPTY_MASK, Record
from r2rise.study.study import Study


@dataclass(frozen=True)
class Shard:
    """The tasks that one worker does in one call.

    Attributes:
        tasks: Retrainings of one kind.
        attempts: The largest number of earlier attempts at one of them.
    """

    tasks: tuple[Task, ...]
    attempts: int = 0

    @property
    def name(self) -> str:
        """Kind and index of the first task, for logs."""
        return f"{self.tasks[0].kind}-{self.tasks[0].index}"

    def failed(self, reason: str) -> list[Record]:
        """Return a failed record for each task, all with the same reason."""
        return [Record.failed(task, reason, self.attempts + 1) for task in self.tasks]


def missing_shards(ledger: Ledger, study: Study, tasks: Sequence[Task]) -> Iterator[Shard]:
    """Yield, whole, each shard that has a task to do or to retry."""
    for shard_tasks in _shards_of_tasks(
        tasks, study.execution.shard_size or 1, study.masking.block_size or 1
    ):
        records = [ledger.get(task) for task in shard_tasks]
        if any(record is None or to_retry(record) for record in records):
            attempts = max(record.attempts if record else 0 for record in records)
            yield Shard(shard_tasks, attempts)


def _shards_of_tasks(
    tasks: Sequence[Task], size: int, block_size: int
) -> Iterator[tuple[Task, ...]]:
    """Yield the tasks of each kind, `size` masks at a time.

    The tasks of one mask at several amounts of training stay together, so that one training can
    be evaluated on the way.
    """
    for (kind, seeds), group in groupby(
        tasks, key=lambda task: (task.kind, task.seeds if task.amount else None)
    ):
        group_tasks = tuple(group)
        step = size * len({task.amount for task in group_tasks}) if seeds else size
        shards = [group_tasks[start : start + step] for start in range(0, len(group_tasks), step)]
        yield from in_mixed_order(shards, block_size) if kind == "design" else shards


def in_mixed_order(
    shards: Sequence[tuple[Task, ...]], block_size: int
) -> Iterator[tuple[Task, ...]]:
    """Yield the shards of a design block by block, each block in a random but fixed order.

    The first rows of a fold-over block alone cannot separate many of the segments. In random order,
    a block that is cut off by the time limit is a random sample of its rows.
    """
    for _, group in groupby(shards, key=lambda tasks: tasks[0].index // block_size):
        block = list(group)
        generator = np.random.default_rng(block[0][0].training_seed)
        for position in generator.permutation(len(block)):
            yield block[position]


def to_retry(record: Record) -> bool:
    """Return whether a retraining failed for a reason that another attempt may avoid."""
    return record.status == "failed" and record.reason != EMPTY_MASK
