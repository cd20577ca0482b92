"""The interface between the runner and the places where shards run."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from r2rise.data.demonstrations import Demonstrations
from r2rise.ledger.record import Record
from r2rise.run.shards import Shard
from r2rise.study.study import Study


@runtime_checkable
class Engine(Protocol):
    """Runs shards and returns their records as they finish.

    Attributes:
        window: Shards worth having submitted at a time.
    """

    window: int

    def start(self, study: Study, demonstrations: Demonstrations) -> None:
        """Prepare for the shards of a resolved study, which may follow another study."""

    def submit(self, shard: Shard) -> None:
        """Queue a shard."""

    def results(self) -> Iterator[list[Record]]:
        """Yield the records of each shard as it finishes, until no shard is left.

        Shards may be submitted between two results. A canceled shard yields no records.
        """

    def close(self) -> None:
        """Stop what is running and free all resources."""
