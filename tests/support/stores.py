"""Stores for tests, and what is put into them."""

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from r2rise import Study
from r2rise.design.tasks import design_tasks
from r2rise.ledger.record import Record
from r2rise_service.storage import NewDataset, NewJob, Store

CONTENT = "sha256:" + "ab" * 32
OTHER_CONTENT = "sha256:" + "cd" * 32
LENGTHS, N_SEGMENTS = (40, 40), 8
STUDY = Study(
    environment={"id": "CartPole-v1"},
    demonstrations=CONTENT,
    masking={"design": "foldover", "block_size": 32},
)


@pytest.fixture
def store(url):
    store = Store(url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def dataset(store):
    return store.datasets.add(NewDataset("me", CONTENT, LENGTHS, (4,), ()))[0]


@pytest.fixture
def job(store, dataset):
    return submit(store, dataset)


def submit(store, dataset, owner="me", idempotency=None, **fields):
    new = NewJob(owner, "explain", dataset.id, STUDY, 100, **fields)
    return store.jobs.add(new, idempotency=idempotency)[0]


def upload(store, content, owner="me"):
    return store.datasets.add(NewDataset(owner, content, LENGTHS, (4,), ()))[0]


def execute(url, statement, **values):
    """Change the database behind the store's back."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def design_records(indices, **changes):
    """Records of the design whose returns tell their index."""
    return [
        Record(*task.key, **{"returns": np.array([task.index, np.pi]), **changes})
        for task in design_tasks(STUDY, N_SEGMENTS, indices)
    ]


def failures(indices, reason="diverged"):
    return [Record.failed(record, reason) for record in design_records(indices)]


def kinds_of_events(store, job):
    return [event.type for event in store.jobs.events(job.id)]
