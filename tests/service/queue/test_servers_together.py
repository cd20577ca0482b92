"""Several processes on one PostgreSQL database: one moves jobs on, and another when it is gone."""

import time

import pytest
import toys
from benches import Bench, slow
from benches import without_times as plain
from places import CARTPOLE
from served import THOROUGH, without_times
from servers import Server, run

import r2rise
from r2rise_service import Client


def until(condition):
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_one_reconciler_of_two_works_and_the_other_takes_over(tmp_path, postgres_url):
    first, second = Bench(tmp_path, url=postgres_url), Bench(tmp_path, url=postgres_url)
    first.reconciler.start()
    until(lambda: first.reconciler.load().reconciles)
    second.reconciler.start()
    job = second.submit(algorithm=slow(0.05))  # accepted by the one that does not reconcile
    until(lambda: first.store.jobs.get("me", job.id).progress.done > 10)
    assert first.reconciler.load().shards
    assert second.reconciler.load() == (False, 0, 0)
    assert second.reconciler.health() == {"engine": "ok"}
    first.reconciler.stop(30)
    until(lambda: second.reconciler.load().reconciles)
    done = second.wait(job, "succeeded", "failed")
    assert (done.progress.done, done.progress.failed) == (68, 0)
    assert second.importance(done) == plain(r2rise.explain(toys.demonstrations(), done.study))
    second.stop()
    first.store.close()


@pytest.mark.slow
def test_a_server_takes_over_from_one_that_is_killed(tmp_path, postgres_url):
    run("db", "upgrade", "--database", postgres_url)
    options = ("--database", postgres_url)
    (tmp_path / "second").symlink_to(tmp_path / "data")  # one folder, two logs
    with (
        Server(tmp_path / "data", *options) as first,
        Server(tmp_path / "second", *options) as second,
        Client(url=first.url) as client,
        Client(url=second.url) as other,
    ):
        there = client.jobs.create(client.datasets.upload(CARTPOLE), study=THOROUGH)
        until(lambda: there.refresh().progress.done > 5)  # so the first one is at work
        job = other.jobs.get(there.info.id)
        assert job.info.is_live
        acknowledged = job.progress.done
        assert "this process runs the queue" not in second.log.read_text()
        first.kill()
        killed = time.monotonic()
        until(lambda: "this process runs the queue" in second.log.read_text())
        print(f"taken over after {time.monotonic() - killed:.1f} s")
        assert job.refresh().progress.done >= acknowledged
        found = job.wait(timeout=120).importance()
        assert (job.progress.done, job.progress.failed) == (job.progress.total, 0)
    assert without_times(found) == without_times(r2rise.explain(CARTPOLE, THOROUGH, workers=2))
