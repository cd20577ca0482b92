"""A server without processes: the real application, store and files, and a real small study."""

import functools
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from places import CARTPOLE
from starlette.testclient import TestClient

from r2rise import Demonstrations, ImportanceMap, Study
from r2rise.design.tasks import study_tasks
from r2rise.run.resolve import resolve
from r2rise.run.retraining import unpack_retrainer
from r2rise.run.runner import Runner
from r2rise_service.api.app import create_app
from r2rise_service.models import JobInfo, Problem
from r2rise_service.queue.admission import make_job_work
from r2rise_service.queue.reconciler import Load
from r2rise_service.settings import Settings
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles

OPERATOR = "the token of the operator file"
URL = "http://127.0.0.1:8000"
STUDY = {
    "environment": "CartPole-v1",
    "algorithm": {"name": "bc", "settings": {"n_updates": 10}},
    "masking": {"segment_length": 100},
    "evaluation": {"n_episodes": 2, "max_steps": 30},
    "budget": {"retrainings": 32, "baseline_retrainings": 2},
    "seed": 3,
}


@dataclass
class Recorder:
    """Stands where the reconciler does, and notes what it is told."""

    woken: int = 0
    canceled: list[str] = field(default_factory=list)
    engine: str = "ok"

    def wake(self) -> None:
        self.woken += 1

    def cancel(self, job_id: str) -> None:
        self.canceled.append(job_id)

    def health(self) -> dict[str, str]:
        return {"engine": self.engine}

    def load(self) -> Load:
        return Load(reconciles=True, workers=3, shards=5)


class Server:
    """The application with everything it uses."""

    def __init__(self, folder: Path, **settings):
        self.settings = Settings(data=folder, **settings)
        self.store = Store(self.settings.database_url)
        self.store.migrate()
        self.files = DatasetFiles(self.settings.datasets)
        self.reconciler = Recorder()
        self.app = create_app(
            self.settings, self.store, self.files, self.reconciler, operator_token=OPERATOR
        )
        self.client = self.connect()

    def connect(self, secret: str | None = None, address: str = "127.0.0.1") -> TestClient:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return TestClient(
            self.app,
            base_url=f"{URL}/api/v1",
            headers=headers,
            client=(address, 50000),
            raise_server_exceptions=False,
        )

    def upload(self, client: TestClient | None = None, **data):
        with CARTPOLE.open("rb") as file:
            return (client or self.client).post("/datasets", files={"file": file}, data=data)

    def submit(self, client: TestClient | None = None, **parts):
        body = {"study": {**STUDY, "demonstrations": cartpole().content_hash}, **parts}
        return (client or self.client).post("/jobs", json=body)

    def job(self) -> JobInfo:
        """A queued job of uploaded demonstrations."""
        assert self.upload().status_code in (200, 201)
        return JobInfo.model_validate(self.submit().json())

    def work(self, job: JobInfo, n_records: int | None = None) -> None:
        """Do what the reconciler would, as far as it is asked."""
        self.store.jobs.set_status(job.id, "running", only_from=("queued",))
        self.store.records.add(job.id, records()[:n_records])
        if n_records is None:
            self.store.jobs.set_status(job.id, "succeeded", only_from=("running",))

    def explained(self, **study) -> JobInfo:
        """A job that has a map, of which all was done here."""
        assert self.upload().status_code in (200, 201)
        body = {**STUDY, **study, "demonstrations": cartpole().content_hash}
        return self.done(self.submit(study=body).json()["id"])

    def done(self, job_id: str) -> JobInfo:
        """Do all that a queued job asks for, in this process."""
        job = self.store.jobs.start(job_id)
        work = make_job_work(job, self.store, self.files)
        while not work.answered:
            work.ask()
            self.store.jobs.grow_total(job_id, work.total)
            while work.has_more:
                own, shard = work.take_shard()
                found = unpack_retrainer(own.packed).run(shard, lambda _: None)
                part, times = work.part_of(shard), work.add_records(shard, found)
                self.store.records.add(job_id, found, part=part, times=times)
        self.store.results.finish(job_id, work.result.to_json() if work.result else None)
        return self.store.jobs.get("local", job_id)


@contextmanager
def running(folder: Path, **settings):
    """A server whose connections are closed at the end."""
    server = Server(folder, **settings)
    with closing(server.store), server.client:
        yield server


@functools.cache
def cartpole() -> Demonstrations:
    return Demonstrations.load(CARTPOLE)


@functools.cache
def records() -> list:
    """All retrainings of the study, done once: random actions, 2 baselines, 32 masks."""
    study = resolve(Study.parse(STUDY), cartpole()).study
    with Runner(study, cartpole()) as runner:
        return runner.run(study_tasks(study, len(runner.segments)))


def check(answer, status: int, code: str) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(answer.json())
    assert (problem.status, problem.code) == (status, code), answer.text
    assert problem.request_id == answer.headers["x-request-id"]
    assert problem.instance.startswith("/api/v1")
    assert problem.detail
    assert problem.title
    assert "Traceback" not in answer.text
    return problem


OTHER = {"name": "bc", "settings": {"n_updates": 15}}


def ask(server, kind, based_on, **more):
    body = {"kind": kind, "based_on": based_on, **more}
    return server.client.post("/jobs", json=body)


def map_of(server, job) -> ImportanceMap:
    return ImportanceMap.from_json(server.client.get(f"/jobs/{job.id}/importance.json").text)
