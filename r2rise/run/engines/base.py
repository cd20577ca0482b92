"""What the loop needs of a place where shards run."""

from collections.abc import Iterator
from typing import Protocol

from r2rise.data.demonstrations import Demonstrations
from r2rise.ledger.record import Record
from r2rise.run.shards import Shard
from r2rise.study.study import Study


class Engine(Protocol):
    """Runs shards and hands back their records as they finish.

    Attributes:
        window: Shards worth having submitted at a time.
    """

    window: int

    def start(self, study: Study, demonstrations: Demonstrations) -> None:
        """Get ready for the shards of a resolved study; another may have been started before."""

    def submit(self, shard: Shard) -> None:
        """Take on a shard."""

    def results(self) -> Iterator[list[Record]]:
        """Yield the records of each shard as it finishes, until none is left.

        Shards may be submitted between two results.
        """

    def close(self) -> None:
        """Stop what is running and free all resources."""
