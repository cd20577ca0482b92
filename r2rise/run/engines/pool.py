"""A pool of Dask workers for the shards of one study or several."""

import os
import queue
import signal
import time
from dataclasses import replace
from typing import Any

from r2rise.errors import Canceled, require
from r2rise.ledger.record import Record
from r2rise.run.engines.cluster import Scheduler, SchedulerLost, connect, end_local, start_local
from r2rise.run.engines.shards import Call, FolderNotSeen, Work, run_call
from r2rise.run.engines.submitted import ShardResult, Submission
from r2rise.run.shards import Shard

SHARDS_PER_WORKER = 3
DEATHS_ALLOWED = 3
"""Worker deaths on a shard after which its retrainings run in child processes."""

ISOLATED_TRIES = 5
"""How often as many more may die then: a shard in child processes did not kill its worker."""

_MAX_DEATHS = DEATHS_ALLOWED * (1 + ISOLATED_TRIES)

GRACE_SECONDS = 2.5
"""Time for a canceled shard to stop by itself before its worker process is killed."""

_POLL_SECONDS = 1.0
"""Interval at which scheduler and workers are polled."""

_RESTART_SECONDS = 20.0
"""Time for missing workers to return: the nanny of a worker killed while starting may give up."""

_FETCH_SECONDS = 10
_TROUBLE_SECONDS = 10.0
"""Time for which a problem that a worker reported counts as current."""


