"""What the service bears: requests, event streams and uploads while jobs run, and what it costs.

    python benchmarks/service_load.py [--quick]

The server and its workers have two cores, the load comes from processes on the others.
Writes `benchmarks/results/service_load.json`; takes about five minutes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil

from r2rise import Demonstrations, Study, explain
from r2rise.design.tasks import study_tasks
from r2rise.ledger.record import Record
from r2rise.results.result import versions
from r2rise.run.resolve import resolve
from r2rise_service import Client
from r2rise_service.keys import digest_of, new_secret
from r2rise_service.storage import NewDataset, NewJob, Store
from r2rise_service.storage.files import DatasetFiles

HERE = Path(__file__).parent
RESULT = HERE / "results" / "service_load.json"
EXCERPT = HERE.parent / "examples" / "cartpole-0-4.npz"
OWNER, KEY = "bench", new_secret()
WORKERS, RATE, N_JOBS, N_STREAMS, N_UPLOADS, UPLOAD_MB = 2, 200.0, 500, 100, 20, 50
LOAD_SECONDS, WAIT_SECONDS = 120, 60
"""How long a load, and a job that is to begin or end, is waited for at most."""

STUDY: dict[str, Any] = {"environment": "CartPole-v1", "masking": {"segment_length": 10}}
LONG = {**STUDY, "evaluation": {"n_episodes": 20}, "budget": {"retrainings": 96_000}}


def cores() -> tuple[list[int], list[int]]:
    """Return the cores of the server and those of the load."""
    own = sorted(os.sched_getaffinity(0))
    return own[:WORKERS], own[WORKERS:] or own


class Server:
    """`r2rise serve` in a process of its own, on its own cores."""

    def __init__(self, data: Path) -> None:
        command = [
            str(Path(sys.executable).with_name("r2rise")), "serve", "--data", str(data),
            "--port", "0", "--workers", str(WORKERS),
        ]  # fmt: skip
        with pinned(cores()[0]), data.with_suffix(".log").open("w") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        self.url = next(
            word for line in self._process.stdout for word in line.split() if "http://" in word
        )
        threading.Thread(target=self._process.stdout.read, daemon=True).start()
        self.process = psutil.Process(self._process.pid)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            assert self._process.wait(60) == 0
        finally:
            self._process.kill()


@contextmanager
def pinned(own: list[int]) -> Iterator[None]:
    """Let processes that are started meanwhile run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, own)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Load:
    """A process that puts load on the server."""

    def __init__(self, what: str, core: int, **asked: Any) -> None:
        command = [sys.executable, str(HERE / "load_generator.py"), what, json.dumps(asked)]
        with pinned([cores()[1][core % len(cores()[1])]]):
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def result(self) -> Any:
        """Wait for what it measured, but not for ever."""
        try:
            said, _ = self._process.communicate(timeout=LOAD_SECONDS)
        finally:
            self._process.kill()
        assert self._process.returncode == 0
        return json.loads(said)


