"""The shards that a pool has in flight, and their results."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from r2rise.ledger.record import Record
from r2rise.run.engines.shards import Work
from r2rise.run.shards import Shard


class ShardResult(NamedTuple):
    """The records of a finished shard; none if it was canceled.

    Attributes:
        name: The study or job of the shard, as given to `DaskPool.submit`.
        shard: The tasks.
        records: A record for each task, or an empty list.
    """

    name: str
    shard: Shard
    records: list[Record]


@dataclass
class Submission:
    """A shard in flight.

    Attributes:
        name: The study or job of the shard.
        work: The data that workers need.
        shard: The tasks.
        priority: Shards of higher priority run first.
        deaths: Workers that died while they ran the shard.
        deaths_before: The part of `deaths` before the shard got its present key.
        future: Dask's future of the present key.
    """

    name: str
    work: Work
    shard: Shard
    priority: int
    deaths: int = 0
    deaths_before: int = 0
    future: Any = None
