"""What jobs are based on and what came of them, in the store; limits that hold among many."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from golden import with_values
from sqlalchemy import create_engine, text
from stores import CONTENT, LENGTHS, N_SEGMENTS, STUDY, design_records, submit

from r2rise import compare
from r2rise.design.tasks import baseline_tasks, crossed_tasks
from r2rise.ledger.record import Record
from r2rise_service.storage import (
    IdempotencyKeyReused,
    NewDataset,
    NewJob,
    Source,
    Store,
    StoreConflict,
    TooManyLive,
)

MAP = json.dumps({"study": {**STUDY.model_dump(mode="json"), "seed": 5}})


@pytest.fixture
def source(store, job):
    """A job that succeeded, with a baseline that failed."""
    tasks = baseline_tasks(STUDY, N_SEGMENTS, 2)
    records = [Record(*task.key, np.array([1.5])) for task in tasks[:2]]
    store.records.add(job.id, [*records, Record.failed(tasks[2], "no"), *design_records(range(4))])
    return store.jobs.set_status(job.id, "succeeded", only_from=["queued"])


def new(dataset, kind="certify", *sources, **fields):
    bases = tuple(Source(job.id, f"of {job.id}", MAP) for job in sources)
    return NewJob("me", kind, dataset.id, STUDY, 100, sources=bases, **fields)


def test_a_job_keeps_what_it_is_based_on(store, dataset, source):
    job, _ = store.jobs.add(new(dataset, "certify", source, repetitions=7))
    assert (job.based_on, job.repetitions) == ((source.id,), 7)
    assert store.jobs.get("me", job.id) == job
    assert (job.progress.done, job.progress.failed, job.revision) == (3, 1, 0)
    assert store.results.maps_of(job.id) == [(f"of {source.id}", MAP)]
    assert store.results.maps_of(source.id) == []
    ours, theirs = (store.records.ledger(j.id, LENGTHS, N_SEGMENTS) for j in (job, source))
    assert len(ours) == 3
    for kind in ("random_policy", "baseline"):
        assert [r.to_json() for r in ours.records(kind)] == [
            r.to_json() for r in theirs.records(kind)
        ]
    assert [event.type for event in store.jobs.events(job.id)] == ["job.status"]

    assert store.jobs.remove("me", source.id)
    assert store.results.maps_of(job.id) == [(f"of {source.id}", MAP)]
    curate = new(dataset, "curate", job)
    with pytest.raises(StoreConflict, match="was deleted or retried in the meantime"):
        store.jobs.add(curate)  # it has not succeeded
    assert len(store.jobs.page("me").data) == 1


def test_a_curation_takes_no_baselines_over(store, dataset, source):
    job, _ = store.jobs.add(new(dataset, "curate", source))
    assert (job.progress.done, job.repetitions) == (0, None)


def test_the_dataset_may_be_gone_but_its_content_stays(store, dataset, source):
    store.datasets.remove("me", dataset.id)
    job, _ = store.jobs.add(new(dataset, "certify", source))
    store.jobs.remove("me", source.id)
    assert store.datasets.content_is_used(CONTENT)
    assert store.jobs.get("me", job.id).dataset_id == dataset.id


def test_parts_have_ledgers_and_studies_of_their_own(store, dataset, source):
    job, _ = store.jobs.add(new(dataset, "transfer", source, source))
    assert job.progress.done == 6
    masks = [[np.arange(N_SEGMENTS) == arm for arm in range(2)]]
    others = [[np.arange(N_SEGMENTS) != arm for arm in range(2)]]
    for part, own in ((0, masks), (1, masks), (1, others)):  # the same numbers, other masks
        tasks = crossed_tasks("certify", STUDY, own)
        records = [Record(*task.key, np.array([part + 0.5])) for task in tasks]
        assert store.records.add(job.id, records, part=part).revision == 0
    assert store.jobs.get("me", job.id).progress.done == 12
    first, second = (
        store.records.ledger(job.id, LENGTHS, N_SEGMENTS, part=part) for part in (0, 1)
    )
    assert [r.returns[0] for r in first.records("certify")] == [0.5] * 2
    assert [r.returns[0] for r in second.records("certify")] == [1.5] * 4
    assert (first.header.design["seed"], second.header.design["seed"]) == (STUDY.seed, 5)
    with pytest.raises(StoreConflict, match="has no part 2"):
        store.records.ledger(job.id, LENGTHS, N_SEGMENTS, part=2)


def test_a_result_comes_with_the_success(store, dataset, source, url):
    job, _ = store.jobs.add(new(dataset, "certify", source))
    assert store.results.finish(job.id, "{}") is None
    assert store.results.get(job.id) is None
    store.jobs.start(job.id)
    assert store.results.finish(job.id, '{"n": 1}').status == "succeeded"
    assert store.results.finish(job.id, '{"n": 2}') is None
    assert store.results.get(job.id) == '{"n": 1}'
    store.jobs.retry("me", job.id)
    store.jobs.start(job.id)
    store.results.finish(job.id, '{"n": 3}')
    assert store.results.get(job.id) == '{"n": 3}'
    store.jobs.remove("me", job.id)
    engine = create_engine(url)
    with engine.connect() as connection:
        for table in ("results", "based_on"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    engine.dispose()


def test_the_newest_that_succeeded_is_found(store, dataset, source):
    assert store.results.newest_based_on(source.id, "certify") is None
    jobs = [store.jobs.add(new(dataset, "certify", source))[0] for _ in range(3)]
    for job in jobs[:2]:
        store.jobs.start(job.id)
        store.results.finish(job.id, "{}")
    assert store.results.newest_based_on(source.id, "certify").id == jobs[1].id
    assert store.results.newest_based_on(source.id, "curate") is None
    assert store.results.newest_based_on("job_none", "certify") is None


def test_the_total_only_grows(store, job):
    store.jobs.grow_total(job.id, 150)
    store.jobs.grow_total(job.id, 120)
    store.jobs.grow_total("job_none", 500)
    assert store.jobs.get("me", job.id).progress.total == 150


def test_comparisons_belong_to_their_owner(store):
    comparison = compare(with_values(range(8)), with_values([3, 1, 2, 5, 4, 0, 7, 6]))
    made = store.comparisons.add("me", "job_1", "job_2", comparison)
    assert made.id.startswith("cmp_")
    assert store.comparisons.get("me", made.id) == made
    assert store.comparisons.get("me", made.id).comparison.to_json() == comparison.to_json()
    assert store.comparisons.get("you", made.id) is None
    assert store.comparisons.get("me", "cmp_none") is None


def test_what_was_asked_before_is_found_first(store, dataset, url):
    asked = new(dataset, "explain")
    job, _ = store.jobs.add(asked, idempotency=("key", "body"), max_live=1)
    assert store.jobs.add(asked, idempotency=("key", "body"), max_live=1) == (job, False)
    assert store.jobs.find_idempotent("me", ("key", "body")) == job
    assert store.jobs.find_idempotent("me", ("other", "body")) is None
    assert store.jobs.find_idempotent("you", ("key", "body")) is None
    with pytest.raises(IdempotencyKeyReused):
        store.jobs.find_idempotent("me", ("key", "other"))
    with pytest.raises(TooManyLive, match="You have 1 live jobs; 1 are allowed"):
        store.jobs.add(asked, max_live=1)
    with pytest.raises(IdempotencyKeyReused):
        store.jobs.add(asked, idempotency=("key", "other"), max_live=1)


def test_trying_again_counts_as_live(store, dataset):
    ended = submit(store, dataset)
    with pytest.raises(StoreConflict, match=f"Job {ended.id} is queued"):
        store.jobs.retry("me", ended.id, max_live=1)
    store.jobs.set_status(ended.id, "failed", only_from=["queued"])
    other = submit(store, dataset)
    with pytest.raises(TooManyLive):
        store.jobs.retry("me", ended.id, max_live=1)
    assert store.jobs.retry("you", ended.id) is None
    store.jobs.set_status(other.id, "failed", only_from=["queued"])
    again = store.jobs.retry("me", ended.id, max_live=1)
    assert (again.status, again.status_reason, again.error) == ("queued", "Tried again.", None)


def test_limits_hold_among_servers_that_ask_at_once(store, dataset, url):
    """Two servers share PostgreSQL; on SQLite it is two threads of one."""
    other = Store(url) if "psycopg" in url else store

    def ask(number):
        own = (store, other)[number % 2]
        try:
            key = (f"key {number // 4}", "body")
            return own.jobs.add(new(dataset, "explain"), idempotency=key, max_live=3)[0].id
        except TooManyLive:
            return None

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(40)))
    assert len(set(found) - {None}) == len(store.jobs.live()) == 3
    if other is not store:
        other.close()


def test_the_same_content_from_two_servers_at_once_is_one_dataset(store, dataset, url):
    other = Store(url) if "psycopg" in url else store
    uploads = [NewDataset("me", f"sha256:{n // 8}", LENGTHS, (4,), ()) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(
            lambda pair: (store, other)[pair[0] % 2].datasets.add(pair[1]), enumerate(uploads)
        )
        assert sum(is_new for _, is_new in made) == 5
    if other is not store:
        other.close()
