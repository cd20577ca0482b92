"""A live job without workers: what it asks for when shards are lost, fail or were done before."""

import pytest
import worth
from api_helpers import STUDY, cartpole, running

import r2rise
from r2rise.errors import StudyFailed
from r2rise.ledger.record import Record
from r2rise.run.retraining import unpack_retrainer
from r2rise_service.queue.admission import make_job_work


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def done(work, shard) -> list[Record]:
    own, shard = shard
    return unpack_retrainer(own.packed).run(shard, lambda _: None)


def failed(shard) -> list[Record]:
    return shard[1].failed("lost its way")


def keys(shards) -> set:
    return {task.key for _, shard in shards for task in shard.tasks}


def rest(work) -> list:
    taken = []
    while work.has_more:
        taken.append(work.take_shard())
    return taken


def test_lost_shards_are_asked_for_again_until_they_come(server):
    work = make_job_work(server.job(), server.store, server.files)
    work.ask()
    shards = rest(work)
    lost = shards[-1]
    for shard in shards[:-1]:
        work.add_records(shard[1], done(work, shard))
    for _ in range(3):
        assert not work.is_idle
        work.add_records(lost[1], [])
        assert work.is_idle
        work.ask()
        assert not work.answered
        (lost,) = again = rest(work)
        assert keys(again) == keys([lost])
    work.add_records(lost[1], done(work, lost))
    work.ask()
    assert work.answered


def test_what_failed_is_tried_once_by_each_server(server):
    server.upload()
    execution = {"max_failed_share": 1.0}
    study = {**STUDY, "demonstrations": cartpole().content_hash, "execution": execution}
    job = server.store.jobs.get("local", server.submit(study=study).json()["id"])
    for _ in range(2):
        work = make_job_work(job, server.store, server.files)
        work.ask()
        shards = rest(work)
        first = next(shard for shard in shards if shard[1].tasks[0].kind == "design")
        for shard in shards:
            came = failed(shard) if shard is first else done(work, shard)
            server.store.records.add(job.id, came)
            work.add_records(shard[1], came)
        work.ask()
        assert work.answered
    assert keys(shards) == keys([first])  # the second server had nothing else to do


def test_too_many_failures_count_over_lost_shards(server):
    job = server.job()
    work = make_job_work(job, server.store, server.files)
    work.ask()
    shards = rest(work)
    baselines = next(shard for shard in shards if shard[1].tasks[0].kind == "baseline")
    work.add_records(baselines[1], failed(baselines))
    with pytest.raises(StudyFailed, match="retrainings on all frames failed"):
        work.may_stop()


def test_a_transfer_asks_all_learners_for_everything_at_once(server):
    a = server.explained()
    b = server.explained(seed=9)
    body = {"kind": "transfer", "based_on": [a.id, b.id], "repetitions": 2}
    job = server.client.post("/jobs", json=body).json()
    work = make_job_work(server.store.jobs.get("local", job["id"]), server.store, server.files)
    work.ask()
    shards = rest(work)
    assert {work.part_of(shard) for _, shard in shards} == {0, 1}
    assert work.in_flight == len(shards)
    assert work.total == job["progress"]["total"]
    n_tasks = len({(work.part_of(shard), task.key) for _, shard in shards for task in shard.tasks})
    assert n_tasks == job["progress"]["total"] - job["progress"]["done"]
    for shard in shards:
        work.add_records(shard[1], done(work, shard))
    assert work.is_idle
    work.ask()
    assert work.answered
    maps = {j.id: server.app.state.context.maps.map(j) for j in (a, b)}
    oracle = r2rise.transfer(cartpole(), maps, repetitions=2)
    assert worth.without_time(work.result) == worth.without_time(oracle)
