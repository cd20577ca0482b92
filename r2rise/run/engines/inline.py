"""Runs shards one after another in this process."""

from collections import deque
from collections.abc import Iterator

from r2rise.data.demonstrations import Demonstrations
from r2rise.files import cache_folder
from r2rise.ledger.record import Record
from r2rise.run.isolation import IsolatedRetrainer
from r2rise.run.retraining import Retrainer, keep_going, pack
from r2rise.run.shards import Shard
from r2rise.study.study import Study


class InlineEngine:
    """Runs shards in this process, or in a child process if the study sets a time limit."""

    window = 1

    def __init__(self) -> None:
        self._waiting: deque[Shard] = deque()
        self._retrainer: Retrainer | IsolatedRetrainer | None = None

    def start(self, study: Study, demonstrations: Demonstrations) -> None:
        """Load environment and algorithm, and free those of an earlier study."""
        self.close()
        retrainer = Retrainer(study, demonstrations)
        self._retrainer = retrainer
        if study.execution.time_limit is not None:
            packed = pack(study, demonstrations.unpack(cache_folder()))
            self._retrainer = IsolatedRetrainer(packed, retrainer, study.execution.time_limit)

    def submit(self, shard: Shard) -> None:
        """Queue a shard."""
        self._waiting.append(shard)

    def results(self) -> Iterator[list[Record]]:
        """Run the queued shards in order and yield their records."""
        while self._waiting and self._retrainer is not None:
            yield self._retrainer.run(self._waiting.popleft(), keep_going)

    def close(self) -> None:
        """Close the environments, or end the child process."""
        if self._retrainer is not None:
            self._retrainer.close()
