"""Keys, datasets and jobs of the store, on SQLite and PostgreSQL."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from stores import (
    CONTENT,
    LENGTHS,
    N_SEGMENTS,
    OTHER_CONTENT,
    STUDY,
    design_records,
    execute,
    submit,
    upload,
)

from r2rise_service.queue.scheduling import admission_order
from r2rise_service.storage import NewDataset, NewJob, StoreConflict

# keys


def test_keys_are_found_by_digest_until_they_are_revoked(store):
    assert not store.keys.any_made()
    a = store.keys.add("me", "laptop", ["read", "submit"], "digest a")
    b = store.keys.add("you", "robot", ["admin"], "digest b")
    assert (a.owner, a.name, a.scopes) == ("me", "laptop", ("read", "submit"))
    assert a.id.startswith("key_")
    assert store.keys.valid() == [a, b]
    assert store.keys.find("digest a") == a
    assert store.keys.find("digest") is None
    assert store.keys.revoke(a.id)
    assert not store.keys.revoke(a.id)
    assert not store.keys.revoke("key_none")
    assert store.keys.any_made()
    assert store.keys.find("digest a") is None
    assert store.keys.valid() == [b]


# datasets


def test_the_same_content_is_one_dataset_for_each_owner(store):
    new = NewDataset("me", CONTENT, LENGTHS, (4,), (2, 1), {"source": "x", "n": [1, None]})
    mine, is_new = store.datasets.add(new)
    assert is_new
    assert mine.id.startswith("ds_")
    assert (mine.sha256, mine.lengths, mine.obs_shape) == (CONTENT, LENGTHS, (4,))
    assert (mine.act_shape, mine.n_demonstrations, mine.n_frames) == ((2, 1), 2, 80)
    assert mine.metadata == {"source": "x", "n": [1, None]}
    assert mine.created_at.tzinfo == UTC
    assert abs(mine.created_at - datetime.now(UTC)) < timedelta(minutes=10)
    again, is_new = store.datasets.add(dataclasses.replace(new, metadata={}))
    assert (again, is_new) == (mine, False)
    yours, is_new = store.datasets.add(dataclasses.replace(new, owner="you"))
    assert is_new
    assert yours.id != mine.id
    assert store.datasets.get("me", mine.id) == mine
    assert store.datasets.get("me", yours.id) is None


def test_datasets_are_listed_newest_first(store, dataset):
    newer, _ = store.datasets.add(NewDataset("me", OTHER_CONTENT, (3,), (4,), ()))
    assert store.datasets.find("me") == [newer, dataset]
    assert store.datasets.find("me", sha256=CONTENT) == [dataset]
    assert store.datasets.find("me", sha256="sha256:none") == []
    assert store.datasets.find("you") == []


def test_a_dataset_is_removed_unless_a_live_job_uses_it(store, dataset, job):
    assert store.datasets.remove("you", dataset.id) is None
    with pytest.raises(StoreConflict, match=f"is used by job {job.id}"):
        store.datasets.remove("me", dataset.id)
    store.jobs.set_status(job.id, "succeeded", only_from=["queued"])
    assert store.datasets.remove("me", dataset.id) == dataset
    assert store.datasets.remove("me", dataset.id) is None
    assert store.jobs.get("me", job.id).dataset_id == dataset.id


def test_content_is_used_by_datasets_and_jobs(store, dataset, job):
    store.datasets.add(NewDataset("you", OTHER_CONTENT, (3,), (4,), ()))
    assert store.datasets.content_is_used(CONTENT)
    assert store.datasets.content_is_used(OTHER_CONTENT)
    assert not store.datasets.content_is_used("sha256:none")
    store.jobs.set_status(job.id, "canceled", only_from=["queued"])
    store.datasets.remove("me", dataset.id)
    assert store.datasets.content_is_used(CONTENT)  # by the job
    store.jobs.remove("me", job.id)
    assert not store.datasets.content_is_used(CONTENT)


# jobs


def test_a_new_job_is_queued(store, dataset):
    job = submit(store, dataset, name="first", labels={"robot": "arm"}, priority=3)
    assert job.id.startswith("job_")
    assert (job.kind, job.status, job.status_reason) == ("explain", "queued", "")
    assert (job.name, job.labels, job.priority) == ("first", {"robot": "arm"}, 3)
    assert (job.study, job.study_hash) == (STUDY, STUDY.study_hash)
    assert job.progress.model_dump() == {
        "done": 0, "total": 100, "failed": 0, "per_second": None, "eta_seconds": None
    }  # fmt: skip
    assert (job.revision, job.version, job.error, job.started_at) == (0, 1, None, None)
    assert job.created_at.tzinfo == UTC
    assert (job.based_on, job.repetitions, job.links) == ((), None, {})
    assert store.jobs.get("me", job.id) == job
    assert store.jobs.get("you", job.id) is None
    assert store.jobs.get("me", "job_none") is None
    (event,) = store.jobs.events(job.id)
    assert (event.type, event.data["status"], event.job_id) == ("job.status", "queued", job.id)


def test_a_job_needs_a_dataset_of_its_owner(store, dataset):
    with pytest.raises(StoreConflict, match="There is no dataset"):
        submit(store, dataset, owner="you")
    assert store.jobs.page("you").data == ()


def test_an_idempotency_key_makes_one_job(store, dataset, url):
    new = NewJob("me", "explain", dataset.id, STUDY, 100)
    job, is_new = store.jobs.add(new, idempotency=("key", "body"))
    assert is_new
    assert store.jobs.add(new, idempotency=("key", "body")) == (job, False)
    with pytest.raises(StoreConflict, match="'key' was used with another request body"):
        store.jobs.add(new, idempotency=("key", "another body"))
    assert store.jobs.add(new, idempotency=("other key", "body"))[1]
    assert store.jobs.add(new)[1]
    yours, _ = store.datasets.add(NewDataset("you", CONTENT, LENGTHS, (4,), ()))
    theirs = dataclasses.replace(new, owner="you", dataset_id=yours.id)
    assert store.jobs.add(theirs, idempotency=("key", "another body"))[1]
    assert len(store.jobs.page("me").data) == 3

    for hours, is_new in ((23, False), (25, True)):
        before = datetime.now(UTC) - timedelta(hours=hours)
        stored = before.replace(tzinfo=None).isoformat(" ")
        execute(url, "UPDATE idempotency SET created_at = :t", t=before if "psy" in url else stored)
        assert store.jobs.add(new, idempotency=("key", "body"))[1] is is_new


def test_an_idempotency_key_goes_with_its_job(store, dataset):
    job = submit(store, dataset, idempotency=("key", "body"))
    store.jobs.set_status(job.id, "failed", only_from=["queued"])
    store.jobs.remove("me", job.id)
    assert submit(store, dataset, idempotency=("key", "other body")).id != job.id


def test_pages_hold_every_job_once_newest_first(store, dataset, url):
    ids = [submit(store, dataset).id for _ in range(11)]
    execute(url, "UPDATE jobs SET created_at = '2026-01-01 00:00:00.000000'")
    seen, token, sizes = [], None, []
    while True:
        page = store.jobs.page("me", page_size=4, page_token=token)
        seen += [job.id for job in page.data]
        sizes.append(len(page.data))
        token = page.next_page_token
        if token is None:
            break
        submit(store, dataset)  # what comes meanwhile moves nothing
        store.jobs.set_status(seen[-1], "failed", only_from=["queued"])
        store.jobs.remove("me", seen[-1])  # nor does what goes
    assert seen == ids[::-1]
    assert sizes == [4, 4, 3]
    full = store.jobs.page("me", page_size=11)
    assert len(full.data) == 11
    assert full.next_page_token is None


def test_pages_hold_every_dataset_once_newest_first(store, dataset):
    ids = [dataset.id, *(upload(store, f"sha256:{n}").id for n in range(4))]
    upload(store, CONTENT, owner="you")
    first = store.datasets.page("me", page_size=3)
    upload(store, "sha256:newer")  # what comes meanwhile moves nothing
    store.datasets.remove("me", first.data[-1].id)  # nor does what goes
    second = store.datasets.page("me", page_size=3, page_token=first.next_page_token)
    assert [one.id for one in (*first.data, *second.data)] == ids[::-1]
    assert second.next_page_token is None
    assert [one.id for one in store.datasets.page("me", sha256=CONTENT).data] == [dataset.id]


@pytest.mark.parametrize("token", ["", "job_", "job_x' OR 1=1", "cmp_" + "0" * 32])
def test_a_wrong_page_token_is_named(store, token):
    for page, other in ((store.jobs.page, "ds_"), (store.datasets.page, "job_")):
        for wrong in (token, other + "0" * 32):
            with pytest.raises(ValueError, match="Expected the next_page_token of an earlier page"):
                page("me", page_token=wrong)


def test_jobs_are_filtered(store, dataset):
    odd = 'a"b.c$[0]'
    a = submit(store, dataset, labels={"robot": "arm", odd: "x"})
    b = submit(store, dataset, labels={"robot": "leg"})
    other, _ = store.datasets.add(NewDataset("me", OTHER_CONTENT, LENGTHS, (4,), ()))
    c = submit(store, other)
    store.jobs.set_status(b.id, "running", only_from=["queued"])

    def found(**filters):
        return {job.id for job in store.jobs.page("me", **filters).data}

    assert found() == {a.id, b.id, c.id}
    assert found(status="running") == {b.id}
    assert found(dataset_id=other.id) == {c.id}
    assert found(label=("robot", "arm")) == {a.id}
    assert found(label=(odd, "x")) == {a.id}
    assert found(label=("robot", "x")) == set()
    assert found(label=("robot", "leg"), status="queued") == set()
    assert store.jobs.page("you").data == ()


def test_name_labels_and_priority_can_be_changed(store, job):
    changed = store.jobs.change(
        "me", job.id, {"name": "new", "labels": {"a": "b"}, "priority": -5}, version=1
    )
    assert (changed.name, changed.labels, changed.priority) == ("new", {"a": "b"}, -5)
    assert changed.version == 2
    assert store.jobs.get("me", job.id) == changed
    with pytest.raises(StoreConflict, match="expected version 1, but it has 2"):
        store.jobs.change("me", job.id, {"name": "late"}, version=1)
    assert store.jobs.change("me", job.id, {"name": None}) == changed
    assert store.jobs.change("you", job.id, {"name": "mine"}) is None
    with pytest.raises(ValueError, match="Expected changes of name, labels, priority, got status"):
        store.jobs.change("me", job.id, {"status": "succeeded"})
    assert store.jobs.get("me", job.id) == changed


def test_only_ended_jobs_are_removed_with_all_they_have(store, job, url):
    store.records.add(job.id, design_records(range(3)), times={0: 1.0})
    with pytest.raises(StoreConflict, match=f"Job {job.id} is queued"):
        store.jobs.remove("me", job.id)
    last = store.jobs.events(job.id)[-1].id
    store.jobs.set_status(job.id, "succeeded", only_from=["queued"])
    assert not store.jobs.remove("you", job.id)
    assert store.jobs.remove("me", job.id)
    assert not store.jobs.remove("me", job.id)
    assert store.jobs.events(job.id) == []
    assert store.records.add(job.id, design_records(range(3)), times={0: 2.0}) is None
    with pytest.raises(StoreConflict, match="There is no job"):
        store.records.ledger(job.id, LENGTHS, N_SEGMENTS)
    engine = create_engine(url)
    with engine.connect() as connection:
        for table in ("records", "marks", "events"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    engine.dispose()
    newer = submit(store, store.datasets.find("me")[0])
    assert store.jobs.events(newer.id)[0].id > last  # numbers of events are never used again


def test_live_jobs_by_priority_then_age(store, dataset):
    low = submit(store, dataset, priority=-1)
    first, second = submit(store, dataset), submit(store, dataset)
    high = submit(store, dataset, priority=5)
    yours, _ = store.datasets.add(NewDataset("you", CONTENT, LENGTHS, (4,), ()))
    other = submit(store, yours, owner="you")
    store.jobs.set_status(second.id, "running", only_from=["queued"])
    ended = submit(store, dataset, priority=9)
    store.jobs.set_status(ended.id, "canceled", only_from=["queued"])
    order = [job.id for job in admission_order(store.jobs.live())]
    assert order == [high.id, first.id, second.id, other.id, low.id]


def test_a_job_goes_through_its_states(store, job):
    assert store.jobs.set_status(job.id, "running", only_from=["canceling"]) is None
    assert store.jobs.set_status("job_none", "running", only_from=["queued"]) is None
    assert store.jobs.get("me", job.id) == job
    running = store.jobs.set_status(job.id, "running", only_from=["queued"], reason="at it")
    assert (running.status, running.status_reason, running.version) == ("running", "at it", 2)
    assert running.started_at >= running.created_at
    failed = store.jobs.set_status(job.id, "failed", only_from=["running"], error="too many failed")
    assert (failed.error, failed.status_reason) == ("too many failed", "")
    assert failed.finished_at >= failed.started_at
    again = store.jobs.set_status(job.id, "queued", only_from=["failed"])
    assert (again.error, again.finished_at, again.started_at) == (None, None, running.started_at)
    resumed = store.jobs.set_status(job.id, "running", only_from=["queued"])
    assert resumed.started_at == running.started_at
    assert [(event.type, event.data) for event in store.jobs.events(job.id)] == [
        ("job.status", {"status": "queued", "status_reason": ""}),
        ("job.status", {"status": "running", "status_reason": "at it"}),
        ("job.status", {"status": "failed", "status_reason": ""}),
        ("job.error", {"error": "too many failed"}),
        ("job.status", {"status": "queued", "status_reason": ""}),
        ("job.status", {"status": "running", "status_reason": ""}),
    ]
