"""Running a shard in a worker process: one at a time, until a flag file cancels it."""

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
"""Interval at which a running shard checks whether it was canceled."""

_SHARED_FOLDER_SECONDS = 3.0
"""Time to wait for a folder: other machines see new files of a shared folder a little later."""

_STUDIES_HELD = 8
"""Studies whose child process and data a worker keeps, so that their shards can alternate."""

_retraining_lock = threading.Lock()
"""Retraining seeds the global generators, so that threads of one worker must take turns."""


class FolderNotSeen(R2RiseError):
    """A worker cannot see the data folder of the process that submits shards."""


@dataclass(frozen=True)
class Work:
    """The data that a worker needs for the shards of one study.

    Attributes:
        packed: `retraining.pack` of the study and its unpacked demonstrations.
        folder: Folder of these demonstrations.
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
        """Unpack the demonstrations into files that the workers memory-map."""
        time_limit = study.execution.time_limit
        # a black box that kills its process must not kill the worker, which holds other results
        black_box = not isinstance(make_algorithm(study.algorithm), TrainsMany)
        folder = demonstrations.unpack(cache).absolute()
        isolated = black_box or time_limit is not None
        return cls(pack(study, folder), folder, isolated, time_limit, flag)


@dataclass(frozen=True)
class Call:
    """A shard as it is sent to a worker.

    Attributes:
        key: Dask's key of the submission, unique on the scheduler.
        topic: Dask topic of the events that say when it begins and ends.
        work: The data that the worker needs.
        shard: The tasks.
        isolated: Whether it runs in a child process even if `work` does not ask for one.
    """

    key: str
    topic: str
    work: Work
    shard: Shard
    isolated: bool


def run_call(call: Call) -> list[Record]:
    """Run a shard in a worker process, or in a child of it, and log when it begins and ends.

    Raises:
        Canceled: When the flag of the work is set.
        FolderNotSeen: When the worker cannot see the demonstrations.
    """
    from distributed import get_worker

    worker = get_worker()
    with _retraining_lock:
        worker.log_event(call.topic, {"begins": call.key, "worker": worker.address})
        try:
            return _run(call.work, call.shard, call.isolated or call.work.isolated)
        finally:
            worker.log_event(call.topic, {"ends": call.key})


def _run(work: Work, shard: Shard, isolated: bool) -> list[Record]:
    progress = _cancel_by_flag(work.flag)
    progress(0.0)  # it may have been canceled while it waited
    _wait_for_folder(work.folder)
    retrainer: Retrains = (
        _isolated_retrainer(work.packed, work.time_limit)
        if isolated
        else unpack_retrainer(work.packed)
    )
    return retrainer.run(shard, progress)


def _wait_for_folder(folder: Path) -> None:
    deadline = time.monotonic() + _SHARED_FOLDER_SECONDS
    while not folder.is_dir():
        if time.monotonic() > deadline:
            raise FolderNotSeen(
                f"the worker on {gethostname()} cannot see {folder}: mount the server's data "
                f"folder there at the same path"
            )
        time.sleep(0.2)


def _cancel_by_flag(flag: Path | None) -> ProgressCallback:
    """Return a progress callback that raises `Canceled` once the flag exists."""
    last_check = -_FLAG_SECONDS

    def progress(_fraction: float) -> None:
        nonlocal last_check
        now = time.monotonic()
        if flag is not None and now - last_check >= _FLAG_SECONDS:
            last_check = now
            if flag.exists():
                raise Canceled("told to stop")

    return progress


@functools.lru_cache(maxsize=_STUDIES_HELD)
def _isolated_retrainer(packed: bytes, time_limit: float | None) -> IsolatedRetrainer:
    return IsolatedRetrainer(packed, unpack_retrainer(packed), time_limit)
