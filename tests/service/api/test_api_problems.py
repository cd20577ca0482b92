"""Wrong requests: every one is answered with a problem that says what to do."""

import io
import json
import logging
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from api_helpers import CARTPOLE, STUDY, cartpole, check, running
from sqlalchemy import create_engine
from sqlalchemy import text as sql

JSON = {"Content-Type": "application/json"}
SHA = cartpole().content_hash
GOOD = {**STUDY, "demonstrations": SHA}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("server")) as server:
        server.upload()
        yield server


def study(**parts) -> dict:
    return {"json": {"study": {**GOOD, **parts}}}


def text(body: str) -> dict:
    return {"content": body, "headers": JSON}


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


PICKLED = npz(obs=np.array([{}], dtype=object), acts=np.zeros(1), lengths=np.array([1]))
NOT_FINITE = npz(obs=np.full((3, 4), np.nan), acts=np.zeros(2, int), lengths=np.array([2]))

WRONG = [
    ("GET", "/nothing", {}, 404, "not-found"),
    ("GET", "/jobs/", {}, 404, "not-found"),
    ("GET", "/jobs/..%2F..%2Fetc%2Fpasswd", {}, 404, "not-found"),
    ("GET", "/jobs/%00", {}, 404, "not-found"),
    ("GET", "/jobs/%ff%2e%2e", {}, 404, "not-found"),
    ("GET", "/jobs/job_none", {}, 404, "not-found"),
    ("GET", "/jobs/job_none/importance", {}, 404, "not-found"),
    ("GET", "/jobs/job_none/importance.exe", {}, 404, "not-found"),
    ("GET", "/jobs/job_none/events", {"headers": {"Accept": "text/event-stream"}}, 404,
     "not-found"),
    ("GET", "/jobs/job_none/importance", {"headers": {"Accept": "text/html"}}, 406,
     "not-acceptable"),
    ("GET", "/jobs/job_none/importance?estimator=mean", {}, 422, "invalid"),
    ("GET", "/jobs/job_none/events", {"headers": {"Last-Event-ID": "x"}}, 422, "invalid"),
    ("GET", "/jobs/job_none/events?after=-1", {}, 422, "invalid"),
    ("GET", "/jobs/job_none/events?after=99999999999999999999999", {}, 422, "invalid"),
    ("GET", "/jobs/job_none/retrainings?page_token=x", {}, 422, "invalid"),
    ("GET", "/datasets/ds_none", {}, 404, "not-found"),
    ("DELETE", "/datasets/ds_none", {}, 404, "not-found"),
    ("GET", "/algorithms/os:system", {}, 404, "not-found"),
    ("PUT", "/jobs", {}, 405, "method-not-allowed"),
    ("DELETE", "/healthz", {}, 405, "method-not-allowed"),
    ("GET", "/jobs?status=done", {}, 422, "invalid"),
    ("GET", "/jobs?page_size=0", {}, 422, "invalid"),
    ("GET", "/jobs?page_size=501", {}, 422, "invalid"),
    ("GET", "/jobs?page_token=../x", {}, 422, "bad-page-token"),
    ("GET", "/jobs?label=a", {}, 422, "invalid"),
    ("POST", "/jobs", {}, 415, "unsupported-media-type"),
    ("POST", "/jobs", {"content": "x=1", "headers": {"Content-Type": "text/plain"}}, 415,
     "unsupported-media-type"),
    ("POST", "/jobs", text("{"), 422, "invalid"),
    ("POST", "/jobs", text("[" * 100_000), 400, "bad-request"),
    ("POST", "/jobs", text('"study"'), 422, "invalid"),
    ("POST", "/jobs", text(" " * (4 * 2**20 + 1)), 413, "too-large"),
    ("POST", "/jobs", {"json": {}}, 422, "invalid"),
    ("POST", "/jobs", {"json": {"study": []}}, 422, "invalid"),
    ("POST", "/jobs", {"json": {"study": GOOD, "owner": "ann"}}, 422, "invalid"),
    ("POST", "/jobs", {"json": {"study": GOOD, "kind": "certify"}}, 422, "invalid"),
    ("POST", "/jobs", {"json": {"study": GOOD, "priority": 101}}, 422, "invalid"),
    ("POST", "/jobs", {"json": {"study": GOOD, "name": "x" * 201}}, 422, "invalid"),
    ("POST", "/jobs", text('{"study": {}, "name": "\\ud800"}'), 422, "invalid"),
    ("POST", "/jobs", text('{"study": {"\\ud800": 1}}'), 422, "invalid-study"),
    ("POST", "/jobs", text('{"study": {"seed": NaN}}'), 422, "invalid-study"),
    ("POST", "/jobs", {"json": {"study": {}}}, 422, "invalid-study"),
    ("POST", "/jobs", study(preset=[]), 422, "invalid-study"),
    ("POST", "/jobs", study(preset="unknown"), 422, "invalid-study"),
    ("POST", "/jobs", study(demonstrations=None), 422, "invalid-study"),
    ("POST", "/jobs", study(demonstrations="sha256:0"), 422, "invalid-study"),
    ("POST", "/jobs", study(demonstrations="/etc/passwd"), 422, "invalid-study"),
    ("POST", "/jobs", study(environment="os:system"), 422, "invalid-study"),
    ("POST", "/jobs", study(environment="Taxi-v3"), 422, "invalid-study"),
    ("POST", "/jobs", study(environment="r2rise/../x-v0"), 422, "invalid-study"),
    ("POST", "/jobs", study(environment="CartPole-v1\n"), 422, "invalid-study"),
    ("POST", "/jobs", study(environment="r2rise/None-v0"), 422, "refused"),
    ("POST", "/jobs", study(environment="Pendulum-v1"), 422, "refused"),
    ("POST", "/jobs", study(environment={"id": "CartPole-v1", "factory": "os.system"}), 422,
     "invalid-study"),
    ("POST", "/jobs", study(environment={"id": "CartPole-v1", "kwargs": {"a": 1}}), 422,
     "invalid-study"),
    ("POST", "/jobs", study(algorithm="os:system"), 422, "invalid-study"),
    ("POST", "/jobs", study(algorithm="none"), 422, "invalid-study"),
    ("POST", "/jobs", study(algorithm=[1]), 422, "invalid-study"),
    ("POST", "/jobs", study(algorithm={"name": "bc", "implementation": "x"}), 422,
     "invalid-study"),
    ("POST", "/jobs", study(algorithm={"name": "bc", "settings": {"x": 1}}), 422, "refused"),
    ("POST", "/jobs", study(budget=10**9), 422, "invalid-study"),
    ("POST", "/jobs", study(masking={"block_size": 2**60}), 422, "invalid-study"),
    ("POST", "/jobs", study(estimator="mean"), 422, "invalid-study"),
    ("POST", "/jobs", {**study(), "headers": {"Idempotency-Key": "x" * 201}}, 422, "invalid"),
    ("PATCH", "/jobs/job_none", {"json": {"status": "succeeded"}}, 422, "invalid"),
    ("PATCH", "/jobs/job_none", {"json": {"name": "x"}}, 404, "not-found"),
    ("POST", "/jobs/job_none/cancel", {}, 404, "not-found"),
    ("POST", "/jobs/job_none/retry", {}, 404, "not-found"),
    ("POST", "/datasets", {}, 415, "unsupported-media-type"),
    ("POST", "/datasets", {"json": {}}, 415, "unsupported-media-type"),
    ("POST", "/datasets", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
     400, "bad-request"),
    ("POST", "/datasets", {"files": {"data": b"x"}}, 422, "invalid"),
    ("POST", "/datasets", {"files": {"file": (None, "text")}}, 422, "invalid"),
    ("POST", "/datasets", {"files": {"file": b""}}, 422, "bad-demonstrations"),
    ("POST", "/datasets", {"files": {"file": b"no zip"}}, 422, "bad-demonstrations"),
    ("POST", "/datasets", {"files": {"file": PICKLED}}, 422, "bad-demonstrations"),
    ("POST", "/datasets", {"files": {"file": NOT_FINITE}}, 422, "bad-demonstrations"),
    ("POST", "/datasets", {"files": {"file": b"x"}, "data": {"metadata": "[1]"}}, 422, "invalid"),
    ("POST", "/datasets", {"files": {"file": b"x"}, "data": {"metadata": '{"a": NaN}'}}, 422,
     "invalid"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "parts", "status", "code"),
    WRONG,
    ids=[f"{number}-{w[0]}-{w[4]}" for number, w in enumerate(WRONG)],
)
def test_wrong_requests(server, method, path, parts, status, code):
    check(server.client.request(method, path, **parts), status, code)
    assert server.client.get("/jobs").json()["data"] == []


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"masking": {"keep_probability": 2}}, "#/study/masking/keep_probability"),
        ({"masking": {"segment_length": "x"}}, "#/study/masking/segment_length"),
        ({"masking": {"boundaries": [[0, "x"]]}}, "#/study/masking/boundaries/0/1"),
        ({"sed": 1}, "#/study/sed"),
        ({"a/b~": 1}, "#/study/a~1b~0"),
        ({"environment": {"id": "x:y-v0"}}, "#/study/environment/id"),
        ({"environment": {"id": "CartPole-v1", "kwargs": {"a": 1}}}, "#/study/environment/kwargs"),
        ({"algorithm": "bcc"}, "#/study/algorithm/name"),
        ({"demonstrations": "sha256:0"}, "#/study/demonstrations"),
    ],
)
def test_pointers_to_wrong_fields(server, wrong, pointer):
    answer = server.client.post("/jobs", **study(**wrong))
    problem = check(answer, 422, "invalid-study")
    assert pointer in [part.pointer for part in problem.errors]


