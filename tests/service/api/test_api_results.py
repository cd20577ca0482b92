"""Maps, ledgers and events over REST."""

import asyncio
import csv
import io
import json

import numpy as np
import pytest
from api_helpers import cartpole, records, running

import r2rise
from r2rise import ImportanceMap, importance_map
from r2rise.ledger.ledger import Ledger, LedgerHeader
from r2rise.statistics.stopping import shorten_to_stop
from r2rise_service.api.computed import SingleFlight
from r2rise_service.api.events import NewEvents, drop_superseded, render_events, stream
from r2rise_service.api.importance import negotiate_ending
from r2rise_service.api.problems import ProblemError
from r2rise_service.models import JobEvent


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def job(server):
    job = server.job()
    server.work(job)
    return server.store.jobs.get("local", job.id)


def expected(job, estimator=None) -> ImportanceMap:
    study = job.study.model_copy(update={"estimator": estimator or job.study.estimator})
    lengths = tuple(cartpole().lengths.tolist())
    header = LedgerHeader(job.study.design_part(), lengths, len(cartpole().segments(study.masking)))
    return importance_map(Ledger(header, records()), study)


def plain(text: str) -> dict:
    def no_number(name):
        raise AssertionError(f"{name} in JSON")

    fields = json.loads(text, parse_constant=no_number)
    del fields["created_at"]
    return fields


@pytest.mark.parametrize("estimator", [None, "difference", "ridge", "rise", "rise_normalized"])
def test_the_map_is_that_of_the_library(server, job, estimator):
    params = {"estimator": estimator} if estimator else {}
    answer = server.client.get(f"/jobs/{job.id}/importance", params=params)
    assert answer.status_code == 200
    assert plain(answer.text) == plain(expected(job, estimator).to_json())
    assert not answer.json()["partial"]
    assert answer.json()["revision"] == job.revision == 32


