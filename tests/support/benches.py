"""A bench for the reconciler: store, files, and studies whose answers are known."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import toys

import r2rise
from r2rise import Study
from r2rise.design.tasks import study_tasks
from r2rise.run.engines.pool import DaskPool
from r2rise.run.resolve import resolve
from r2rise_service.models import JobInfo
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

    def wait_for_records(self, job: JobInfo, n: int) -> JobInfo:
        """Wait until so many retrainings of a job are done."""
        deadline = time.monotonic() + 90
        while (found := self.store.jobs.get("me", job.id)).progress.done < n:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
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
