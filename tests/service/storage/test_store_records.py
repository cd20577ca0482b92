"""Records and events of the store, many writers at once, and crashes."""

import dataclasses
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import numpy as np
import pytest
from places import SUPPORT
from sqlalchemy.exc import IntegrityError
from stores import (
    CONTENT,
    LENGTHS,
    N_SEGMENTS,
    STUDY,
    design_records,
    execute,
    failures,
    kinds_of_events,
    submit,
)

from r2rise.design.tasks import baseline_tasks
from r2rise.ledger.ledger import WORK_SO_FAR, Ledger, LedgerHeader
from r2rise.ledger.record import Record
from r2rise_service.models import LIVE
from r2rise_service.storage import NewDataset


def test_records_come_back_as_they_were(store, job):
    baseline = [
        Record(*task.key, np.array([0.1, -1e300, 5e-324]), seconds=0.25, evaluation_seconds=0.125)
        for task in baseline_tasks(STUDY, N_SEGMENTS, 2)
    ]
    records = [*design_records([2, 0]), *failures([1]), *baseline]
    done = store.records.add(job.id, iter(records))
    assert (done.progress.done, done.progress.failed, done.revision) == (6, 1, 3)
    store.records.add(job.id, [], times={WORK_SO_FAR: 2.5, 0: 1.5, 1: 2.5})
    store.records.add(job.id, [], times={WORK_SO_FAR: 3.5, 1: 3.5})
    ledger = store.records.ledger(job.id, LENGTHS, N_SEGMENTS)
    oracle = Ledger(LedgerHeader(STUDY.design_part(), LENGTHS, N_SEGMENTS), records)
    assert ledger.header == oracle.header
    assert (ledger.elapsed, ledger.work_seconds) == ({0: 1.5, 1: 3.5}, 3.5)
    assert len(ledger) == 6
    for kind in ("design", "baseline", "random_policy"):
        ours, theirs = ledger.records(kind), oracle.records(kind)
        assert [record.to_json() for record in ours] == [record.to_json() for record in theirs]
        assert all(record.returns.dtype == np.float64 for record in ours)


def test_records_sent_twice_count_once(store, job):
    first = store.records.add(job.id, design_records(range(4)))
    events = kinds_of_events(store, job)
    again = store.records.add(job.id, design_records(range(4), returns=np.array([9.0])))
    assert again.version == first.version
    assert kinds_of_events(store, job) == events
    more = store.records.add(job.id, design_records([3, 4, 4]))
    assert (more.progress.done, more.revision) == (5, 5)
    assert more.version == first.version + 1
    ledger = store.records.ledger(job.id, LENGTHS, N_SEGMENTS)
    assert [record.returns[0] for record in ledger.records("design")] == [0, 1, 2, 3, 4]


def test_no_records_change_nothing(store, job):
    assert store.records.add(job.id, []) == job
    assert kinds_of_events(store, job) == ["job.status"]


def test_failures_are_replaced_and_done_ones_are_not(store, job):
    store.records.add(job.id, [*failures([0, 1, 2]), *design_records([3])])
    later = store.records.add(
        job.id, [*design_records([0]), *failures([1], "again"), *failures([3, 4])]
    )
    assert (later.progress.done, later.progress.failed, later.revision) == (5, 3, 5)
    held = store.records.ledger(job.id, LENGTHS, N_SEGMENTS).records("design")
    assert [(record.status, record.reason) for record in held] == [
        ("ok", ""), ("failed", "again"), ("failed", "diverged"), ("ok", ""), ("failed", "diverged")
    ]  # fmt: skip
    assert held[0].returns.tolist() == [0, np.pi]
    both = store.records.add(job.id, [*failures([5]), *design_records([5]), *failures([5])])
    assert (both.progress.done, both.progress.failed) == (6, 3)


def test_any_text_can_be_a_reason(store, job):
    store.records.add(job.id, failures([0], "nul \0, half a pair \ud800, é"))
    (record,) = store.records.ledger(job.id, LENGTHS, N_SEGMENTS).records("design")
    assert record.reason == "nul ?, half a pair ?, é"
    failed = store.jobs.set_status(
        job.id, "failed", only_from=["queued"], reason="\0", error="\udc80"
    )
    assert (failed.status_reason, failed.error) == ("?", "?")


def test_events_tell_of_progress_and_of_new_revisions(store, job):
    store.jobs.set_status(job.id, "running", only_from=["queued"])
    store.records.add(job.id, design_records(range(3)))
    task = baseline_tasks(STUDY, N_SEGMENTS, 1)[1]
    store.records.add(job.id, [Record(*task.key, np.ones(2))])
    store.records.add(job.id, failures([3]))
    store.records.add(job.id, design_records([3]))
    events = store.jobs.events(job.id)[2:]
    progress, importance = "job.progress", "job.importance"
    assert [event.type for event in events] == [
        progress, importance, progress, progress, importance, progress
    ]  # fmt: skip
    counts = [(e.progress.done, e.progress.failed) for e in events if e.progress]
    assert counts == [(3, 0), (4, 0), (5, 1), (5, 0)]
    assert [e.data for e in events if e.type == importance] == [{"revision": 3}, {"revision": 4}]


