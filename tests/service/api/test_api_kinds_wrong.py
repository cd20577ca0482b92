"""Wrong requests for jobs that are based on maps, and comparisons over REST."""

import pytest
from api_helpers import OTHER, STUDY, ask, cartpole, check, map_of, running
from worth import without_time

import r2rise
from r2rise_service.models import ComparisonInfo, JobInfo


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("server"), max_retrainings=2000) as server:
        yield server


@pytest.fixture(scope="module")
def explained(server) -> JobInfo:
    return server.explained()


@pytest.fixture(scope="module")
def other(server) -> JobInfo:
    return server.explained(algorithm=OTHER)


@pytest.fixture(scope="module")
def certified(server, explained) -> JobInfo:
    return server.done(ask(server, "certify", explained.id, repetitions=2).json()["id"])


def wrong_jobs(explained, other, certified, live):
    """Bodies, and the status, code and pointer that they are answered with."""
    study = {**STUDY, "demonstrations": cartpole().content_hash}
    one, two = explained.id, [explained.id, other.id]
    return [
        ({"kind": "explain"}, 422, "invalid", "#/study"),
        ({"kind": "explain", "study": study, "based_on": one}, 422, "invalid", "#/based_on"),
        ({"kind": "explain", "study": study, "repetitions": 5}, 422, "invalid", "#/repetitions"),
        ({"kind": "certify"}, 422, "invalid", "#/based_on"),
        ({"kind": "certify", "based_on": two}, 422, "invalid", "#/based_on"),
        ({"kind": "certify", "based_on": 3}, 422, "invalid", "#/based_on"),
        ({"kind": "certify", "based_on": one, "study": study}, 422, "invalid", "#/study"),
        ({"kind": "certify", "based_on": one, "repetitions": 1}, 422, "invalid", "#/repetitions"),
        ({"kind": "certify", "based_on": one, "repetitions": 999}, 422, "refused",
         "#/repetitions"),
        ({"kind": "certify", "based_on": "job_none"}, 422, "refused", "#/based_on"),
        ({"kind": "certify", "based_on": certified.id}, 422, "refused", "#/based_on"),
        ({"kind": "certify", "based_on": live}, 409, "not-finished", None),
        ({"kind": "curate", "based_on": one, "repetitions": 5}, 422, "invalid", "#/repetitions"),
        ({"kind": "transfer", "based_on": one}, 422, "invalid", "#/based_on"),
        ({"kind": "transfer", "based_on": [one, one]}, 422, "invalid", "#/based_on"),
        ({"kind": "transfer", "based_on": [one, "job_none"]}, 422, "refused", "#/based_on"),
        ({"kind": "compare", "based_on": two}, 422, "invalid", "#/kind"),
    ]  # fmt: skip


def test_wrong_jobs(server, explained, other, certified):
    live = server.submit().json()["id"]
    before = server.client.get("/jobs", params={"page_size": 500}).json()["data"]
    for dry_run in (False, True):
        for body, status, code, pointer in wrong_jobs(explained, other, certified, live):
            answer = server.client.post("/jobs", params={"dry_run": dry_run}, json=body)
            problem = check(answer, status, code)
            pointers = [part.pointer for part in problem.errors]
            assert pointers == ([pointer] if pointer else []), body
    assert server.client.get("/jobs", params={"page_size": 500}).json()["data"] == before
    server.client.post(f"/jobs/{live}/cancel")


def test_maps_that_do_not_allow_what_is_asked(server, explained):
    whole = server.explained(masking={"segment_length": 50})
    ids = [explained.id, whole.id]
    check(ask(server, "transfer", ids), 422, "not-comparable")
    both = {"a": explained.id, "b": whole.id}
    check(server.client.post("/comparisons", json=both), 422, "not-comparable")
    ordered = server.explained(estimator="rise")
    problem = check(ask(server, "curate", ordered.id), 422, "refused")
    assert "only ranks segments" in problem.detail
    assert ask(server, "certify", ordered.id, repetitions=2).status_code == 202


def test_comparisons_are_those_of_the_library_and_stay(tmp_path):
    with running(tmp_path) as server:
        a, b = server.explained(), server.explained(algorithm=OTHER)
        made = server.client.post("/comparisons", json={"a": a.id, "b": b.id})
        assert made.status_code == 201
        oracle = r2rise.compare(map_of(server, a), map_of(server, b))
        found = ComparisonInfo.model_validate(made.json())
        assert (found.a, found.b) == (a.id, b.id)
        assert without_time(found.comparison) == without_time(oracle)
        for job in (a, b):
            assert server.client.delete(f"/jobs/{job.id}").status_code == 204
        assert made.headers["location"] == f"/api/v1/comparisons/{found.id}"
        assert server.client.get(f"/comparisons/{found.id}").json() == made.json()


def test_wrong_comparisons(server, explained, certified):
    live = server.submit().json()["id"]
    for body, status, code, pointer in (
        ({"a": explained.id}, 422, "invalid", "#/b"),
        ({"a": explained.id, "b": "job_none"}, 422, "refused", "#/b"),
        ({"a": certified.id, "b": explained.id}, 422, "refused", "#/a"),
        ({"a": explained.id, "b": live}, 409, "not-ready", None),
        ({"a": explained.id, "b": explained.id, "k": 5}, 422, "invalid", "#/k"),
    ):
        problem = check(server.client.post("/comparisons", json=body), status, code)
        assert [part.pointer for part in problem.errors] == ([pointer] if pointer else [])
    check(server.client.get("/comparisons/cmp_none"), 404, "not-found")
    check(server.client.post("/comparisons"), 415, "unsupported-media-type")
    server.client.post(f"/jobs/{live}/cancel")


def test_jobs_and_comparisons_of_others_are_unknown(server, explained, certified):
    made = server.client.post("/comparisons", json={"a": explained.id, "b": explained.id}).json()
    assert server.store.comparisons.get("ann", made["id"]) is None
    assert server.store.comparisons.get("local", made["id"]) is not None


def test_the_same_key_gives_the_same_job_whatever_happened_since(tmp_path):
    with running(tmp_path, max_live_jobs=1) as server:
        explained = server.explained()
        client = server.connect()
        client.headers["Idempotency-Key"] = "once"
        body = {"kind": "certify", "based_on": explained.id, "repetitions": 2}
        first = client.post("/jobs", json=body)
        assert first.status_code == 202
        check(ask(server, "curate", explained.id), 429, "too-many-jobs")
        server.client.delete(f"/jobs/{explained.id}")
        again = client.post("/jobs", json=body)
        assert (again.status_code, again.json()) == (202, first.json())
        check(client.post("/jobs", json={**body, "repetitions": 3}), 422, "idempotency-key-reused")
