import dataclasses
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from r2rise import Study
from r2rise.ledger import Ledger, LedgerHeader, Record
from r2rise.tasks import baseline_tasks, design_tasks
from r2rise_service.storage import Conflict, NewDataset, NewJob, Store

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
    return store.add_dataset(NewDataset("me", CONTENT, LENGTHS, (4,), ()))[0]


@pytest.fixture
def job(store, dataset):
    return submit(store, dataset)


def submit(store, dataset, owner="me", idempotency=None, **fields):
    new = NewJob(owner, "explain", dataset.id, STUDY, 100, **fields)
    return store.add_job(new, idempotency=idempotency)[0]


def upload(store, content, owner="me"):
    return store.add_dataset(NewDataset(owner, content, LENGTHS, (4,), ()))[0]


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
    return [event.type for event in store.events(job.id)]


# schema


def test_migrating_makes_the_schema_of_the_tables(url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from r2rise_service.storage.tables import Table

    store = Store(url)
    assert not store.is_current()
    store.migrate()
    assert store.is_current()
    store.migrate()
    store.close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


def test_an_older_schema_is_not_current(store, url):
    execute(url, "UPDATE alembic_version SET version_num = '0000'")
    assert not store.is_current()


def test_a_database_that_cannot_be_reached_is_not_current(tmp_path):
    (tmp_path / "db").write_bytes(b"no database at all" * 100)
    store = Store(f"sqlite:///{tmp_path / 'db'}")
    assert not store.is_current()
    store.close()


def test_several_processes_may_migrate_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'db'}"
    code = "import sys; from r2rise_service.storage import Store; Store(sys.argv[1]).migrate()"
    children = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    store = Store(url)
    assert store.is_current()
    store.close()


