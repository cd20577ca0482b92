"""A pool of Dask workers for the shards of one study or several."""

import os
import queue
import signal
import time
from dataclasses import replace
from typing import Any

from r2rise.errors import Canceled, require
from r2rise.ledger.record import Record
from r2rise.run.engines.cluster import Scheduler, SchedulerLost, connect, start_local
from r2rise.run.engines.shards import Call, FolderNotSeen, Work, run_call
from r2rise.run.engines.submitted import Done, Submitted
from r2rise.run.shards import Shard

SHARDS_PER_WORKER = 3
DEATHS_ALLOWED = 3
"""Workers that may die on a shard before it is done in child processes."""

ISOLATED_TRIES = 5
"""How often as many more may die then: such a worker was not killed by what it ran."""

GRACE_SECONDS = 2.5
"""How long a shard that was canceled may go on before its worker process is ended."""

_POLL_SECONDS = 1.0
"""How often scheduler and workers are polled."""

_RESTART_SECONDS = 20.0
"""A nanny whose worker is killed while it starts can give up: then it does not come back."""

_FETCH_SECONDS = 10
_TROUBLE_SECONDS = 10.0
"""How long what a worker reported counts as trouble."""


class DaskPool:
    """One-thread worker processes, started here or those of a scheduler.

    Shards report through Dask's events when they begin and end, so that it is known on which worker
    a shard runs: only a worker that runs what was canceled is ended, and only deaths of a worker
    that ran a shard count against it, whatever the scheduler's own settings are.

    The life of a shard; each time it is submitted it has a new key, and what is still heard of an
    old one concerns nobody (`_on_finished`, `_on_worker_death`)::

        submit --> waiting --begins--> running --came--> Done(records)
                   ^  |                 |  |
                   |  | cancel          |  | cancel: it looks at its flag and comes without
                   |  v                 |  v         records; after GRACE_SECONDS its worker
                   | Done([])           | Done([])   is killed
                   |                    |
                   |                    | its worker died
                   |                    v
                   +--- fewer than 3 deaths: the scheduler gives it to another worker
                   +--- the 3rd: a new key, each retraining in a child process, so that only the
                   |    one that kills its process fails
                   +--- up to the 17th: again, since such a worker was not killed by what it ran
                        the 18th: Done(failed records)

    Invariants: a key is in `_submitted` until its `Done` is returned or it has another key; in
    `_running` from "begins" to "ends" or the death of its worker, also when it was given up
    before it began; in `_given_up` until neither holds. Events can come late or not at all (a
    client that connects again misses some), so that nothing waits for one: a future's end, which
    Dask repeats, decides.

    Args:
        workers: How many to start on this machine, or the scheduler that has some.
        nice: How much lower than this process's the priority of started ones is.

    Attributes:
        n_workers: Worker threads that are there now.

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
            most = DEATHS_ALLOWED * (1 + ISOLATED_TRIES)
            self._cluster = start_local(workers, nice=nice, allowed_failures=most)
            self._client = Client(self._cluster, set_as_default=False)
        self._topic = f"r2rise-{os.urandom(8).hex()}"
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._submitted: dict[str, Submitted] = {}
        self._running: dict[str, str] = {}
        self._given_up: dict[str, float] = {}
        self._n_keys = 0
        self._folder_not_seen = (-_TROUBLE_SECONDS, "")
        self._n_started = 0 if isinstance(workers, Scheduler) else workers
        self._polled, self.n_workers = 0.0, 0
        self._complete = time.monotonic()
        self._poll()

    @property
    def window(self) -> int:
        """Shards worth having submitted at a time: some for each thread that is there now."""
        return SHARDS_PER_WORKER * self.n_workers

    @property
    def n_in_flight(self) -> int:
        """Shards that have not come back yet."""
        return len(self._submitted)

    @property
    def is_short(self) -> bool:
        """Whether started workers ended and did not come back."""
        return time.monotonic() - self._complete > _RESTART_SECONDS

    @property
    def trouble(self) -> str:
        """Why nothing is done, or an empty text."""
        if self.n_workers == 0:
            return "no worker can be reached"
        reported, reason = self._folder_not_seen
        return reason if time.monotonic() - reported < _TROUBLE_SECONDS else ""

    def submit(self, name: str, work: Work, shard: Shard, *, priority: int = 0) -> None:
        """Take on a shard.

        Args:
            name: Whose shard it is.
            work: What workers need.
            shard: What is to be done.
            priority: Higher goes first.
        """
        self._submit(Submitted(name, work, shard, priority))

    def _submit(self, one: Submitted) -> None:
        key = f"{self._topic}-{self._n_keys}"  # no other client of the scheduler has such keys
        self._n_keys += 1
        call = Call(key, self._topic, one.work, one.shard, one.deaths >= DEATHS_ALLOWED)
        future = self._client.submit(run_call, call, key=key, pure=False, priority=one.priority)
        self._submitted[key] = replace(one, deaths_before=one.deaths, future=future)
        future.add_done_callback(lambda done: self._events.put({"came": done.key}))

    def next(self, timeout: float | None = None) -> Done | None:
        """Wait for a shard to come back; None after `timeout` seconds without one.

        A shard on which workers died is done again in child processes, so that only the
        retraining that kills its process fails.

        Raises:
            SchedulerLost: When the scheduler was lost, and all that was submitted with it.
        """
        until = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while True:
            if time.monotonic() - self._polled >= _POLL_SECONDS:
                self._poll()
            left = max(until - time.monotonic(), 0.0)
            try:
                done = self._handle(self._events.get(timeout=min(left, _POLL_SECONDS)))
            except queue.Empty:
                if left == 0.0:
                    return None
                continue
            if done is not None:
                return done

    def cancel(self, name: str) -> None:
        """Give up the shards of a name.

        Those that wait come back at once, without records; those that run look at their flag, and
        the worker process of one that does not is ended after a while.
        """
        for key, one in list(self._submitted.items()):
            if one.name == name and key not in self._given_up:
                self._given_up[key] = time.monotonic()
                if key not in self._running:
                    one.future.cancel()

    def close(self) -> None:
        """End the workers that were started here, and forget what was submitted."""
        if self._client.status == "running":
            for topic in (self._topic, "all"):  # or the scheduler tells a client that is gone
                self._client.unsubscribe_topic(topic)
        self._client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close()

    def _poll(self) -> None:
        """See which workers are there, and end those that run what was given up too long."""
        self._polled = time.monotonic()
        if self._client.status != "running":
            raise SchedulerLost("the Dask scheduler was lost; trying to reach it again")
        try:
            self.n_workers = sum(self._client.nthreads().values())
        except OSError as error:
            raise SchedulerLost(f"the Dask scheduler was lost: {error}") from None
        if self.n_workers >= self._n_started:
            self._complete = time.monotonic()
        elif self.n_workers == 0 and self.is_short:
            raise SchedulerLost("all worker processes ended and did not come back")
        # again and again: a client that had to connect again has lost its subscriptions
        self._client.subscribe_topic(self._topic, lambda event: self._events.put(event[1]))
        self._client.subscribe_topic("all", lambda event: self._events.put(event[1]))
        for key, since in list(self._given_up.items()):
            if self._polled - since >= GRACE_SECONDS:
                self._end_worker_of(key)

    def _end_worker_of(self, key: str) -> None:
        one, worker = self._submitted.get(key), self._running.pop(key, None)
        if one is not None:
            one.future.cancel()  # or another worker would have the shard next
        else:
            del self._given_up[key]
        if worker is not None:
            self._client.run(kill_worker, workers=[worker], nanny=True, on_error="ignore")

    def _handle(self, event: dict[str, Any]) -> Done | None:
        """Handle an event of a shard or of the scheduler; return a shard that came back."""
        match event:
            case {"came": key}:
                return self._on_finished(key)
            case {"begins": key, "worker": worker}:
                self._running[key] = worker
                if key not in self._submitted:  # it began before it heard that it was canceled
                    self._given_up[key] = time.monotonic()
            case {"ends": key}:
                self._running.pop(key, None)
                if key not in self._submitted:
                    self._given_up.pop(key, None)
            case {"action": "remove-worker", "worker": worker, "expected": False}:
                for key, place in self._running.items():
                    if place == worker:  # which runs one shard at a time
                        return self._on_worker_death(key)
        return None

    def _on_worker_death(self, key: str) -> Done | None:
        """Count a worker that died on a shard; the scheduler gives the shard to another."""
        del self._running[key]
        one = self._submitted.get(key)
        if one is None:
            self._given_up.pop(key, None)
            return None
        one.deaths += 1
        if one.deaths == DEATHS_ALLOWED or one.deaths >= DEATHS_ALLOWED * (1 + ISOLATED_TRIES):
            del self._submitted[key]
            one.future.cancel()
            return self._retry(key, one)
        return None

    def _retry(self, key: str, one: Submitted) -> Done | None:
        """Submit a shard on which workers died, unless there were too many or it was given up."""
        if self._given_up.pop(key, None) is not None:
            return Done(one.name, one.shard, [])
        if one.deaths < DEATHS_ALLOWED * (1 + ISOLATED_TRIES):
            self._submit(one)
            return None
        reason = f"worker_died: {one.deaths} workers died; out of memory?"
        return Done(one.name, one.shard, one.shard.failed(reason))

    def _on_finished(self, key: str) -> Done | None:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        one = self._submitted.pop(key, None)
        if one is None:
            return None  # submitted again under another key
        records: list[Record] = []
        try:
            records = one.future.result(timeout=_FETCH_SECONDS)
        except Canceled:
            pass
        except FutureCancelledError:
            if key not in self._given_up:
                raise SchedulerLost(
                    "the Dask scheduler was lost; trying to reach it again"
                ) from None
        except KilledWorker:  # the scheduler allows fewer deaths, or did not tell of them
            one.deaths = max(one.deaths, one.deaths_before + 1)
            return self._retry(key, one)
        except FolderNotSeen as error:
            self._folder_not_seen = (time.monotonic(), str(error))
            self._submit(one)
            return None
        except TimeoutError:  # its worker died before it was fetched: it is done again
            self._submitted[key] = one
            one.future.add_done_callback(lambda done: self._events.put({"came": done.key}))
            return None
        if key not in self._running:
            self._given_up.pop(key, None)
        return Done(one.name, one.shard, records)


def kill_worker(dask_worker: Any) -> None:
    """End the worker process of a nanny, which starts another; runs in the nanny."""
    os.kill(dask_worker.pid, signal.SIGKILL)
