"""What many clients ask at once is looked up or computed once, and still up to date."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from api_helpers import running

from r2rise_service.api import computed as api_computed
from r2rise_service.api.events import EventPoller
from r2rise_service.keys import digest_of, new_secret

N_CLIENTS = 50


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def test_fifty_clients_at_once_cost_one_computation_a_revision(server, monkeypatch):
    job = server.job()
    server.work(job, 20)
    computed, compute = Counter(), api_computed.importance_map

    def counted(ledger, *rest):
        computed[len(ledger.records("design"))] += 1
        return compute(ledger, *rest)

    def ask(_):
        return server.client.get(f"/jobs/{job.id}/importance.json").content

    monkeypatch.setattr(api_computed, "importance_map", counted)
    for n_records in (20, 30):
        server.work(job, n_records)
        with ThreadPoolExecutor(N_CLIENTS) as pool:
            assert len(set(pool.map(ask, range(N_CLIENTS)))) == 1
    before = server.client.get(f"/jobs/{job.id}/importance.json").headers["etag"]
    server.client.patch(f"/jobs/{job.id}", json={"name": "new", "priority": 3})
    assert server.client.get(f"/jobs/{job.id}/importance.json").headers["etag"] == before
    assert list(computed.values()) == [1, 1], computed


def test_streams_that_know_equally_much_share_a_look(server):
    job = server.job()
    looks, seen = EventPoller(server.store, lambda: False, poll_seconds=0.001), Counter()
    look = looks._read_events

    def counted(owner, job_id, last):
        seen[last] += 1
        return look(owner, job_id, last)

    looks._read_events = counted

    async def follow():
        first = await asyncio.gather(
            *(looks.wait_for_events("local", job.id, 0, True) for _ in range(N_CLIENTS))
        )
        (last,) = {news.last for news in first}
        waiting = [
            asyncio.create_task(looks.wait_for_events("local", job.id, last, False))
            for _ in range(N_CLIENTS)
        ]
        while seen[last] < 3:
            await asyncio.sleep(0.001)
        server.store.jobs.set_status(job.id, "canceled", only_from=("queued",))
        return first, await asyncio.gather(*waiting)

    first, second = asyncio.run(follow())
    assert seen[0] == 1
    assert len({id(news) for news in first}) == len({id(news) for news in second}) == 1
    assert b'"queued"' in first[0].text
    assert not first[0].has_ended
    assert b'"canceled"' in second[0].text
    assert not looks._tasks
    assert not looks._waiting


def test_nobody_looks_for_streams_that_were_closed(server):
    job = server.job()
    looks = EventPoller(server.store, lambda: False, poll_seconds=0.001)

    async def follow():
        waiting = asyncio.create_task(looks.wait_for_events("local", job.id, 10**6, False))
        await asyncio.sleep(0.01)
        assert len(looks._tasks) == 1
        waiting.cancel()
        while looks._tasks:
            await asyncio.sleep(0.001)
        return waiting.cancelled()

    assert asyncio.run(follow())
    assert not looks._waiting


def test_a_list_shows_ended_jobs_as_they_are_now(server):
    jobs = [server.job() for _ in range(3)]
    for job in jobs:
        server.store.jobs.set_status(job.id, "canceled", only_from=("queued",))

    def listed():
        return {one["id"]: one for one in server.client.get("/jobs").json()["data"]}

    first = listed()
    assert listed() == first
    server.client.patch(f"/jobs/{jobs[1].id}", json={"name": "new"})
    server.store.jobs.set_status(jobs[2].id, "queued", only_from=("canceled",))
    now = listed()
    assert [now[job.id]["name"] for job in jobs] == ["", "new", ""]
    assert [now[job.id]["status"] for job in jobs] == ["canceled", "canceled", "queued"]
    assert now[jobs[1].id] == server.client.get(f"/jobs/{jobs[1].id}").json()
    assert now[jobs[0].id] == first[jobs[0].id]


def test_a_key_that_was_just_used_is_refused_once_it_is_revoked(server):
    secret = new_secret()
    key = server.store.keys.add("ann", "key", ["read"], digest_of(secret))
    ann = server.connect(secret)
    assert ann.get("/jobs").status_code == 200
    server.store.keys.revoke(key.id)
    assert ann.get("/jobs").status_code == 401
