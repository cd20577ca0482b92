"""Jobs on the workers of a Dask scheduler, whatever happens to it and to them."""

import json
import signal
import time
from pathlib import Path

import psutil
import pytest
import toys
from benches import Bench, slow, without_times
from clusters import SchedulerProcess, WorkerProcesses, certificate

import r2rise
from r2rise.errors import InputError
from r2rise.run.engines.cluster import Scheduler
from r2rise.run.engines.pool import GRACE_SECONDS, DaskPool

OURS = toys.demonstrations()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


def scheduler_at(address: str, tls: Path | None) -> Scheduler:
    if tls is None:
        return Scheduler(address)
    cert, key = tls / "cluster_certificate", tls / "cluster_key"
    return Scheduler(address, cert, cert, key)


class Cluster:
    """A scheduler, two workers, and a reconciler that uses them."""

    def __init__(self, folder: Path, tls: Path) -> None:
        self.folder, self.tls = folder, tls
        self.scheduler = SchedulerProcess(folder, tls)
        self.workers = WorkerProcesses(folder, self.scheduler.address, tls)
        where = scheduler_at(self.scheduler.address, tls)
        self.bench = Bench(folder / "service", lambda: DaskPool(where))
        self.bench.reconciler.start()

    def health(self, expected: str) -> str:
        """Wait until the health has some words."""
        deadline = time.monotonic() + 60
        while expected not in (found := self.bench.reconciler.health()["engine"]):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def worker_processes(self) -> list[psutil.Process]:
        children = psutil.Process(self.workers.process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def stop(self) -> None:
        self.bench.stop()
        self.workers.stop()
        self.scheduler.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, tls):
    found = Cluster(tmp_path_factory.mktemp("cluster"), tls)
    yield found
    found.stop()


def library(job):
    return without_times(r2rise.explain(OURS, job.study))


@pytest.mark.slow
def test_the_map_is_that_of_the_library(cluster):
    bench = cluster.bench
    job = bench.wait(bench.submit(), "succeeded", "failed")
    assert bench.importance(job) == library(job)
    cluster.health("ok")
    assert [worker.nice() for worker in cluster.worker_processes()] == [10, 10]


@pytest.mark.slow
def test_a_lost_scheduler_is_no_cancel(cluster):
    bench = cluster.bench
    job = bench.submit(algorithm=slow(0.05), seed=1)
    bench.wait_for_records(job, 10)
    cluster.scheduler.kill()
    cluster.health("degraded: the Dask scheduler")
    assert bench.store.jobs.get("me", job.id).status == "running"
    cluster.scheduler = SchedulerProcess(cluster.folder, cluster.tls, cluster.scheduler.port)
    done = bench.wait(job, "succeeded", "failed")
    assert (done.progress.done, done.progress.failed) == (68, 0)
    assert bench.importance(done) == library(done)
    cluster.health("ok")


@pytest.mark.slow
def test_without_workers_nothing_fails(cluster):
    bench = cluster.bench
    cluster.health("ok")
    cluster.workers.stop()
    assert cluster.health("degraded") == "degraded: no worker can be reached"
    job = bench.submit(seed=2)
    bench.wait(job, "running")
    cluster.workers = WorkerProcesses(cluster.folder, cluster.scheduler.address, cluster.tls)
    done = bench.wait(job, "succeeded", "failed")
    assert bench.importance(done) == library(done)


@pytest.mark.slow
def test_cancel_ends_a_hung_worker_and_leaves_the_other_alone(cluster):
    bench = cluster.bench
    cluster.health("ok")
    before = {process.pid for process in cluster.worker_processes()}
    together = {"algorithm": {"name": "toys:HangsTogether"}, "execution": {"shard_size": 64}}
    hanging = bench.submit(**together)
    other = bench.submit(algorithm=slow(0.1), seed=4)
    bench.wait_for_records(other, 8)
    assert bench.store.jobs.get("me", hanging.id).progress.done == 4  # its baselines
    bench.store.jobs.set_status(hanging.id, "canceling", only_from=("queued", "running"))
    asked = time.monotonic()
    bench.reconciler.cancel(hanging.id)
    bench.wait(hanging, "canceled")
    print(f"canceled after {time.monotonic() - asked:.1f} s, grace {GRACE_SECONDS} s")
    done = bench.wait(other, "succeeded", "failed")
    assert bench.importance(done) == library(done)
    while len(now := {process.pid for process in cluster.worker_processes()}) < 2:
        time.sleep(0.05)
    assert len(before - now) == 1


