"""What is deleted when it is old."""

from datetime import timedelta

import pytest
import toys
from benches import study_of
from sqlalchemy import create_engine, text

from r2rise_service.queue.expiry import remove_expired
from r2rise_service.storage import NewDataset, NewJob
from r2rise_service.storage.files import DatasetFiles
from r2rise_service.storage.rows import utc_now

OURS = toys.demonstrations()


@pytest.fixture
def files(tmp_path):
    found = DatasetFiles(tmp_path / "datasets")
    OURS.save(tmp_path / "upload.npz")
    found.keep(tmp_path / "upload.npz", OURS.content_hash)
    found.unpacked(OURS.content_hash)
    return found


def add(store, dataset, **fields):
    new = NewJob("me", "explain", dataset.id, study_of(**fields), 68)
    return store.jobs.add(new, idempotency=(f"key {fields}", "digest"))[0]


def rows(url, table):
    engine = create_engine(url)
    with engine.connect() as connection:
        count = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()
    engine.dispose()
    return count


def test_old_jobs_go_with_all_that_nobody_else_uses(store, files, url):
    dataset, _ = store.datasets.add(NewDataset("me", OURS.content_hash, (40, 40), (1,), (1,)))
    ended, live = add(store, dataset), add(store, dataset, seed=1)
    store.jobs.set_status(ended.id, "failed", only_from=("queued",), reason="no", error="no")
    now = utc_now()

    def remaining(days, keep_days=30.0):
        removed = remove_expired(store, files, now + timedelta(days=days), keep_days=keep_days)
        return removed, [job.id for job in store.jobs.page("me").data]

    assert remaining(29) == (0, [live.id, ended.id])
    assert remaining(400, keep_days=None) == (0, [live.id, ended.id])
    assert remaining(31) == (1, [live.id])
    assert store.jobs.events(ended.id) == []
    assert files.path(OURS.content_hash).exists()  # the live job, and the dataset

    store.jobs.set_status(live.id, "canceled", only_from=("queued",))
    assert store.datasets.remove("me", dataset.id)
    assert remaining(31) == (1, [])
    assert rows(url, "events") == rows(url, "records") == 0
    assert not files.path(OURS.content_hash).exists()
    assert not any((files.folder / "unpacked").iterdir())


def test_old_idempotency_keys_are_forgotten(store, files, url):
    dataset, _ = store.datasets.add(NewDataset("me", OURS.content_hash, (40, 40), (1,), (1,)))
    add(store, dataset)
    remove_expired(store, files, utc_now() + timedelta(hours=23), keep_days=None)
    assert rows(url, "idempotency") == 1
    remove_expired(store, files, utc_now() + timedelta(hours=25), keep_days=None)
    assert rows(url, "idempotency") == 0


def test_many_jobs_go_in_parts(store, files):
    dataset, _ = store.datasets.add(NewDataset("me", OURS.content_hash, (40, 40), (1,), (1,)))
    for seed in range(5):
        job = add(store, dataset, seed=seed)
        store.jobs.set_status(job.id, "canceled", only_from=("queued",))
    later = utc_now() + timedelta(days=1)
    assert len(store.jobs.remove_ended(later, at_most=3)) == 3
    assert len(store.jobs.remove_ended(later, at_most=3)) == 2
    assert store.jobs.remove_ended(later) == {}
