"""Jobs from the store to the map: the same as without a service, whatever happens on the way."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import learning
import pytest
import toys

import r2rise
from r2rise import Study
from r2rise.design.tasks import study_tasks
from r2rise.run.engines.pool import DaskPool
from r2rise.run.resolve import resolve
from r2rise_service.models import JobInfo
from r2rise_service.queue import reconciler
from r2rise_service.queue.reconciler import Reconciler
from r2rise_service.storage import NewDataset, NewJob, Store
from r2rise_service.storage.files import DatasetFiles

DEMONSTRATIONS = toys.demonstrations()


class Bench:
    """A store, files and a reconciler on them."""

    def __init__(
        self,
        folder: Path,
        make_pool: Callable[[], DaskPool] = lambda: DaskPool(2),
        url: str | None = None,
    ) -> None:
        self.store = Store(url or f"sqlite:///{folder / 'r2rise.sqlite'}")
        self.store.migrate()
        self.files = DatasetFiles(folder / "datasets")
        path = folder / "upload.npz"
        DEMONSTRATIONS.save(path)
        self.files.keep(path, DEMONSTRATIONS.content_hash)
        self.dataset, _ = self.store.datasets.add(
            NewDataset("me", DEMONSTRATIONS.content_hash, (40, 40), (1,), (1,))
        )
        self.reconciler = Reconciler(self.store, self.files, make_pool)

    def submit(self, priority: int = 0, **fields) -> JobInfo:
        study = study_of(**fields)
        total = len(study_tasks(study, len(DEMONSTRATIONS.segments(study.masking))))
        job, new = self.store.jobs.add(
            NewJob("me", "explain", self.dataset.id, study, total, priority=priority)
        )
        assert new
        self.reconciler.wake()
        return job

    def wait(self, job: JobInfo, *statuses: str) -> JobInfo:
        deadline = time.monotonic() + 90
        while (found := self.store.jobs.get("me", job.id)).status not in statuses:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def importance(self, job: JobInfo) -> dict:
        ledger = self.store.records.ledger(job.id, (40, 40), 8)
        return without_times(r2rise.importance_map(ledger, job.study))

    def stop(self) -> None:
        self.reconciler.stop(30)
        self.store.close()


def study_of(**fields) -> Study:
    asked = {
        "environment": "toys:OneStep",
        "algorithm": {"name": "toys:Additive", "settings": {"seed_noise": 1.0}},
        "masking": {"segment_length": 10},
        "evaluation": {"n_episodes": 2, "max_steps": 5},
        "budget": {"retrainings": 64, "baseline_retrainings": 3},
    }
    return resolve(Study.parse(asked | fields), DEMONSTRATIONS).study


def without_times(found: r2rise.ImportanceMap) -> dict:
    fields = json.loads(found.to_json())
    del fields["created_at"]
    fields.pop("stopped")
    return fields


def slow(seconds: float = 0.1) -> dict:
    return {"name": "toys:Additive", "settings": {"seed_noise": 1.0, "seconds": seconds}}


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


def test_a_study_that_stops_by_itself_ends_where_the_library_ends(bench):
    job = bench.wait(bench.submit(budget=256, until={"reliability": 0.5}), "succeeded")
    library = r2rise.explain(DEMONSTRATIONS, job.study)
    assert library.stopped.reason == "goal"
    assert bench.importance(job) == without_times(library)


def test_two_jobs_share_the_workers_and_priority_goes_first(bench):
    low = bench.submit(algorithm=slow(), priority=0)
    bench.wait(low, "running")
    high = bench.submit(algorithm=slow(), priority=5, seed=1)
    bench.wait(high, "succeeded")
    assert bench.store.jobs.get("me", low.id).status == "running"
    assert bench.wait(low, "succeeded").progress.done == 68


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


def test_no_job_waits_while_a_worker_is_idle(bench, monkeypatch):
    monkeypatch.setattr(reconciler, "_JOBS_AT_ONCE", 1)
    long = bench.submit(algorithm=slow(0.2), execution={"shard_size": 64}, seed=30)
    bench.wait(long, "running")
    bench.wait(bench.submit(seed=31), "succeeded")
    assert bench.store.jobs.get("me", long.id).status == "running"
    assert bench.wait(long, "succeeded").progress.done == 68


def test_cancel_ends_a_black_box_that_hangs_and_leaves_other_jobs_alone(bench):
    hanging = bench.submit(algorithm={"name": "toys:hangs_without_first_frame"})
    bench.wait(hanging, "running")
    time.sleep(4)  # some of its retrainings hang by now
    asked = time.monotonic()
    bench.store.jobs.set_status(hanging.id, "canceling", only_from=("queued", "running"))
    bench.reconciler.cancel(hanging.id)
    other = bench.submit(seed=2)
    bench.wait(hanging, "canceled")
    assert time.monotonic() - asked < 10
    assert bench.wait(other, "succeeded").progress.done == 68


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


def test_what_a_server_left_is_done_by_the_next_one(tmp_path):
    first = Bench(tmp_path)
    first.reconciler.start()
    job = first.submit(algorithm=slow(0.05))
    while first.store.jobs.get("me", job.id).progress.done < 20:
        time.sleep(0.02)
    first.stop()
    second = Bench(tmp_path)
    left = second.store.jobs.get("me", job.id)
    assert left.status == "running"
    assert 20 <= left.progress.done < 68
    second.reconciler.start()
    done = second.wait(job, "succeeded")
    assert second.importance(done) == without_times(r2rise.explain(DEMONSTRATIONS, done.study))
    second.stop()


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


def test_a_job_whose_training_is_open_is_checked_first_and_gives_the_librarys_map(tmp_path):
    """What is chosen is stored with the job; a server that takes over reads it from there."""
    bench = Bench(tmp_path)
    bench.reconciler.start()
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
    bench.stop()
