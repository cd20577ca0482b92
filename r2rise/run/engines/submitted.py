"""What a pool has been given, and what it gives back."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from r2rise.ledger.record import Record
from r2rise.run.engines.shards import Work
from r2rise.run.shards import Shard


class Done(NamedTuple):
    """What came of a shard: its records, or none where it was canceled."""

    name: str
    shard: Shard
    records: list[Record]


@dataclass
class Submitted:
    """A shard that has not come back.

    Attributes:
        deaths: Workers that died while they ran it.
        deaths_before: Those of them that died before it got its present key.
    """

    name: str
    work: Work
    shard: Shard
    priority: int
    deaths: int = 0
    deaths_before: int = 0
    future: Any = None