def test_sqlite_is_set_up_and_only_one_connection_writes(tmp_path):
    from r2rise_service.storage.database import Database

    database = Database(f"sqlite:///{tmp_path / 'db'}")
    for opened in (database.writing, database.reading):
        with opened() as session:
            values = [
                session.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        assert values == ["wal", 1, 1, 30_000]
    with database.reading() as session, pytest.raises(OperationalError, match="readonly"):
        session.execute(text("CREATE TABLE t (x INTEGER)"))
    database.close()


def test_a_database_in_memory_is_refused():
    with pytest.raises(ValueError, match="Expected sqlite:///path of a file"):
        Store("sqlite://")


# keys


def test_keys_are_found_by_digest_until_they_are_revoked(store):
    assert not store.has_keys()
    a = store.add_key("me", "laptop", ["read", "submit"], "digest a")
    b = store.add_key("you", "robot", ["admin"], "digest b")
    assert (a.owner, a.name, a.scopes) == ("me", "laptop", ("read", "submit"))
    assert a.id.startswith("key_")
    assert store.keys() == [a, b]
    assert store.key_of("digest a") == a
    assert store.key_of("digest") is None
    assert store.revoke_key(a.id)
    assert not store.revoke_key(a.id)
    assert not store.revoke_key("key_none")
    assert store.has_keys()
    assert store.key_of("digest a") is None
    assert store.keys() == [b]


# datasets


def test_the_same_content_is_one_dataset_for_each_owner(store):
    new = NewDataset("me", CONTENT, LENGTHS, (4,), (2, 1), {"source": "x", "n": [1, None]})
    mine, is_new = store.add_dataset(new)
    assert is_new
    assert mine.id.startswith("ds_")
    assert (mine.sha256, mine.lengths, mine.obs_shape) == (CONTENT, LENGTHS, (4,))
    assert (mine.act_shape, mine.n_demonstrations, mine.n_frames) == ((2, 1), 2, 80)
    assert mine.metadata == {"source": "x", "n": [1, None]}
    assert mine.created_at.tzinfo == UTC
    assert abs(mine.created_at - datetime.now(UTC)) < timedelta(minutes=10)
    again, is_new = store.add_dataset(dataclasses.replace(new, metadata={}))
    assert (again, is_new) == (mine, False)
    yours, is_new = store.add_dataset(dataclasses.replace(new, owner="you"))
    assert is_new
    assert yours.id != mine.id
    assert store.dataset("me", mine.id) == mine
    assert store.dataset("me", yours.id) is None


def test_datasets_are_listed_newest_first(store, dataset):
    newer, _ = store.add_dataset(NewDataset("me", OTHER_CONTENT, (3,), (4,), ()))
    assert store.datasets("me") == [newer, dataset]
    assert store.datasets("me", sha256=CONTENT) == [dataset]
    assert store.datasets("me", sha256="sha256:none") == []
    assert store.datasets("you") == []


def test_a_dataset_is_removed_unless_a_live_job_uses_it(store, dataset, job):
    assert store.remove_dataset("you", dataset.id) is None
    with pytest.raises(Conflict, match=f"is used by job {job.id}"):
        store.remove_dataset("me", dataset.id)
    store.set_status(job.id, "succeeded", only_from=["queued"])
    assert store.remove_dataset("me", dataset.id) == dataset
    assert store.remove_dataset("me", dataset.id) is None
    assert store.job("me", job.id).dataset_id == dataset.id


def test_content_is_used_by_datasets_and_jobs(store, dataset, job):
    store.add_dataset(NewDataset("you", OTHER_CONTENT, (3,), (4,), ()))
    assert store.content_is_used(CONTENT)
    assert store.content_is_used(OTHER_CONTENT)
    assert not store.content_is_used("sha256:none")
    store.set_status(job.id, "canceled", only_from=["queued"])
    store.remove_dataset("me", dataset.id)
    assert store.content_is_used(CONTENT)  # by the job
    store.remove_job("me", job.id)
    assert not store.content_is_used(CONTENT)


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
    own = f"/api/v1/jobs/{job.id}"
    assert job.links == {
        "self": own,
        "events": f"{own}/events",
        "retrainings": f"{own}/retrainings",
        "importance": f"{own}/importance",
    }
    assert store.job("me", job.id) == job
    assert store.job("you", job.id) is None
    assert store.job("me", "job_none") is None
    (event,) = store.events(job.id)
    assert (event.type, event.data["status"], event.job_id) == ("job.status", "queued", job.id)


def test_a_job_needs_a_dataset_of_its_owner(store, dataset):
    with pytest.raises(Conflict, match="There is no dataset"):
        submit(store, dataset, owner="you")
    assert store.jobs("you").data == ()


def test_an_idempotency_key_makes_one_job(store, dataset, url):
    new = NewJob("me", "explain", dataset.id, STUDY, 100)
    job, is_new = store.add_job(new, idempotency=("key", "body"))
    assert is_new
    assert store.add_job(new, idempotency=("key", "body")) == (job, False)
    with pytest.raises(Conflict, match="'key' was used with another request body"):
        store.add_job(new, idempotency=("key", "another body"))
    assert store.add_job(new, idempotency=("other key", "body"))[1]
    assert store.add_job(new)[1]
    yours, _ = store.add_dataset(NewDataset("you", CONTENT, LENGTHS, (4,), ()))
    theirs = dataclasses.replace(new, owner="you", dataset_id=yours.id)
    assert store.add_job(theirs, idempotency=("key", "another body"))[1]
    assert len(store.jobs("me").data) == 3

    for hours, is_new in ((23, False), (25, True)):
        before = datetime.now(UTC) - timedelta(hours=hours)
        stored = before.replace(tzinfo=None).isoformat(" ")
        execute(url, "UPDATE idempotency SET created_at = :t", t=before if "psy" in url else stored)
        assert store.add_job(new, idempotency=("key", "body"))[1] is is_new


def test_an_idempotency_key_goes_with_its_job(store, dataset):
    job = submit(store, dataset, idempotency=("key", "body"))
    store.set_status(job.id, "failed", only_from=["queued"])
    store.remove_job("me", job.id)
    assert submit(store, dataset, idempotency=("key", "other body")).id != job.id


def test_pages_hold_every_job_once_newest_first(store, dataset, url):
    ids = [submit(store, dataset).id for _ in range(11)]
    execute(url, "UPDATE jobs SET created_at = '2026-01-01 00:00:00.000000'")
    seen, token, sizes = [], None, []
    while True:
        page = store.jobs("me", page_size=4, page_token=token)
        seen += [job.id for job in page.data]
        sizes.append(len(page.data))
        token = page.next_page_token
        if token is None:
            break
        submit(store, dataset)  # what comes meanwhile moves nothing
        store.set_status(seen[-1], "failed", only_from=["queued"])
        store.remove_job("me", seen[-1])  # nor does what goes
    assert seen == ids[::-1]
    assert sizes == [4, 4, 3]
    full = store.jobs("me", page_size=11)
    assert len(full.data) == 11
    assert full.next_page_token is None


def test_pages_hold_every_dataset_once_newest_first(store, dataset):
    ids = [dataset.id, *(upload(store, f"sha256:{n}").id for n in range(4))]
    upload(store, CONTENT, owner="you")
    first = store.dataset_page("me", page_size=3)
    upload(store, "sha256:newer")  # what comes meanwhile moves nothing
    store.remove_dataset("me", first.data[-1].id)  # nor does what goes
    second = store.dataset_page("me", page_size=3, page_token=first.next_page_token)
    assert [one.id for one in (*first.data, *second.data)] == ids[::-1]
    assert second.next_page_token is None
    assert [one.id for one in store.dataset_page("me", sha256=CONTENT).data] == [dataset.id]


@pytest.mark.parametrize("token", ["", "job_", "job_x' OR 1=1", "cmp_" + "0" * 32])
def test_a_wrong_page_token_is_named(store, token):
    for page, other in ((store.jobs, "ds_"), (store.dataset_page, "job_")):
        for wrong in (token, other + "0" * 32):
            with pytest.raises(ValueError, match="Expected the next_page_token of an earlier page"):
                page("me", page_token=wrong)


def test_jobs_are_filtered(store, dataset):
    odd = 'a"b.c$[0]'
    a = submit(store, dataset, labels={"robot": "arm", odd: "x"})
    b = submit(store, dataset, labels={"robot": "leg"})
    other, _ = store.add_dataset(NewDataset("me", OTHER_CONTENT, LENGTHS, (4,), ()))
    c = submit(store, other)
    store.set_status(b.id, "running", only_from=["queued"])

    def found(**filters):
        return {job.id for job in store.jobs("me", **filters).data}

    assert found() == {a.id, b.id, c.id}
    assert found(status="running") == {b.id}
    assert found(dataset_id=other.id) == {c.id}
    assert found(label=("robot", "arm")) == {a.id}
    assert found(label=(odd, "x")) == {a.id}
    assert found(label=("robot", "x")) == set()
    assert found(label=("robot", "leg"), status="queued") == set()
    assert store.jobs("you").data == ()


def test_name_labels_and_priority_can_be_changed(store, job):
    changed = store.change_job(
        "me", job.id, {"name": "new", "labels": {"a": "b"}, "priority": -5}, version=1
    )
    assert (changed.name, changed.labels, changed.priority) == ("new", {"a": "b"}, -5)
    assert changed.version == 2
    assert store.job("me", job.id) == changed
    with pytest.raises(Conflict, match="expected version 1, it has 2"):
        store.change_job("me", job.id, {"name": "late"}, version=1)
    assert store.change_job("me", job.id, {"name": None}) == changed
    assert store.change_job("you", job.id, {"name": "mine"}) is None
    with pytest.raises(ValueError, match="Expected changes of name, labels, priority, got status"):
        store.change_job("me", job.id, {"status": "succeeded"})
    assert store.job("me", job.id) == changed


def test_only_ended_jobs_are_removed_with_all_they_have(store, job, url):
    store.add_records(job.id, design_records(range(3)))
    store.mark(job.id, 0, 1.0)
    with pytest.raises(Conflict, match=f"Job {job.id} is queued"):
        store.remove_job("me", job.id)
    last = store.events(job.id)[-1].id
    store.set_status(job.id, "succeeded", only_from=["queued"])
    assert not store.remove_job("you", job.id)
    assert store.remove_job("me", job.id)
    assert not store.remove_job("me", job.id)
    assert store.events(job.id) == []
    assert store.add_records(job.id, design_records(range(3))) is None
    store.mark(job.id, 0, 2.0)
    with pytest.raises(Conflict, match="There is no job"):
        store.ledger(job.id, LENGTHS, N_SEGMENTS)
    with pytest.raises(Conflict, match="There is no job"):
        store.add_event(job.id, "job.error", {})
    engine = create_engine(url)
    with engine.connect() as connection:
        for table in ("records", "marks", "events"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    engine.dispose()
    newer = submit(store, store.datasets("me")[0])
    assert store.events(newer.id)[0].id > last  # numbers of events are never used again


def test_live_jobs_by_priority_then_age(store, dataset):
    low = submit(store, dataset, priority=-1)
    first, second = submit(store, dataset), submit(store, dataset)
    high = submit(store, dataset, priority=5)
    yours, _ = store.add_dataset(NewDataset("you", CONTENT, LENGTHS, (4,), ()))
    other = submit(store, yours, owner="you")
    store.set_status(second.id, "running", only_from=["queued"])
    ended = submit(store, dataset, priority=9)
    store.set_status(ended.id, "canceled", only_from=["queued"])
    order = [job.id for job in store.live_jobs()]
    assert order == [high.id, first.id, second.id, other.id, low.id]
    assert store.n_live_jobs("me") == 4
    assert store.n_live_jobs("you") == 1
    assert store.n_live_jobs("nobody") == 0


def test_a_job_goes_through_its_states(store, job):
    assert store.set_status(job.id, "running", only_from=["canceling"]) is None
    assert store.set_status("job_none", "running", only_from=["queued"]) is None
    assert store.job("me", job.id) == job
    running = store.set_status(job.id, "running", only_from=["queued"], reason="at it")
    assert (running.status, running.status_reason, running.version) == ("running", "at it", 2)
    assert running.started_at >= running.created_at
    failed = store.set_status(job.id, "failed", only_from=["running"], error="too many failed")
    assert (failed.error, failed.status_reason) == ("too many failed", "")
    assert failed.finished_at >= failed.started_at
    again = store.set_status(job.id, "queued", only_from=["failed"])
    assert (again.error, again.finished_at, again.started_at) == (None, None, running.started_at)
    resumed = store.set_status(job.id, "running", only_from=["queued"])
    assert resumed.started_at == running.started_at
    assert [(event.type, event.data) for event in store.events(job.id)] == [
        ("job.status", {"status": "queued", "status_reason": ""}),
        ("job.status", {"status": "running", "status_reason": "at it"}),
        ("job.status", {"status": "failed", "status_reason": ""}),
        ("job.error", {"error": "too many failed"}),
        ("job.status", {"status": "queued", "status_reason": ""}),
        ("job.status", {"status": "running", "status_reason": ""}),
    ]


# records


def test_records_come_back_as_they_were(store, job):
    baseline = [
        Record(*task.key, np.array([0.1, -1e300, 5e-324]), seconds=0.25, evaluation_seconds=0.125)
        for task in baseline_tasks(STUDY, N_SEGMENTS, 2)
    ]
    records = [*design_records([2, 0]), *failures([1]), *baseline]
    done = store.add_records(job.id, iter(records))
    assert (done.progress.done, done.progress.failed, done.revision) == (6, 1, 3)
    store.mark(job.id, 0, 1.5)
    store.mark(job.id, 1, 2.5)
    store.mark(job.id, 1, 3.5)
    ledger = store.ledger(job.id, LENGTHS, N_SEGMENTS)
    oracle = Ledger(LedgerHeader(STUDY.design_part(), LENGTHS, N_SEGMENTS), records)
    assert ledger.header == oracle.header
    assert ledger.elapsed == {0: 1.5, 1: 3.5}
    assert len(ledger) == 6
    for kind in ("design", "baseline", "random_policy"):
        ours, theirs = ledger.records(kind), oracle.records(kind)
        assert [record.to_json() for record in ours] == [record.to_json() for record in theirs]
        assert all(record.returns.dtype == np.float64 for record in ours)


def test_records_sent_twice_count_once(store, job):
    first = store.add_records(job.id, design_records(range(4)))
    events = kinds_of_events(store, job)
    again = store.add_records(job.id, design_records(range(4), returns=np.array([9.0])))
    assert again.version == first.version
    assert kinds_of_events(store, job) == events
    more = store.add_records(job.id, design_records([3, 4, 4]))
    assert (more.progress.done, more.revision) == (5, 5)
    assert more.version == first.version + 1
    ledger = store.ledger(job.id, LENGTHS, N_SEGMENTS)
    assert [record.returns[0] for record in ledger.records("design")] == [0, 1, 2, 3, 4]


def test_no_records_change_nothing(store, job):
    assert store.add_records(job.id, []) == job
    assert kinds_of_events(store, job) == ["job.status"]


def test_failures_are_replaced_and_done_ones_are_not(store, job):
    store.add_records(job.id, [*failures([0, 1, 2]), *design_records([3])])
    later = store.add_records(
        job.id, [*design_records([0]), *failures([1], "again"), *failures([3, 4])]
    )
    assert (later.progress.done, later.progress.failed, later.revision) == (5, 3, 5)
    held = store.ledger(job.id, LENGTHS, N_SEGMENTS).records("design")
    assert [(record.status, record.reason) for record in held] == [
        ("ok", ""), ("failed", "again"), ("failed", "diverged"), ("ok", ""), ("failed", "diverged")
    ]  # fmt: skip
    assert held[0].returns.tolist() == [0, np.pi]
    both = store.add_records(job.id, [*failures([5]), *design_records([5]), *failures([5])])
    assert (both.progress.done, both.progress.failed) == (6, 3)


def test_any_text_can_be_a_reason(store, job):
    store.add_records(job.id, failures([0], "nul \0, half a pair \ud800, é"))
    (record,) = store.ledger(job.id, LENGTHS, N_SEGMENTS).records("design")
    assert record.reason == "nul ?, half a pair ?, é"
    failed = store.set_status(job.id, "failed", only_from=["queued"], reason="\0", error="\udc80")
    assert (failed.status_reason, failed.error) == ("?", "?")


def test_events_tell_of_progress_and_of_new_revisions(store, job):
    store.set_status(job.id, "running", only_from=["queued"])
    store.add_records(job.id, design_records(range(3)))
    task = baseline_tasks(STUDY, N_SEGMENTS, 1)[1]
    store.add_records(job.id, [Record(*task.key, np.ones(2))])
    store.add_records(job.id, failures([3]))
    store.add_records(job.id, design_records([3]))
    events = store.events(job.id)[2:]
    progress, importance = "job.progress", "job.importance"
    assert [event.type for event in events] == [
        progress, importance, progress, progress, importance, progress
    ]  # fmt: skip
    counts = [(e.progress.done, e.progress.failed) for e in events if e.progress]
    assert counts == [(3, 0), (4, 0), (5, 1), (5, 0)]
    assert [e.data for e in events if e.type == importance] == [{"revision": 3}, {"revision": 4}]


def test_the_rate_is_that_since_the_start(store, job, url):
    store.add_records(job.id, design_records(range(2)))
    assert store.job("me", job.id).progress.per_second is None
    store.set_status(job.id, "running", only_from=["queued"])
    ended = store.set_status(job.id, "failed", only_from=["running"])
    hour = "strftime('%Y-%m-%d %H:%M:%f000', finished_at, '-10 seconds')"
    if "psycopg" in url:
        hour = "finished_at - interval '10 seconds'"
    execute(url, f"UPDATE jobs SET started_at = {hour}")
    progress = store.job("me", job.id).progress
    assert progress.per_second == pytest.approx(0.2, rel=1e-3)
    assert progress.eta_seconds is None
    store.set_status(ended.id, "running", only_from=["failed"])
    progress = store.job("me", job.id).progress
    assert 0 < progress.per_second <= 0.2001
    assert progress.eta_seconds == pytest.approx(98 / progress.per_second)


# events


def test_events_are_read_in_order_from_anywhere(store, job, dataset):
    other = submit(store, dataset)
    added = [store.add_event(job.id, "job.error", {"n": n, "x": [None, 0.5]}) for n in range(5)]
    store.add_event(other.id, "job.error", {})
    assert store.events(job.id)[1:] == added
    assert store.events(job.id, after=added[1].id) == added[2:]
    assert store.events(job.id, after=added[1].id, limit=2) == added[2:4]
    assert store.events(job.id, after=added[-1].id) == []
    assert store.events("job_none") == []
    assert added[0].created_at.tzinfo == UTC


# many at once, and crashes


def test_threads_that_add_the_same_and_other_records_count_exactly(store, job, dataset):
    store.set_status(job.id, "running", only_from=["queued"])

    def work(number):
        for start in range(0, 60, 10):
            store.add_records(job.id, design_records(range(start, start + 10)))  # all the same
            own = range(1000 + 100 * number + start, 1000 + 100 * number + start + 10)
            store.add_records(job.id, failures(own))
            store.add_records(job.id, design_records(own[:5]))
            assert store.job("me", job.id).progress.done >= start
            submit(store, dataset, idempotency=(f"key {start}", "body"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    end = store.job("me", job.id)
    assert end.progress.done == end.revision == 60 + 8 * 60
    assert end.progress.failed == 8 * 30
    held = store.ledger(job.id, LENGTHS, N_SEGMENTS).records("design")
    assert len(held) == 60 + 8 * 60
    assert sum(record.status == "failed" for record in held) == 8 * 30
    assert len(store.jobs("me").data) == 1 + 6
    counts = [e.progress.done for e in store.events(job.id, limit=1000) if e.progress]
    assert counts == sorted(counts)
    assert counts[-1] == 540


def test_threads_upload_the_same_content_once(store):
    new = NewDataset("me", CONTENT, LENGTHS, (4,), ())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store.add_dataset(new), range(32)))
    assert len({dataset.id for dataset, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1


CRASHING = """
import sys
sys.path.insert(0, {tests!r})
from test_store import Store, design_records
store = Store({url!r})
for index in range(10_000):
    done = store.add_records({job!r}, design_records([2 * index, 2 * index + 1]))
    print(done.progress.done, flush=True)
"""


def test_a_killed_process_loses_nothing_that_was_stored(store, job, url):
    code = CRASHING.format(tests=str(Path(__file__).parent), url=url, job=job.id)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    said = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    said += [int(line) for line in child.stdout if line.endswith("\n")]
    child.wait()
    child.stdout.close()
    after = store.job("me", job.id)
    assert after.progress.done in {said[-1], said[-1] + 2}  # one more may have been on its way
    held = store.ledger(job.id, LENGTHS, N_SEGMENTS).records("design")
    assert [record.index for record in held] == list(range(after.progress.done))
    assert store.add_records(job.id, design_records([20_001])).revision == len(held) + 1


def test_a_transaction_that_fails_leaves_nothing(store, job):
    good, bad = design_records([0]), design_records([1])
    broken = dataclasses.replace(bad[0], seconds=None)
    with pytest.raises(IntegrityError):
        store.add_records(job.id, [*good, broken])
    assert store.job("me", job.id) == job
    assert len(store.ledger(job.id, LENGTHS, N_SEGMENTS)) == 0
    assert store.add_records(job.id, good).progress.done == 1


def test_another_process_reads_while_one_writes(tmp_path):
    path = tmp_path / "db"
    store = Store(f"sqlite:///{path}")
    store.migrate()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.keys() == []
        other.execute("COMMIT")
    store.close()
