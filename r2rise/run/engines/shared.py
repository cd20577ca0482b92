"""One engine that several runners use in turn."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from r2rise.data.demonstrations import Demonstrations
from r2rise.ledger.record import Record
from r2rise.run.engines.base import Engine
from r2rise.run.shards import Shard
from r2rise.study.study import Study


class SharedEngine:
    """An engine that is made on first use and closed at the end of the `with` block.

    The `close` that a runner calls does nothing, so that the next runner finds the workers running.

    Args:
        make: Returns a new engine.
    """

    window = 1

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engine: Engine | None = None

    def start(self, study: Study, demonstrations: Demonstrations) -> None:
        """Make the engine if needed, and prepare it for the shards of a study."""
        if self._engine is None:
            self._engine = self._make()
        self._engine.start(study, demonstrations)
        self.window = self._engine.window

    def submit(self, shard: Shard) -> None:
        """Queue a shard."""
        self._started().submit(shard)

    def results(self) -> Iterator[list[Record]]:
        """Yield the records of each shard as it finishes."""
        return self._started().results()

    def close(self) -> None:
        """Leave the engine open for the next runner."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._engine is not None:
            self._engine.close()

    def _started(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("start the engine first")
        return self._engine
