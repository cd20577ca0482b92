"""Retraining in a child process: one that passes its time limit or dies takes nobody with it.

A black box cannot be interrupted from within its process. The child is a fresh interpreter
(`python -m r2rise.run.child`), so that it works inside daemonic workers and scripts need no
`if __name__ == "__main__"`. It ends by itself when its parent is gone.
"""

import os
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Pipe

from r2rise.algorithms import ProgressCallback
from r2rise.errors import Canceled
from r2rise.ledger.record import Record
from r2rise.run.retraining import Retrainer
from r2rise.run.shards import Shard

TIMEOUT = "timeout"

_LOOK_SECONDS = 0.2
"""How often a parent looks whether its child is to be ended."""


class IsolatedRetrainer:
    """Retrains in a child process, under a time limit if there is one; a lost child is replaced."""

    def __init__(self, packed: bytes, retrainer: Retrainer, time_limit: float | None) -> None:
        self._packed = packed
        self._retrainer = retrainer
        self._time_limit = time_limit
        self._child: _Child | None = None

    def run(self, shard: Shard, progress: ProgressCallback) -> list[Record]:
        """Do the retrainings of a shard; the limit is for each, or for all that train together."""
        if self._retrainer.trains_many:
            return self._ask(shard, progress)
        alone = [replace(shard, tasks=(task,)) for task in shard.tasks]
        return [record for one in alone for record in self._ask(one, progress)]

    def _ask(self, shard: Shard, progress: ProgressCallback) -> list[Record]:
        progress(0.0)
        if self._child is None:
            self._child = _Child(self._packed)
        try:
            return self._child.run(shard, self._time_limit, progress)
        except Canceled:
            self.close()
            raise
        except TimeoutError:
            reason = f"{TIMEOUT}: no result after {self._time_limit:g} s"
        except (EOFError, OSError):
            reason = f"worker_died: exit status {self._child.exit_status()}; out of memory?"
        self.close()
        return shard.failed(reason)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """The parent's side of a child process."""

    def __init__(self, packed: bytes) -> None:
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            [sys.executable, "-m", "r2rise.run.child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        theirs.close()
        self._pipe.send_bytes(packed)

    def run(
        self, shard: Shard, time_limit: float | None, progress: ProgressCallback
    ) -> list[Record]:
        self._pipe.send(shard)
        self._pipe.recv()  # set up and at it: imports are not part of anybody's time limit
        started = time.monotonic()
        while not self._pipe.poll(_LOOK_SECONDS):
            progress(0.0)
            if time_limit is not None and time.monotonic() - started > time_limit:
                raise TimeoutError
        records: list[Record] = self._pipe.recv()
        return records

    def exit_status(self) -> int:
        return self._process.wait()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._pipe.close()