def test_pointers_outside_the_study(server):
    answer = server.client.post("/jobs", json={"study": GOOD, "labels": {"a": 1}})
    assert [part.pointer for part in check(answer, 422, "invalid").errors] == ["#/labels/a"]
    answer = server.client.get("/jobs", params={"page_size": 0})
    assert [part.pointer for part in check(answer, 422, "invalid").errors] == ["query:page_size"]


def test_wrong_methods_say_which_are_right(server):
    answer = server.client.put("/jobs/job_1")
    check(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) <= {"GET", "PATCH", "DELETE"}


def test_nothing_is_left_of_refused_uploads(server):
    assert [path.name for path in server.settings.datasets.iterdir()] == [
        f"{SHA.removeprefix('sha256:')}.npz"
    ]


def test_a_file_that_hides_a_path_in_its_name(server):
    with CARTPOLE.open("rb") as file:
        answer = server.client.post("/datasets", files={"file": ("../../evil.npz", file)})
    assert answer.status_code == 200
    assert not (server.settings.data.parent / "evil.npz").exists()


def test_unexpected_errors_tell_nothing_but_their_number(tmp_path, caplog):
    with running(tmp_path) as server:
        job = server.job()
        with closing(sqlite3.connect(tmp_path / "r2rise.sqlite")) as database, database:
            database.execute("UPDATE jobs SET kind = 'secret'")
        with caplog.at_level(logging.ERROR):
            answer = server.client.get(f"/jobs/{job.id}")
        problem = check(answer, 500, "internal")
        assert "secret" not in answer.text
        assert "pydantic" not in answer.text.lower()
        assert problem.request_id in caplog.text
        assert server.client.get("/healthz").status_code == 200