def let_pass(url, column, seconds):
    """Move a time of all jobs into the past."""
    moved = f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '-{seconds} seconds')"
    if "psycopg" in url:
        moved = f"{column} - interval '{seconds} seconds'"
    execute(url, f"UPDATE jobs SET {column} = {moved}")


def test_the_rate_is_that_since_the_newest_start(store, job, url):
    store.records.add(job.id, design_records(range(2)))
    assert store.jobs.get("me", job.id).progress.per_second is None
    store.jobs.start(job.id)
    assert store.jobs.get("me", job.id).progress.per_second is None  # nothing was done since
    store.records.add(job.id, [*design_records(range(2, 4)), *failures([4])])
    store.jobs.set_status(job.id, "failed", only_from=["running"])
    let_pass(url, "resumed_at", 10)
    progress = store.jobs.get("me", job.id).progress
    assert 0.25 < progress.per_second < 0.3001
    assert progress.eta_seconds is None

    assert store.jobs.retry("me", job.id).progress.per_second is None
    started = store.jobs.start(job.id).started_at
    store.records.add(job.id, design_records([4]))
    let_pass(url, "resumed_at", 10)
    progress = store.jobs.get("me", job.id).progress
    assert 0.08 < progress.per_second < 0.1001
    assert progress.eta_seconds == pytest.approx(95 / progress.per_second)

    again = store.jobs.start(job.id)  # a server that takes up what another left
    assert (again.status, again.started_at, again.progress.per_second) == ("running", started, None)
    assert [e.data["status"] for e in store.jobs.events(job.id) if e.type == "job.status"] == [
        "queued", "running", "failed", "queued", "running"
    ]  # fmt: skip
    store.jobs.set_status(job.id, "canceling", only_from=["running"])
    assert store.jobs.start(job.id) is None


def test_events_are_read_in_order_from_anywhere(store, job, dataset):
    other = submit(store, dataset)
    for number in range(5):
        store.jobs.set_status(job.id, "running", only_from=LIVE, reason=f"reason {number}")
        store.jobs.set_status(other.id, "running", only_from=LIVE)
    added = store.jobs.events(job.id)[1:]
    assert [event.data["status_reason"] for event in added] == [f"reason {n}" for n in range(5)]
    assert [event.id for event in added] == sorted({event.id for event in added})
    assert store.jobs.events(job.id, after=added[1].id) == added[2:]
    assert store.jobs.events(job.id, after=added[1].id, limit=2) == added[2:4]
    assert store.jobs.events(job.id, after=added[-1].id) == []
    assert store.jobs.events("job_none") == []
    assert added[0].created_at.tzinfo == UTC


def test_threads_that_add_the_same_and_other_records_count_exactly(store, job, dataset):
    store.jobs.set_status(job.id, "running", only_from=["queued"])

    def work(number):
        for start in range(0, 60, 10):
            store.records.add(job.id, design_records(range(start, start + 10)))  # all the same
            own = range(1000 + 100 * number + start, 1000 + 100 * number + start + 10)
            store.records.add(job.id, failures(own))
            store.records.add(job.id, design_records(own[:5]))
            assert store.jobs.get("me", job.id).progress.done >= start
            submit(store, dataset, idempotency=(f"key {start}", "body"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    end = store.jobs.get("me", job.id)
    assert end.progress.done == end.revision == 60 + 8 * 60
    assert end.progress.failed == 8 * 30
    held = store.records.ledger(job.id, LENGTHS, N_SEGMENTS).records("design")
    assert len(held) == 60 + 8 * 60
    assert sum(record.status == "failed" for record in held) == 8 * 30
    assert len(store.jobs.page("me").data) == 1 + 6
    counts = [e.progress.done for e in store.jobs.events(job.id, limit=1000) if e.progress]
    assert counts == sorted(counts)
    assert counts[-1] == 540


def test_threads_upload_the_same_content_once(store):
    new = NewDataset("me", CONTENT, LENGTHS, (4,), ())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store.datasets.add(new), range(32)))
    assert len({dataset.id for dataset, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1


CRASHING = """
import sys
sys.path.insert(0, {support!r})
from stores import Store, design_records
store = Store({url!r})
for index in range(10_000):
    done = store.records.add({job!r}, design_records([2 * index, 2 * index + 1]))
    print(done.progress.done, flush=True)
"""


def test_a_killed_process_loses_nothing_that_was_stored(store, job, url):
    code = CRASHING.format(support=str(SUPPORT), url=url, job=job.id)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    said = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    said += [int(line) for line in child.stdout if line.endswith("\n")]
    child.wait()
    child.stdout.close()
    after = store.jobs.get("me", job.id)
    assert after.progress.done in {said[-1], said[-1] + 2}  # one more may have been on its way
    held = store.records.ledger(job.id, LENGTHS, N_SEGMENTS).records("design")
    assert [record.index for record in held] == list(range(after.progress.done))
    assert store.records.add(job.id, design_records([20_001])).revision == len(held) + 1


def test_a_transaction_that_fails_leaves_nothing(store, job):
    good, bad = design_records([0]), design_records([1])
    broken = dataclasses.replace(bad[0], seconds=None)
    with pytest.raises(IntegrityError):
        store.records.add(job.id, [*good, broken])
    assert store.jobs.get("me", job.id) == job
    assert len(store.records.ledger(job.id, LENGTHS, N_SEGMENTS)) == 0
    assert store.records.add(job.id, good).progress.done == 1
