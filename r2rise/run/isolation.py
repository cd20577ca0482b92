"""Retraining in a child process, so that a timeout or a crash does not affect other work.

A black box cannot be interrupted from within its process. The child is a fresh interpreter
(`python -m r2rise.run.child`), so that it works inside daemonic workers and scripts need no
`if __name__ == "__main__"`. It exits by itself when its parent ends.
"""

import os
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Pipe
from pathlib import Path

from r2rise.algorithms import ProgressCallback
from r2rise.errors import Canceled
from r2rise.ledger.record import Record
from r2rise.run.retraining import Retrainer
from r2rise.run.shards import Shard

TIMEOUT = "timeout"

_POLL_SECONDS = 0.2
"""Interval at which the parent checks the time limit and cancellation."""


class IsolatedRetrainer:
    """Retrains in a child process, with an optional time limit; a child that died is replaced."""

    def __init__(self, packed: bytes, retrainer: Retrainer, time_limit: float | None) -> None:
        self._packed = packed
        self._retrainer = retrainer
        self._time_limit = time_limit
        self._child: _Child | None = None

    def run(self, shard: Shard, progress: ProgressCallback) -> list[Record]:
        """Do a shard's retrainings; the limit is for each, or for all if they train together."""
        if self._retrainer.trains_many:
            return self._run_in_child(shard, progress)
        single_task_shards = [replace(shard, tasks=(task,)) for task in shard.tasks]
        return [
            record
            for single in single_task_shards
            for record in self._run_in_child(single, progress)
        ]

    def _run_in_child(self, shard: Shard, progress: ProgressCallback) -> list[Record]:
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
        self._pipe, child_end = Pipe()
        self._process = subprocess.Popen(  # noqa: S603  (this interpreter, a module of this package)
            # -P: the working directory is not put first, it stays where this process has it
            [sys.executable, "-P", "-m", "r2rise.run.child", str(child_end.fileno())],
            pass_fds=[child_end.fileno()],
            env={**os.environ, "PYTHONPATH": _python_path()},
            start_new_session=True,
        )
        child_end.close()
        self._pipe.send_bytes(packed)

    def run(
        self, shard: Shard, time_limit: float | None, progress: ProgressCallback
    ) -> list[Record]:
        self._pipe.send(shard)
        self._pipe.recv()  # the child has started: the time limit does not include its imports
        started = time.monotonic()
        while not self._pipe.poll(_POLL_SECONDS):
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


def _python_path() -> str:
    """Return where this process looks for modules; an empty entry is the working directory."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