def test_every_format_holds_the_same_map(server, job, tmp_path):
    path = f"/jobs/{job.id}/importance"
    want = expected(job)
    for ending, kind in {
        ".json": "application/json", ".csv": "text/csv", ".npz": "application/x-npz",
        ".png": "image/png", ".svg": "image/svg+xml",
    }.items():  # fmt: skip
        named = server.client.get(path + ending)
        asked = server.client.get(path, headers={"Accept": kind})
        assert named.status_code == asked.status_code == 200
        assert named.content == asked.content
        assert named.headers["content-type"].partition(";")[0] == kind
        assert named.headers["etag"] == asked.headers["etag"]
        assert named.headers["etag"].startswith('W/"32-')
        assert set(named.headers["vary"].split(", ")) == {"Accept", "Accept-Encoding"}
        (tmp_path / f"map{ending}").write_bytes(named.content)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "map.csv").read_text())))
    assert [float(row["importance"]) for row in rows] == want.importance.tolist()
    with np.load(tmp_path / "map.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["std_error"], want.std_error)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "map.svg").read_text()


def test_a_known_map_is_not_sent_again(server, job):
    path = f"/jobs/{job.id}/importance"
    first = server.client.get(path)
    tag = {"If-None-Match": first.headers["etag"]}
    again = server.client.get(path, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert server.client.get(f"{path}.csv", headers=tag).status_code == 200
    assert server.client.get(path, headers=tag, params={"estimator": "ridge"}).status_code == 200


def test_maps_are_compressed_where_that_is_accepted(server, job):
    path = f"/jobs/{job.id}/importance"
    packed = server.client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    plain_ = server.client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain_.headers
    assert packed.content == plain_.content


def test_a_map_while_the_job_runs(tmp_path):
    with running(tmp_path) as server:
        job = server.job()
        path = f"/jobs/{job.id}/importance"
        early = server.client.get(path)
        assert (early.status_code, early.json()["code"]) == (409, "not-ready")
        server.work(job, 3 + 16)
        partial = server.client.get(path)
        assert partial.status_code == 200
        assert partial.json()["partial"]
        assert partial.json()["revision"] == 16
        server.work(job)
        tag = {"If-None-Match": partial.headers["etag"]}
        whole = server.client.get(path, headers=tag)
        assert (whole.status_code, whole.json()["partial"]) == (200, False)


def test_a_map_changes_with_baselines_that_come_late(tmp_path):
    with running(tmp_path) as server:
        job = server.job()
        baselines, design = records()[:3], records()[3:]
        server.store.records.add(job.id, design)
        path = f"/jobs/{job.id}/importance"
        assert server.client.get(path).json()["baseline"]["all_frames"] is None
        server.store.records.add(job.id, baselines)
        assert server.client.get(path).json()["baseline"]["all_frames"]["n_retrainings"] == 2


def test_the_map_of_a_job_whose_dataset_was_deleted(tmp_path):
    with running(tmp_path) as server:
        job = server.job()
        server.work(job)
        assert server.client.delete(f"/datasets/{job.dataset_id}").status_code == 204
        assert server.client.get(f"/jobs/{job.id}/importance").status_code == 200


def test_the_ledger_in_pages_and_whole(server, job, tmp_path):
    path = f"/jobs/{job.id}/retrainings"
    found, token = [], 0
    while token is not None:
        params = {"page_size": 20, "page_token": token}
        page = server.client.get(path, params=params).json()
        found += page["data"]
        token = page["next_page_token"]
    assert found == [record.to_json() for record in records() if record.kind == "design"]
    only = server.client.get(path, params={"kind": "baseline"}).json()["data"]
    assert [record["index"] for record in only] == [0, 1]

    file = tmp_path / "ledger.npz"
    file.write_bytes(server.client.get(path, params={"format": "npz"}).content)
    ledger = Ledger.load(file)
    assert ledger.header.design_hash == job.study.design_hash
    assert [ledger.get(r).to_json() for r in records()] == [r.to_json() for r in records()]


def blocks(text: str) -> list[dict]:
    found = [dict(line.split(": ", 1) for line in b.splitlines()) for b in text.split("\n\n") if b]
    return [{**block, "data": json.loads(block["data"])} for block in found]


def test_events_as_a_list_and_as_a_stream(server, job):
    path = f"/jobs/{job.id}/events"
    listed = server.client.get(path).json()["data"]
    assert [event["type"] for event in listed] == [
        "job.status", "job.status", "job.progress", "job.importance", "job.status",
    ]  # fmt: skip
    accept = {"Accept": "text/event-stream"}
    answer = server.client.get(path, headers=accept)
    assert answer.headers["content-type"].startswith("text/event-stream")
    streamed = blocks(answer.text)
    assert [block["data"] for block in streamed] == listed
    assert [(int(b["id"]), b["event"]) for b in streamed] == [(e["id"], e["type"]) for e in listed]

    known = listed[2]["id"]
    rest = server.client.get(path, headers={**accept, "Last-Event-ID": str(known)})
    assert [block["data"] for block in blocks(rest.text)] == listed[3:]
    assert server.client.get(path, headers={"Last-Event-ID": str(known)}).json()["data"] == (
        server.client.get(path, params={"after": known}).json()["data"]
    ) == listed[3:]  # fmt: skip


def test_streams_end_when_the_server_stops(tmp_path):
    with running(tmp_path) as server:
        job = server.job()
        server.app.state.context.stopping.set()
        answer = server.client.get(
            f"/jobs/{job.id}/events", headers={"Accept": "text/event-stream"}
        )
        assert (answer.status_code, answer.text) == (200, "")


def event(number: int, kind: str) -> JobEvent:
    return JobEvent(id=number, job_id="job_1", type=kind, data={}, created_at="2026-01-01T00:00Z")


def test_a_silent_stream_shows_that_it_lives():
    waits = []

    async def wait(last, at_once):
        waits.append((last, at_once))
        if len(waits) == 2:
            await asyncio.sleep(100)
        return NewEvents(render_events([event(1, "job.status")]), 1, has_ended=len(waits) == 3)

    async def all_lines():
        return [line async for line in stream(wait, 0, heartbeat=0.003)]

    lines = asyncio.run(all_lines())
    assert [line.partition(b"\ndata")[0] for line in lines] == [
        b"id: 1\nevent: job.status", b": still here\n\n", b"id: 1\nevent: job.status",
    ]  # fmt: skip
    assert waits == [(0, True), (1, False), (1, False)]


def test_progress_that_was_overtaken_is_left_out():
    kinds = ["job.progress", "job.importance", "job.progress", "job.status"]
    new = [event(number, kind) for number, kind in enumerate(kinds, 1)]
    assert [e.id for e in drop_superseded(new)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("header", "ending"),
    [
        ("*/*", ".json"),
        ("image/*", ".png"),
        ("text/html, text/csv;q=0.5", ".csv"),
        ("application/json;q=0.1, image/svg+xml", ".svg"),
        ("*/*, application/json;q=0", ".csv"),
        ("image/png;q=wrong, text/*", ".csv"),
    ],
)
def test_what_an_accept_header_likes_best(header, ending):
    assert negotiate_ending(header) == ending


def test_what_nobody_can_give():
    with pytest.raises(ProblemError, match="Accept is 'text/html'"):
        negotiate_ending("text/html")


def test_what_failed_is_computed_again():
    once, calls = SingleFlight(2), []

    def compute():
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("not yet")
        return len(calls)

    with pytest.raises(ValueError, match="not yet"):
        once.get("a", compute)
    assert [once.get("a", compute), once.get("a", compute)] == [2, 2]
    assert [once.get(key, compute) for key in "bca"] == [3, 4, 5]


def test_another_estimator_sees_what_the_study_used(tmp_path):
    """A study that stopped by itself is not continued by the estimator that a client asks for."""
    demonstrations = cartpole()
    asked = r2rise.Study(environment="CartPole-v1", until={"reliability": 0.8})
    own = r2rise.explain(demonstrations, asked, out=tmp_path)
    ledger = r2rise.Ledger.load(tmp_path / "ledger.npz")
    other = shorten_to_stop(own.study, ledger).model_copy(update={"estimator": "rise"})
    found = r2rise.importance_map(ledger, other)
    assert own.stopped is not None
    assert (found.revision, found.partial) == (own.revision, False)
