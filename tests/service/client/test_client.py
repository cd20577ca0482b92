"""The client's own part: what is tried again, errors, secrets. The server is elsewhere."""

import io
import logging

import httpx2
import numpy as np
import pytest
from client_answers import DATASET, SECRET, Answers, job, problem
from imports import loaded_by

import r2rise
from r2rise.errors import InputError
from r2rise_service import Client
from r2rise_service.client import (
    ApiError,
    CannotReach,
    Conflict,
    NotAllowed,
    NotFound,
    Refused,
    transport,
)


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """Seconds that were waited, without waiting them."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    for name in ("R2RISE_URL", "R2RISE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_the_client_is_light():
    program = "import r2rise_service; r2rise_service.Client()"
    heavy = {
        "torch",
        "gymnasium",
        "scipy",
        "dask",
        "distributed",
        "fastapi",
        "sqlalchemy",
        "uvicorn",
    }
    assert "httpx2" in loaded_by(program)
    assert not heavy & loaded_by(program)


def test_importing_the_package_loads_no_client():
    assert not {"httpx2", "r2rise", "numpy"} & loaded_by("import r2rise_service")


def test_url_and_key_come_from_arguments_then_from_the_environment(monkeypatch):
    assert Client().url == "http://127.0.0.1:8000"
    monkeypatch.setenv("R2RISE_URL", "https://there.example/")
    monkeypatch.setenv("R2RISE_API_KEY", "r2k_other")
    assert Client().url == "https://there.example"
    assert Client(url="http://here:1").url == "http://here:1"
    answers = Answers(httpx2.Response(200, json={"data": []}))
    with Client(transport=httpx2.MockTransport(answers)) as client:
        assert client.datasets.list() == []
    assert answers.requests[0].headers["Authorization"] == "Bearer r2k_other"
    assert str(answers.requests[0].url) == "https://there.example/api/v1/datasets"


@pytest.mark.parametrize("url", ["here:8000", "ftp://here", "http://", f"http://a:{SECRET}@here"])
def test_a_url_that_is_none_is_refused_without_being_repeated(url):
    with pytest.raises(InputError, match="should look like") as caught:
        Client(url=url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status, waits):
    answers = Answers(problem(status), httpx2.ConnectError("no"), httpx2.Response(200, json=job()))
    assert answers.client().jobs.get("job_1").progress.total == 9
    assert len(answers.requests) == 3
    assert 0 <= waits[0] <= 0.5
    assert 0 <= waits[1] <= 1


def test_the_server_says_how_long_to_wait(waits, caplog):
    slow = [problem(429, **{"Retry-After": "7"}), problem(503, **{"Retry-After": "9999"})]
    answers = Answers(*slow, httpx2.Response(200, json=job()))
    answers.client().jobs.get("job_1")
    assert waits == [7.0, transport.MAX_RETRY_AFTER]
    assert [record.getMessage() for record in caplog.records] == [
        "This is so. Trying again in 7 s.",
        "This is so. Trying again in 60 s.",
    ]


def test_a_date_in_retry_after_is_waited_for_as_if_it_were_not_there(waits):
    answers = Answers(
        problem(503, **{"Retry-After": "Mon, 23 Nov 2026 14:00:00 GMT"}),
        httpx2.Response(200, json=job()),
    )
    answers.client().jobs.get("job_1")
    assert 0 <= waits[0] <= 0.5


def test_attempts_are_limited_and_fewer_at_a_server_that_never_answered(waits):
    answers = Answers(*[httpx2.ConnectError("refused")] * 3)
    with pytest.raises(CannotReach, match=r"No server answers at .*refused.*r2rise serve"):
        answers.client().jobs.get("job_1")
    assert len(waits) == 2

    waits.clear()
    gone = [httpx2.ReadError("gone")] * transport.ATTEMPTS
    answers = Answers(httpx2.Response(200, json=job()), *gone)
    found = answers.client().jobs.get("job_1")
    with pytest.raises(CannotReach):
        found.refresh()
    assert len(waits) == transport.ATTEMPTS - 1
    assert max(waits) <= transport.MAX_DELAY


def test_known_demonstrations_are_not_sent_again(tmp_path, demonstrations):
    demonstrations.save(tmp_path / "demos.npz")
    for given in (demonstrations, tmp_path / "demos.npz", str(tmp_path / "demos.npz")):
        answers = Answers(httpx2.Response(200, json={"data": [DATASET]}))
        assert answers.client().datasets.upload(given).id == "ds_1"
        assert answers.requests[0].url.params["sha256"] == demonstrations.content_hash


@pytest.mark.parametrize("as_file", [True, False])
def test_new_demonstrations_are_sent_whole_also_the_second_time(tmp_path, demonstrations, as_file):
    demonstrations.save(tmp_path / "demos.npz")
    answers = Answers(
        httpx2.Response(200, json={"data": []}), problem(503), httpx2.Response(201, json=DATASET)
    )
    given = tmp_path / "demos.npz" if as_file else demonstrations
    answers.client().datasets.upload(given, metadata={"robot": "arm"})
    for request in answers.requests[1:]:
        assert b'{"robot": "arm"}' in request.content
        start = request.content.index(b"PK\x03\x04")
        with np.load(io.BytesIO(request.content[start:])) as arrays:
            np.testing.assert_array_equal(arrays["acts"], demonstrations.acts)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Refused), (401, NotAllowed), (403, NotAllowed), (404, NotFound), (409, Conflict),
        (412, Conflict), (413, Refused), (415, Refused), (421, ApiError), (422, Refused),
    ],
)  # fmt: skip
def test_problems_become_errors(status, error, waits):
    answers = Answers(problem(status))
    with pytest.raises(ApiError) as caught:
        answers.client().jobs.get("job_1")
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.code) == (status, "x")
    assert str(caught.value) == "This is so.\n  #/study/seed: too low"
    assert isinstance(caught.value, InputError) == (error in (Refused, NotFound))
    assert waits == []


def test_an_answer_of_something_else_is_named(waits):
    answers = Answers(httpx2.Response(404, text="<html>nginx</html>"))
    with pytest.raises(NotFound, match="404 Not Found, not as R2RISE does"):
        answers.client().jobs.get("job_1")


def test_the_key_is_nowhere_to_be_seen(caplog):
    caplog.set_level(logging.DEBUG)
    answers = Answers(
        httpx2.Response(200, json=job()), problem(401), *[httpx2.ConnectError("x")] * 9
    )
    client = answers.client()
    found = client.jobs.get("job_1")
    texts = [repr(client), repr(found), str(vars(client)), str(vars(client.jobs))]
    for _ in range(2):
        with pytest.raises(r2rise.R2RiseError) as caught:
            found.refresh()
        texts += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    assert SECRET not in "".join([*texts, caplog.text])
    assert answers.requests[-1].headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("key", [f"{SECRET}\nX-Other: 1", f"{SECRET}\x00", f"{SECRET}\u2013"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_repeated(key):
    with pytest.raises(InputError, match="Copy it again") as caught:
        Client(api_key=key)
    assert SECRET not in str(caught.value)


def test_a_line_end_after_a_key_is_no_part_of_it():
    answers = Answers(httpx2.Response(200, json=job()))
    with Client(transport=httpx2.MockTransport(answers), api_key=f"{SECRET}\n") as client:
        client.jobs.get("job_1")
    assert answers.requests[0].headers["Authorization"] == f"Bearer {SECRET}"


def test_an_id_stays_an_id():
    answers = Answers(problem(404))
    with pytest.raises(NotFound):
        answers.client().jobs.get("../datasets?sha256=")
    assert answers.requests[0].url.raw_path == b"/api/v1/jobs/..%2Fdatasets%3Fsha256%3D"
