"""What many clients ask at once is looked up or computed once, and still up to date."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from api_helpers import running

from r2rise_service.api import maps
from r2rise_service.api.events import Looks
from r2rise_service.keys import digest_of, new_secret

N_CLIENTS = 50


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def test_fifty_clients_at_once_cost_one_computation_a_revision(server, monkeypatch):
    job = server.job()
    server.work(job, 20)
    computed, compute = Counter(), maps.importance_map

    def counted(ledger, *rest):
        computed[len(ledger.records("design"))] += 1
        return compute(ledger, *rest)

    def ask(_):
        return server.client.get(f"/jobs/{job.id}/importance.json").content

    monkeypatch.setattr(maps, "importance_map", counted)
    for n_records in (20, 30):
        server.work(job, n_records)
        with ThreadPoolExecutor(N_CLIENTS) as pool:
            assert len(set(pool.map(ask, range(N_CLIENTS)))) == 1
    assert list(computed.values()) == [1, 1], computed


def test_streams_that_know_equally_much_share_a_look(server):
    job = server.job()
    looks, seen = Looks(server.store), Counter()
    look = looks._look

    def counted(owner, job_id, last):
        seen[last] += 1
        return look(owner, job_id, last)

    looks._look = counted

    async def follow():
        return await asyncio.gather(
            *(looks.look("local", job.id, last) for last in (0, 0, 10**6) * N_CLIENTS)
        )

    found = asyncio.run(follow())
    assert seen == {0: 1, 10**6: 1}
    assert [event.type for event in found[0][1]] == ["job.status"]
    assert found[1] == found[0]
    assert found[2] == (False, [])


def test_a_list_shows_ended_jobs_as_they_are_now(server):
    jobs = [server.job() for _ in range(3)]
    for job in jobs:
        server.store.set_status(job.id, "canceled", only_from=("queued",))

    def listed():
        return {one["id"]: one for one in server.client.get("/jobs").json()["data"]}

    first = listed()
    assert listed() == first
    server.client.patch(f"/jobs/{jobs[1].id}", json={"name": "new"})
    server.store.set_status(jobs[2].id, "queued", only_from=("canceled",))
    now = listed()
    assert [now[job.id]["name"] for job in jobs] == ["", "new", ""]
    assert [now[job.id]["status"] for job in jobs] == ["canceled", "canceled", "queued"]
    assert now[jobs[1].id] == server.client.get(f"/jobs/{jobs[1].id}").json()
    assert now[jobs[0].id] == first[jobs[0].id]


def test_a_key_that_was_just_used_is_refused_once_it_is_revoked(server):
    secret = new_secret()
    key = server.store.add_key("ann", "key", ["read"], digest_of(secret))
    ann = server.connect(secret)
    assert ann.get("/jobs").status_code == 200
    server.store.revoke_key(key.id)
    assert ann.get("/jobs").status_code == 401