@pytest.mark.slow
def test_a_killed_worker_comes_back_and_costs_nothing(cluster):
    bench = cluster.bench
    job = bench.submit(algorithm=slow(0.1), seed=5)
    for _ in range(2):
        done = bench.store.jobs.get("me", job.id).progress.done
        assert bench.wait_for_records(job, done + 1).status == "running"
        cluster.worker_processes()[0].kill()
    done = bench.wait(job, "succeeded", "failed")
    assert bench.importance(done) == library(done)


@pytest.mark.slow
def test_a_shard_that_kills_every_worker_fails_with_its_reason(cluster):
    bench = cluster.bench
    together = {"algorithm": {"name": "toys:DiesTogether"}, "execution": {"shard_size": 64}}
    job = bench.submit(**together)
    other = bench.submit(seed=6)
    failed = bench.wait(job, "succeeded", "failed")
    assert "worker_died: exit status -9" in (failed.error or "")
    assert bench.wait(other, "succeeded", "failed").progress.failed == 0


def test_a_certificate_of_someone_else_is_refused(cluster, tmp_path):
    other = certificate(tmp_path / "other")
    with pytest.raises(r2rise.R2RiseError, match="does not answer"):
        DaskPool(scheduler_at(cluster.scheduler.address, other))
    refused = WorkerProcesses(tmp_path, cluster.scheduler.address, other, 1, "waiting for")
    refused.stop()
    with pytest.raises(r2rise.R2RiseError, match="does not answer"):
        DaskPool(Scheduler(cluster.scheduler.address.replace("tls:", "tcp:")))


@pytest.mark.slow
def test_workers_wait_for_their_scheduler_and_end_when_told(tmp_path, tls):
    with SchedulerProcess(tmp_path, tls) as scheduler:
        address, port = scheduler.address, scheduler.port
    with WorkerProcesses(tmp_path, address, tls, 1, "waiting for the scheduler") as workers:
        with SchedulerProcess(tmp_path, tls, port):
            workers.wait_for("ready, at")
            children = psutil.Process(workers.process.pid).children(recursive=True)
        workers.wait_for("is gone")
        with SchedulerProcess(tmp_path, tls, port):
            workers.wait_for("ready, at(.|\n)*ready, at")
        workers.process.send_signal(signal.SIGINT)
        assert workers.process.wait(10) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    lines = [json.loads(line) for line in workers.log.read_text().splitlines()]
    assert {line["worker"] for line in lines if line["logger"] == "r2rise_service.worker"} == {1}
    assert [line for line in lines if "exception" in line] == []


@pytest.mark.slow
def test_a_worker_that_does_not_see_the_data_says_so(tmp_path, caplog):
    with (
        SchedulerProcess(tmp_path, None) as scheduler,
        WorkerProcesses(tmp_path, scheduler.address, None, 1),
    ):
        bench = Bench(tmp_path / "service", lambda: DaskPool(Scheduler(scheduler.address)))
        job = bench.submit()
        bench.files.unpacked(OURS.content_hash)
        seen = bench.files.folder / "unpacked"
        hidden = tmp_path / "hidden"
        bench.reconciler.start()
        bench.wait(job, "running")
        seen.rename(hidden)
        wait_for_health(bench, f"cannot see {seen}")
        assert bench.store.jobs.get("me", job.id).progress.failed == 0
        hidden.rename(seen)
        done = bench.wait(job, "succeeded", "failed")
        assert (done.status, done.progress.failed) == ("succeeded", 0)
        wait_for_health(bench, "ok")
        bench.stop()
    assert "is not encrypted" in caplog.text


def wait_for_health(bench: Bench, expected: str) -> None:
    deadline = time.monotonic() + 60
    while expected not in (found := bench.reconciler.health()["engine"]):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("address", "files", "message"),
    [
        ("head:8786", (), "Expected tls://HOST:PORT"),
        ("tls://head:8786", (), "needs three TLS files: ca, cert and key"),
        ("tcp://head:8786", (Path("a"), Path("a"), Path("a")), "write tls:// instead"),
        ("tls://head:8786", (Path("a"), Path("a"), Path("a")), "Cannot read a"),
    ],
)
def test_address_and_files_go_together(address, files, message):
    with pytest.raises(InputError, match=message):
        Scheduler(address, *files)