class Peak:
    """Samples the resident memory of one process, and that of its short-lived children."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._done = process, threading.Event()
        self.own, self.children = 0, 0
        self._thread = threading.Thread(target=self._sample)

    def _sample(self) -> None:
        while not self._done.wait(0.02):
            self.own = max(self.own, self._process.memory_info().rss)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()


def fill(data: Path) -> tuple[list[str], str]:
    """Store 500 ended jobs and one of 2000 segments; return their ids."""
    data.mkdir(parents=True)
    store = Store(f"sqlite:///{data / 'r2rise.sqlite'}")
    store.migrate()
    store.keys.add(OWNER, "bench", ["read", "submit"], digest_of(KEY))
    files = DatasetFiles(data / "datasets")
    small = resolve(Study.parse(STUDY), Demonstrations.load(EXCERPT)).study
    ids = []
    dataset = store_dataset(store, files, Demonstrations.load(EXCERPT))
    for number in range(N_JOBS):
        labels = {"number": str(number)}
        new = NewJob(OWNER, "explain", dataset, small, 100, name=f"job {number}", labels=labels)
        ids.append(store.jobs.add(new)[0].id)
        store.jobs.set_status(
            ids[-1], "canceled", only_from=("queued",), reason="Of the benchmark."
        )
    large = store_large(store, files)
    store.close()
    return ids, large


def store_dataset(store: Store, files: DatasetFiles, demonstrations: Demonstrations) -> str:
    """Store demonstrations and return their id."""
    demonstrations.save(files.path(demonstrations.content_hash))
    facts = demonstrations.content_hash, tuple(demonstrations.lengths.tolist())
    shapes = demonstrations.obs.shape[1:], demonstrations.acts.shape[1:]
    return store.datasets.add(NewDataset(OWNER, *facts, *shapes))[0].id


def store_large(store: Store, files: DatasetFiles) -> str:
    """Store an ended job of 20 x 1000 frames and 2000 segments with random returns."""
    rng = np.random.default_rng(1)
    demonstrations = Demonstrations(
        obs=rng.normal(size=(20_020, 4)).astype(np.float32),
        acts=rng.integers(0, 2, 20_000),
        lengths=np.full(20, 1000),
    )
    asked = Study.parse({**STUDY, "budget": {"retrainings": 4096}})
    study = resolve(asked, demonstrations).study
    tasks = study_tasks(study, 2000)
    dataset = store_dataset(store, files, demonstrations)
    job = store.jobs.add(NewJob(OWNER, "explain", dataset, study, len(tasks)))[0]
    store.jobs.set_status(job.id, "running", only_from=("queued",))
    store.records.add(job.id, [Record(*task.key, rng.normal(size=20)) for task in tasks])
    store.jobs.set_status(job.id, "succeeded", only_from=("running",))
    return job.id


def under_requests(server: Server, ids: list[str], seconds: float) -> Load:
    """Start the requests."""
    return Load(
        "requests", 0, url=server.url, key=KEY, jobs=ids, rate=RATE, seconds=seconds, list_every=4
    )


def with_streams(server: Server, client: Client, ids: list[str], seconds: float) -> dict[str, Any]:
    """Measure requests while 100 streams follow ten jobs that begin and end meanwhile."""
    dataset = next(iter(client.datasets.list()))
    own_study = {**LONG, "budget": {"retrainings": 9_600}}
    jobs = [client.jobs.create(dataset, study=own_study, priority=5) for _ in range(10)]
    own = [job.id for job in jobs]
    following = Load("streams", 1, url=server.url, key=KEY, jobs=own, copies=N_STREAMS // 10)
    time.sleep(2.0)
    load = under_requests(server, ids, seconds)
    for job in jobs:
        time.sleep(seconds / 15)
        job.cancel()
    result = load.result()
    told = following.result()["states"]
    for job, copies in zip(jobs, told, strict=True):
        expected = [e.data["status"] for e in job.events() if e.type == "job.status"]
        assert expected[-1] == "canceled", expected
        result["complete_streams"] = result.get("complete_streams", 0) + copies.count(expected)
    return {**result, "streams": N_STREAMS}


def with_uploads(server: Server, data: Path, ids: list[str], folder: Path) -> dict[str, Any]:
    """Measure requests, memory and disk while 20 files of 50 MB come at once."""
    files = [str(write_upload(folder, number)) for number in range(N_UPLOADS)]
    before = server.process.memory_info().rss
    with Peak(server.process) as peak:
        load = under_requests(server, ids, 20.0)
        time.sleep(2.0)
        found = Load("uploads", 1, url=server.url, key=KEY, files=files).result()
        requests = load.result()
    left = [path.name for path in (data / "datasets").iterdir() if path.name.startswith(".")]
    return {
        "uploads": found, "memory_mb_before": before // 2**20, "memory_mb_peak": peak.own // 2**20,
        "left_on_disk": left, "requests": requests,
    }  # fmt: skip


def write_upload(folder: Path, seed: int) -> Path:
    """Write demonstrations of 50 MB that do not compress."""
    n = UPLOAD_MB * 10**6 // (64 * 4)
    obs = np.random.default_rng(seed).random((n + 1, 64), dtype=np.float32)
    path = folder / f"{seed}.npz"
    np.savez(path, obs=obs, acts=np.zeros(n, np.int8), lengths=np.array([n]))
    return path


def map_download(client: httpx2.Client, job: str, estimator: str) -> dict[str, Any]:
    """Measure downloads of a map of 2000 segments: first, of a renamed job, warm, unchanged."""
    path = f"/jobs/{job}/importance.json"

    def seconds(
        headers: dict[str, str] | None = None, status: int = 200, estimator: str | None = None
    ) -> float:
        started = time.perf_counter()
        params = {"estimator": estimator} if estimator else {}
        answer = client.get(path, headers=headers or {}, params=params)
        found = time.perf_counter() - started
        assert answer.status_code == status
        return found

    def after_change(number: int) -> float:
        client.patch(f"/jobs/{job}", json={"priority": number}).raise_for_status()
        return seconds()

    def all_at_once() -> float:
        with ThreadPoolExecutor(50) as pool:  # another estimator: that map was never asked for
            return max(pool.map(lambda _: seconds(estimator=estimator), range(50)))

    first = seconds()
    changed = [after_change(number) for number in range(1, 10)]
    warm = [seconds() for _ in range(50)]
    answer = client.get(path)
    same = [seconds({"If-None-Match": answer.headers["etag"]}, 304) for _ in range(50)]
    return {
        "first_ms": round(1000 * first, 1),
        **{
            f"{name}_ms": round(1000 * statistics.median(times), 2)
            for name, times in (("after_a_change", changed), ("warm", warm), ("not_modified", same))
        },
        "warm_max_ms": round(1000 * max(warm), 1),
        "fifty_clients_first_ms": round(1000 * all_at_once(), 1),
        "bytes": len(answer.content),
        "bytes_sent": answer.num_bytes_downloaded,
    }


def overhead(client: Client, repetitions: int, retrainings: int) -> dict[str, Any]:
    """Compare a job with the same study in the library, alternating, on the same two cores."""
    asked = {**STUDY, "budget": {"retrainings": retrainings}}
    dataset = next(one for one in client.datasets.list() if one.n_frames == 500)

    def in_the_library(seed: int) -> tuple[float, float]:
        times: list[tuple[float, int]] = []
        started = time.perf_counter()
        with pinned(cores()[0]):
            explain(
                EXCERPT,
                Study.parse({**asked, "seed": seed}),
                workers=WORKERS,
                progress=lambda p: times.append((time.perf_counter(), p.done)),
            )
        return time.perf_counter() - started, rate(times)

    def as_a_job(seed: int) -> tuple[float, float]:
        started = time.perf_counter()
        job = client.jobs.create(dataset, study={**asked, "seed": seed})
        job.wait(timeout=LOAD_SECONDS)
        seconds = time.perf_counter() - started
        times = [
            (event.created_at.timestamp(), event.progress.done)
            for event in all_events(job)
            if event.progress
        ]
        return seconds, rate(times)

    found: dict[str, list[tuple[float, float]]] = {"library": [], "service": []}
    for seed in range(repetitions):
        found["library"].append(in_the_library(seed))
        found["service"].append(as_a_job(seed))
    result: dict[str, Any] = {"retrainings": retrainings, "repetitions": repetitions}
    for name, pairs in found.items():
        result[f"{name}_seconds"] = round(statistics.median(pair[0] for pair in pairs), 2)
        result[f"{name}_per_second"] = round(statistics.median(pair[1] for pair in pairs), 1)
    result["overhead"] = round(result["library_per_second"] / result["service_per_second"] - 1, 4)
    return result


def all_events(job: Any) -> list[Any]:
    """Return all events of a job, page by page: a stream leaves out overtaken progress."""
    found: list[Any] = []
    while page := list(job._poll_events(found[-1].id if found else 0)):
        found += page
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + WAIT_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {WAIT_SECONDS} s in vain")
        time.sleep(0.2)


def rate(times: list[tuple[float, int]]) -> float:
    """Return retrainings a second from the first record on: workers start before it."""
    (first, before), (last, after) = times[0], times[-1]
    return (after - before) / (last - first)


def measure(data: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Do all of it with one server."""
    ids, large = fill(data)
    headers = {"Authorization": f"Bearer {KEY}"}
    result: dict[str, Any] = {}

    def note(name: str, measured: Callable[[], Any]) -> None:
        result[name] = measured()
        print(name, json.dumps(result[name]), flush=True)

    with (
        Server(data) as server,
        Client(url=server.url, api_key=KEY) as client,
        httpx2.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=60) as plain,
    ):
        dataset = next(one for one in client.datasets.list() if one.n_frames == 500)
        long = client.jobs.create(dataset, study=LONG)
        wait_until(lambda: client.jobs.get(long.id).progress.done > 0)
        seconds = 8.0 if quick else 30.0
        note("requests", lambda: under_requests(server, ids, seconds).result())
        note("streams", lambda: with_streams(server, client, ids, seconds))
        note("uploads", lambda: with_uploads(server, data, ids, folder))
        note("long_job", client.jobs.get(long.id).progress.model_dump)
        note("map_while_running", lambda: map_download(plain, large, "rise_normalized"))
        long.cancel()
        wait_until(lambda: not client.jobs.get(long.id).info.is_live)
        note("map", lambda: map_download(plain, large, "rise"))
        note("overhead", lambda: overhead(client, *((1, 6_400) if quick else (3, 20_000))))
    return result


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Short runs, nothing is written.")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder) / "data", Path(folder), quick=quick)
    result |= {"server_cores": len(cores()[0]), "load_average": os.getloadavg()}
    result["versions"] = versions()
    if not quick:
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
