"""Shards: what one worker does in one call, and which of them a ledger lacks."""

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
    """Tasks that one worker does in one call.

    Attributes:
        tasks: Retrainings of one kind.
        attempts: How often the most tried of them was tried before.
    """

    tasks: tuple[Task, ...]
    attempts: int = 0

    @property
    def name(self) -> str:
        """Kind and index of its first task, for logs."""
        return f"{self.tasks[0].kind}-{self.tasks[0].index}"

    def failed(self, reason: str) -> list[Record]:
        """Return records that say why the shard failed."""
        return [Record.failed(task, reason, self.attempts + 1) for task in self.tasks]


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
