"""What runs in a worker process: a shard, told to stop by a file, one at a time."""

import functools
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname

from r2rise.algorithms import ProgressCallback, TrainsMany, make_algorithm
from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import Canceled, R2RiseError
from r2rise.ledger.record import Record
from r2rise.run.isolation import IsolatedRetrainer
from r2rise.run.retraining import Retrains, pack, unpack_retrainer
from r2rise.run.shards import Shard
from r2rise.study.study import Study

_FLAG_SECONDS = 0.5
"""How often a running shard looks whether it was canceled."""

_SHARED_FOLDER_SECONDS = 3.0
"""What is written in a shared folder is seen by other machines a little later."""

_STUDIES_HELD = 8

_one_at_a_time = threading.Lock()
"""Retraining seeds the global generators: threads of one worker take turns."""


class FolderNotSeen(R2RiseError):
    """A worker does not see the data of the process that sends the work."""


@dataclass(frozen=True)
class Work:
    """One study's shards: what a worker needs, and where it looks whether to stop.

    Attributes:
        packed: `retraining.pack` of the study and its unpacked demonstrations.
        folder: Where these demonstrations lie.
        isolated: Whether retrainings run in a child process of the worker.
        time_limit: Seconds that one retraining may take, or None.
        flag: File whose existence cancels the work, or None.
    """

    packed: bytes
    folder: Path
    isolated: bool
    time_limit: float | None
    flag: Path | None = None

    @classmethod
    def of(
        cls, study: Study, demonstrations: Demonstrations, cache: Path, flag: Path | None = None
    ) -> "Work":
        """Unpack the demonstrations for the workers to memory-map."""
        time_limit = study.execution.time_limit
        # a black box that ends its process must not take a worker, and what that holds, with it
        black_box = not isinstance(make_algorithm(study.algorithm), TrainsMany)
        folder = demonstrations.unpack(cache).absolute()
        isolated = black_box or time_limit is not None
        return cls(pack(study, folder), folder, isolated, time_limit, flag)


@dataclass(frozen=True)
class Call:
    """A shard on its way to a worker.

    Attributes:
        key: Its name among all that the scheduler knows.
        topic: Where it is told that it begins and ends.
        work: What the worker needs.
        shard: What is to be done.
        isolated: Whether it is done in a child process, whatever `work` says.
    """

    key: str
    topic: str
    work: Work
    shard: Shard
    isolated: bool


def run_call(call: Call) -> list[Record]:
    """Run a shard in a worker process, or in a child of it, and tell when it begins and ends.

    Raises:
        Canceled: When the flag of the work is set.
        FolderNotSeen: When the demonstrations cannot be seen here.
    """
    from distributed import get_worker

    worker = get_worker()
    with _one_at_a_time:
        worker.log_event(call.topic, {"begins": call.key, "worker": worker.address})
        try:
            return _run(call.work, call.shard, call.isolated or call.work.isolated)
        finally:
            worker.log_event(call.topic, {"ends": call.key})


def _run(work: Work, shard: Shard, isolated: bool) -> list[Record]:
    progress = _until_flagged(work.flag)
    progress(0.0)
    _wait_for(work.folder)
    retrainer: Retrains = (
        _isolated(work.packed, work.time_limit) if isolated else unpack_retrainer(work.packed)
    )
    return retrainer.run(shard, progress)


def _wait_for(folder: Path) -> None:
    until = time.monotonic() + _SHARED_FOLDER_SECONDS
    while not folder.is_dir():
        if time.monotonic() > until:
            raise FolderNotSeen(
                f"the worker on {gethostname()} cannot see {folder}: mount the server's data "
                f"folder there at the same path"
            )
        time.sleep(0.2)


def _until_flagged(flag: Path | None) -> ProgressCallback:
    """Return a progress function that raises `Canceled` once the flag exists."""
    looked = -_FLAG_SECONDS

    def progress(_fraction: float) -> None:
        nonlocal looked
        now = time.monotonic()
        if flag is not None and now - looked >= _FLAG_SECONDS:
            looked = now
            if flag.exists():
                raise Canceled("told to stop")

    return progress


@functools.lru_cache(maxsize=_STUDIES_HELD)
def _isolated(packed: bytes, time_limit: float | None) -> IsolatedRetrainer:
    return IsolatedRetrainer(packed, unpack_retrainer(packed), time_limit)
