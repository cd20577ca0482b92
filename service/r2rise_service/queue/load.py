"""What a reconciler tells about itself."""

from typing import NamedTuple


class Load(NamedTuple):
    """What a reconciler has in hand.

    Attributes:
        reconciles: Whether it moves jobs on; of several processes, one does.
        workers: Worker processes that it reaches.
        shards: Shards that they have.
    """

    reconciles: bool
    workers: int
    shards: int