class DaskPool:
    """One-thread worker processes, started here or those of a scheduler.

    Shards report through Dask's events when they begin and end, so that the pool knows which worker
    runs which shard. It kills only workers that run a canceled shard, and it counts a death only
    against the shard that the worker ran, whatever the scheduler's own settings are.

    The life of a shard; each submission has a new key, and events of an old key are ignored::

        submit --> waiting --begins--> running --finished--> ShardResult(records)
                   ^  |                 |  |
                   |  | cancel          |  | cancel: it sees its flag and finishes without
                   |  v                 |  v         records; after GRACE_SECONDS its worker
                   | ShardResult([])    | ShardResult([])                  is killed
                   |                    |
                   |                    | its worker died
                   |                    v
                   +--- 1st and 2nd death: the scheduler gives it to another worker
                   +--- 3rd: a new key, each retraining in a child process, so that only the
                   |    retraining that kills its process fails
                   +--- up to the 17th: again, since the shard did not kill these workers
                        18th: ShardResult(failed records)

    Invariants: a key is in `_submissions` until its result is returned or it has another key; in
    `_running` from "begins" to "ends" or the death of its worker, also when it was canceled before
    it began; in `_canceled_at` until neither holds. Events can come late or not at all (a client
    that reconnects misses some); only the end of a future, which Dask repeats, is relied on.

    Args:
        workers: Number of workers to start on this machine, or a scheduler that has some.
        nice: How much lower than this process's the priority of started workers is.

    Attributes:
        n_workers: Worker threads at the last poll.

    Raises:
        SchedulerLost: When the scheduler does not answer.
    """

    def __init__(self, workers: int | Scheduler, *, nice: int = 0) -> None:
        require("distributed", "Running on worker processes", "dask")
        from distributed import Client

        self._cluster: Any = None
        if isinstance(workers, Scheduler):
            self._client = connect(workers)
        else:
            # the scheduler must not give up a shard before the pool does
            self._cluster = start_local(workers, nice=nice, allowed_failures=_MAX_DEATHS)
            self._client = Client(self._cluster, set_as_default=False)
        self._topic = f"r2rise-{os.urandom(8).hex()}"
        # Dask's threads only put events here; the caller's thread alone changes the state below
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._submissions: dict[str, Submission] = {}
        self._running: dict[str, str] = {}
        self._canceled_at: dict[str, float] = {}
        self._n_keys = 0
        self._folder_problem = (-_TROUBLE_SECONDS, "")
        self._n_local_workers = 0 if isinstance(workers, Scheduler) else workers
        self._last_poll, self.n_workers = 0.0, 0
        self._last_complete = time.monotonic()
        self._poll()

    @property
    def window(self) -> int:
        """Shards worth having submitted at a time: a few for each current worker thread."""
        return SHARDS_PER_WORKER * self.n_workers

    @property
    def n_in_flight(self) -> int:
        """Submitted shards without a result yet."""
        return len(self._submissions)

    @property
    def is_short(self) -> bool:
        """Whether workers that the pool started ended and did not come back."""
        return time.monotonic() - self._last_complete > _RESTART_SECONDS

    @property
    def trouble(self) -> str:
        """Why no shard can run at present; empty if shards can run."""
        if self.n_workers == 0:
            return "no worker can be reached"
        reported, reason = self._folder_problem
        return reason if time.monotonic() - reported < _TROUBLE_SECONDS else ""

    def submit(self, name: str, work: Work, shard: Shard, *, priority: int = 0) -> None:
        """Submit a shard.

        Args:
            name: The study or job of the shard, by which it can be canceled.
            work: The data that workers need.
            shard: The tasks.
            priority: Shards of higher priority run first.
        """
        self._submit(Submission(name, work, shard, priority))

    def _submit(self, submission: Submission) -> None:
        key = f"{self._topic}-{self._n_keys}"  # the topic keeps clients' keys apart
        self._n_keys += 1
        isolated = submission.deaths >= DEATHS_ALLOWED
        call = Call(key, self._topic, submission.work, submission.shard, isolated)
        future = self._client.submit(
            run_call, call, key=key, pure=False, priority=submission.priority
        )
        self._submissions[key] = replace(submission, deaths_before=submission.deaths, future=future)
        future.add_done_callback(lambda done: self._events.put({"finished": done.key}))

    def next(self, timeout: float | None = None) -> ShardResult | None:
        """Wait for the next shard to finish; return None after `timeout` seconds without one.

        Raises:
            SchedulerLost: When the scheduler was lost, and everything submitted with it.
        """
        deadline = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while True:
            if time.monotonic() - self._last_poll >= _POLL_SECONDS:
                self._poll()
            remaining = max(deadline - time.monotonic(), 0.0)
            try:
                result = self._handle(self._events.get(timeout=min(remaining, _POLL_SECONDS)))
            except queue.Empty:
                if remaining == 0.0:
                    return None
                continue
            if result is not None:
                return result

    def cancel(self, name: str) -> None:
        """Cancel all shards of a name.

        Waiting shards finish at once, without records. Running ones have to see the flag of their
        work; the worker process of one that does not is killed after `GRACE_SECONDS`.
        """
        for key, submission in list(self._submissions.items()):
            if submission.name == name and key not in self._canceled_at:
                self._canceled_at[key] = time.monotonic()
                if key not in self._running:
                    submission.future.cancel()

    def close(self) -> None:
        """End the workers that the pool started, and drop everything submitted."""
        if self._client.status == "running":
            for topic in (self._topic, "all"):  # or the scheduler sends to a client that has left
                self._client.unsubscribe_topic(topic)
        self._client.close(timeout=2)
        if self._cluster is not None:
            end_local(self._cluster, is_busy=bool(self._submissions))

    def _poll(self) -> None:
        """Count the workers, and kill those whose canceled shard did not stop in time."""
        self._last_poll = time.monotonic()
        if self._client.status != "running":
            raise SchedulerLost("the Dask scheduler was lost; trying to reach it again")
        try:
            self.n_workers = sum(self._client.nthreads().values())
        except OSError as error:
            raise SchedulerLost(f"the Dask scheduler was lost: {error}") from None
        if self.n_workers >= self._n_local_workers:
            self._last_complete = time.monotonic()
        elif self.n_workers == 0 and self.is_short:
            raise SchedulerLost("all worker processes ended and did not come back")
        # at every poll: a client that reconnected has lost its subscriptions
        self._client.subscribe_topic(self._topic, lambda event: self._events.put(event[1]))
        self._client.subscribe_topic("all", lambda event: self._events.put(event[1]))
        for key, canceled_at in list(self._canceled_at.items()):
            if self._last_poll - canceled_at >= GRACE_SECONDS:
                self._kill_worker_of(key)

    def _kill_worker_of(self, key: str) -> None:
        submission, worker = self._submissions.get(key), self._running.pop(key, None)
        if submission is not None:
            submission.future.cancel()  # or the scheduler would give the shard to another worker
        else:
            del self._canceled_at[key]
        if worker is not None:
            self._client.run(kill_worker, workers=[worker], nanny=True, on_error="ignore")

    def _handle(self, event: dict[str, Any]) -> ShardResult | None:
        """Handle an event of a shard or of the scheduler; return the result of a finished shard."""
        match event:
            case {"finished": key}:
                return self._on_finished(key)
            case {"begins": key, "worker": worker}:
                self._running[key] = worker
                if key not in self._submissions:  # it began before its cancellation arrived
                    self._canceled_at[key] = time.monotonic()
            case {"ends": key}:
                self._running.pop(key, None)
                if key not in self._submissions:
                    self._canceled_at.pop(key, None)
            case {"action": "remove-worker", "worker": worker, "expected": False}:
                for key, address in self._running.items():
                    if address == worker:  # a worker runs one shard at a time
                        return self._on_worker_death(key)
        return None

    def _on_worker_death(self, key: str) -> ShardResult | None:
        """Count a worker that died on a shard; the scheduler gives the shard to another."""
        del self._running[key]
        submission = self._submissions.get(key)
        if submission is None:
            self._canceled_at.pop(key, None)
            return None
        submission.deaths += 1
        if submission.deaths == DEATHS_ALLOWED or submission.deaths >= _MAX_DEATHS:
            # forget the key before canceling: its "finished" must not count as a lost scheduler
            del self._submissions[key]
            submission.future.cancel()
            return self._retry(key, submission)
        return None

    def _retry(self, key: str, submission: Submission) -> ShardResult | None:
        """Submit again a shard on which workers died, unless too many did or it was canceled."""
        if self._canceled_at.pop(key, None) is not None:
            return ShardResult(submission.name, submission.shard, [])
        if submission.deaths < _MAX_DEATHS:
            self._submit(submission)
            return None
        reason = f"worker_died: {submission.deaths} workers died; out of memory?"
        return ShardResult(submission.name, submission.shard, submission.shard.failed(reason))

    def _on_finished(self, key: str) -> ShardResult | None:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        submission = self._submissions.pop(key, None)
        if submission is None:
            return None  # an old key
        records: list[Record] = []
        try:
            records = submission.future.result(timeout=_FETCH_SECONDS)
        except Canceled:
            pass
        except FutureCancelledError:
            # Dask cancels a future that the pool did not cancel only when it loses the scheduler
            if key not in self._canceled_at:
                raise SchedulerLost(
                    "the Dask scheduler was lost; trying to reach it again"
                ) from None
        except KilledWorker:  # the scheduler allows fewer deaths, or their events did not arrive
            submission.deaths = max(submission.deaths, submission.deaths_before + 1)
            return self._retry(key, submission)
        except FolderNotSeen as error:
            self._folder_problem = (time.monotonic(), str(error))
            self._submit(submission)
            return None
        except TimeoutError:  # its worker died before the result was fetched: Dask runs it again
            self._submissions[key] = submission
            submission.future.add_done_callback(
                lambda done: self._events.put({"finished": done.key})
            )
            return None
        if key not in self._running:
            self._canceled_at.pop(key, None)  # otherwise its "ends" event removes it
        return ShardResult(submission.name, submission.shard, records)


def kill_worker(dask_worker: Any) -> None:
    """Kill the worker process of a nanny, which then starts another; runs in the nanny."""
    os.kill(dask_worker.pid, signal.SIGKILL)
