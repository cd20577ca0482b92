"""Jobs from the store to the map: the same as without a service, whatever happens on the way."""

import time
from collections.abc import Iterator

import learning
import pytest
import toys
from benches import DEMONSTRATIONS, Bench, slow, study_of, without_times

import r2rise
from r2rise.run.engines.pool import DaskPool
from r2rise_service.queue import reconciler
from r2rise_service.storage import NewJob


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    found = Bench(tmp_path_factory.mktemp("service"))
    found.reconciler.start()
    yield found
    found.stop()


def test_the_map_is_that_of_the_library(bench):
    job = bench.wait(bench.submit(), "succeeded", "failed")
    assert job.status == "succeeded"
    assert (job.progress.done, job.progress.total, job.progress.failed) == (68, 68, 0)
    assert job.revision == 64
    assert bench.importance(job) == without_times(r2rise.explain(DEMONSTRATIONS, job.study))
    assert bench.reconciler.health() == {"engine": "ok"}


@pytest.mark.slow
def test_a_study_that_stops_by_itself_ends_where_the_library_ends(bench):
    job = bench.wait(bench.submit(budget=256, until={"reliability": 0.5}), "succeeded")
    library = r2rise.explain(DEMONSTRATIONS, job.study)
    assert library.stopped.reason == "goal"
    assert bench.importance(job) == without_times(library)


@pytest.mark.slow
def test_two_jobs_share_the_workers_and_priority_goes_first(bench):
    low = bench.submit(algorithm=slow(), priority=0)
    bench.wait(low, "running")
    high = bench.submit(algorithm=slow(), priority=5, seed=1)
    bench.wait(high, "succeeded")
    assert bench.store.jobs.get("me", low.id).status == "running"
    assert bench.wait(low, "succeeded").progress.done == 68


@pytest.mark.slow
def test_the_first_job_by_priority_never_waits_for_others_to_end(bench):
    low = [bench.submit(algorithm=slow(), seed=seed) for seed in range(10, 20)]
    bench.wait(low[0], "running")
    high = bench.submit(priority=5, seed=20)
    bench.wait(high, "succeeded")
    states = [bench.store.jobs.get("me", job.id).status for job in low]
    assert "succeeded" not in states
    assert states.count("running") == 8
    for job in low:
        bench.store.jobs.set_status(job.id, "canceling", only_from=("queued", "running"))
    bench.reconciler.wake()
    for job in low:
        bench.wait(job, "canceled")


@pytest.mark.slow
def test_no_job_waits_while_a_worker_is_idle(bench, monkeypatch):
    monkeypatch.setattr(reconciler, "_JOBS_AT_ONCE", 1)
    long = bench.submit(algorithm=slow(0.2), execution={"shard_size": 64}, seed=30)
    bench.wait(long, "running")
    bench.wait(bench.submit(seed=31), "succeeded")
    assert bench.store.jobs.get("me", long.id).status == "running"
    assert bench.wait(long, "succeeded").progress.done == 68


@pytest.mark.slow
def test_cancel_ends_a_black_box_that_hangs_and_leaves_other_jobs_alone(bench, tmp_path):
    hangs = tmp_path / "hangs"
    hanging = bench.submit(algorithm={"name": "toys:Hangs", "settings": {"file": str(hangs)}})
    bench.wait(hanging, "running")
    while not hangs.exists():
        assert bench.store.jobs.get("me", hanging.id).status == "running"
        time.sleep(0.05)
    asked = time.monotonic()
    bench.store.jobs.set_status(hanging.id, "canceling", only_from=("queued", "running"))
    bench.reconciler.cancel(hanging.id)
    other = bench.submit(seed=2)
    bench.wait(hanging, "canceled")
    assert time.monotonic() - asked < 10
    assert bench.wait(other, "succeeded").progress.done == 68


@pytest.mark.slow
def test_a_job_whose_retrainings_fail_says_why(bench):
    job = bench.wait(bench.submit(algorithm={"name": "toys:raises"}), "failed")
    assert "ValueError: no way" in job.error
    again = bench.submit(seed=3)
    assert bench.wait(again, "succeeded").progress.failed == 0


def test_a_job_whose_demonstrations_are_gone_fails(bench):
    other = toys.demonstrations(3)
    study = study_of().model_copy(update={"demonstrations": other.content_hash})
    job, _ = bench.store.jobs.add(NewJob("me", "explain", bench.dataset.id, study, 68))
    bench.reconciler.wake()
    assert "There is no file" in bench.wait(job, "failed").error


@pytest.mark.slow
def test_what_a_server_left_is_done_by_the_next_one(tmp_path):
    first = Bench(tmp_path)
    first.reconciler.start()
    job = first.submit(algorithm=slow(0.05))
    first.wait_for_records(job, 20)
    first.stop()
    second = Bench(tmp_path)
    left = second.store.jobs.get("me", job.id)
    assert left.status == "running"
    assert 20 <= left.progress.done < 68
    second.reconciler.start()
    done = second.wait(job, "succeeded")
    assert second.importance(done) == without_times(r2rise.explain(DEMONSTRATIONS, done.study))
    second.stop()


@pytest.mark.slow
def test_workers_that_do_not_come_back_are_started_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("r2rise.run.engines.pool._RESTART_SECONDS", 2.0)
    pools = []

    def make_pool():
        pools.append(DaskPool(1))
        return pools[-1]

    bench = Bench(tmp_path, make_pool)
    bench.reconciler.start()
    job = bench.submit(algorithm=slow(0.02))
    bench.wait(job, "running")
    pools[0]._cluster.sync(next(iter(pools[0]._cluster.workers.values())).close)
    done = bench.wait(job, "succeeded", "failed")
    assert (done.progress.done, done.progress.failed) == (68, 0)
    assert len(pools) == 2
    bench.stop()


@pytest.mark.slow
def test_a_job_whose_training_is_open_is_checked_first_and_gives_the_librarys_map(bench):
    """What is chosen is stored with the job; a server that takes over reads it from there."""
    asked = learning.study(budget=32).model_dump(mode="json")
    job = bench.submit(**{name: asked[name] for name in ("environment", "algorithm", "evaluation")},
                       budget=32)  # fmt: skip
    assert job.study.training.curve is None
    done = bench.wait(job, "succeeded", "failed")
    library = r2rise.explain(DEMONSTRATIONS, job.study)
    assert done.study == library.study
    assert (done.study.training.curve.chosen, done.study_hash) == (400, library.study_hash)
    assert bench.importance(done) == without_times(library)
    records = bench.store.records.ledger(done.id, (40, 40), 8).records("training_check")
    assert len(records) == 4 * 5