def test_problems_are_plain_json(server):
    answer = server.client.get("/jobs/%ED%A0%80")
    assert json.loads(answer.content)["status"] == 404


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"environment": "r2rise/None-v0"}, "#/study/environment/id"),
        ({"environment": "Pendulum-v1"}, "#/study/environment/id"),
        ({"environment": {"id": "CartPole-v1", "obs_keys": ["a"]}}, "#/study/environment/obs_keys"),
        ({"algorithm": {"name": "bc", "settings": {"x": 1}}}, "#/study/algorithm/settings"),
        ({"masking": {"design": "foldover", "block_size": 24}}, "#/study/masking/block_size"),
        ({"masking": {"design": "balanced", "block_size": 9}}, "#/study/masking/block_size"),
        ({"masking": {"boundaries": [[0]], "segment_length": None}}, "#/study/masking/boundaries"),
        ({"execution": {"shard_size": 3}}, "#/study/execution/shard_size"),
        ({"estimator": "rise", "until": {"verdicts": True}}, "#/study/until/verdicts"),
        ({"evaluation": {"backend": "batched", "score": "info:x"}}, "#/study/evaluation/backend"),
    ],
)
def test_what_does_not_fit_is_pointed_at_too(server, wrong, pointer):
    problem = check(server.client.post("/jobs", **study(**wrong)), 422, "refused")
    assert [part.pointer for part in problem.errors] == [pointer]


def test_a_budget_that_was_rounded_up_over_the_limit_says_so(tmp_path):
    with running(tmp_path, max_retrainings=100) as server:
        server.upload()
        asked = study(budget={"retrainings": 97, "baseline_retrainings": 2})
        problem = check(server.client.post("/jobs", **asked), 422, "invalid-study")
        assert "got 115 (97 were rounded up to 112: whole blocks of 16)" in problem.detail


def test_a_database_that_is_gone_is_no_fault_of_the_request(tmp_path, postgres_url):
    with running(tmp_path, database=postgres_url) as server:
        assert server.client.get("/jobs").status_code == 200
        base, _, name = postgres_url.rpartition("/")
        engine = create_engine(f"{base}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sql(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()
        for path in ("/jobs", "/jobs/job_x", "/datasets", "/metrics"):
            answer = server.client.get(path)
            check(answer, 503, "database-unavailable")
            assert answer.headers["retry-after"] == "2"
        check(server.client.get("/readyz"), 503, "degraded")
        assert server.client.get("/healthz").status_code == 200
