"""The client's own part: what is tried again, events, errors, secrets. The server is elsewhere."""

import io
import json
import logging
import subprocess
import sys

import httpx2
import numpy as np
import pytest
import toys

import r2rise
from r2rise.errors import InputError, StudyError
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

SECRET = "r2k_very-secret"
DATASET = {
    "id": "ds_1", "sha256": toys.demonstrations().content_hash, "n_demonstrations": 2,
    "n_frames": 80, "lengths": [40, 40], "obs_shape": [1], "act_shape": [1],
    "created_at": "2026-01-01T00:00:00Z",
}  # fmt: skip


def job(status: str = "running", **fields):
    return {
        "id": "job_1", "kind": "explain", "status": status, "dataset_id": "ds_1",
        "study": {"environment": {"id": "CartPole-v1"}}, "study_hash": "sha256:0",
        "progress": {"done": 3, "total": 9}, "created_at": "2026-01-01T00:00:00Z",
        "of_a_later_version": 1, **fields,
    }  # fmt: skip


def event(number: int, type_: str = "job.progress", **data) -> dict:
    return {
        "id": number, "job_id": "job_1", "type": type_, "data": data,
        "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def stream(*events: dict) -> httpx2.Response:
    text = "".join(
        f"id: {e['id']}\nevent: {e['type']}\ndata: {json.dumps(e)}\n\n: ping\n\n" for e in events
    )
    return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def problem(status: int, **headers: str) -> httpx2.Response:
    body = {
        "type": "urn:r2rise:problem:x", "title": "X", "status": status, "detail": "This is so.",
        "code": "x", "errors": [{"pointer": "#/study/seed", "detail": "too low", "code": "ge"}],
    }  # fmt: skip
    return httpx2.Response(status, json=body, headers=headers)


class Answers:
    """Answers requests one after another, and remembers them."""

    def __init__(self, *answers: httpx2.Response | Exception):
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options) -> Client:
        return Client(transport=httpx2.MockTransport(self), api_key=SECRET, **options)


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """Seconds that were waited, without waiting them."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    for name in ("R2RISE_URL", "R2RISE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_the_client_is_light():
    code = "import sys, r2rise_service; r2rise_service.Client(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"torch", "dask", "distributed", "fastapi", "sqlalchemy", "scipy.stats", "uvicorn"}
    assert "httpx2" in loaded
    assert not heavy & set(loaded)


def test_importing_the_package_loads_no_client():
    code = "import sys, r2rise_service; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"httpx2", "r2rise", "numpy"} & set(loaded)


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


def test_the_server_says_how_long_to_wait(waits):
    slow = [problem(429, **{"Retry-After": "7"}), problem(503, **{"Retry-After": "9999"})]
    answers = Answers(*slow, httpx2.Response(200, json=job()))
    answers.client().jobs.get("job_1")
    assert waits == [7.0, transport.LONGEST_RETRY_AFTER]


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
    assert max(waits) <= transport.LONGEST_DELAY


def test_a_job_is_created_once_however_often_it_is_sent():
    answers = Answers(
        httpx2.Response(200, json=DATASET), httpx2.ReadTimeout("slow"), problem(503),
        httpx2.Response(202, json=job("queued")),
    )  # fmt: skip
    answers.client().jobs.create("ds_1", environment="CartPole-v1")
    posts = answers.requests[1:]
    keys = {request.headers["Idempotency-Key"] for request in posts}
    assert [len(posts), len(keys)] == [3, 1]
    assert len({request.content for request in posts}) == 1


def test_a_post_without_a_key_is_sent_once():
    answers = Answers(httpx2.Response(200, json=job("failed")), httpx2.ReadError("gone"))
    found = answers.client().jobs.get("job_1")
    with pytest.raises(CannotReach):
        found.retry()
    assert len(answers.requests) == 2


def test_what_is_asked_of_a_study():
    def sent(**options) -> dict:
        answers = Answers(
            httpx2.Response(200, json=DATASET), httpx2.Response(202, json=job("queued"))
        )
        answers.client().jobs.create("ds_1", **options)
        return json.loads(answers.requests[1].content)

    assert sent(
        environment="CartPole-v1", algorithm="bc", retrainings=64, name="first", priority=3,
        labels={"robot": "arm"},
    ) == {
        "kind": "explain", "name": "first", "labels": {"robot": "arm"}, "priority": 3,
        "study": {
            "demonstrations": DATASET["sha256"], "environment": {"id": "CartPole-v1"},
            "algorithm": {"name": "bc"}, "budget": {"retrainings": 64},
        },
    }  # fmt: skip
    study = r2rise.Study(
        environment="CartPole-v1", seed=4, budget={"retrainings": 9, "baseline_retrainings": 2}
    )
    assert sent(study=study, retrainings=64)["study"] == {
        "demonstrations": DATASET["sha256"], "environment": {"id": "CartPole-v1"}, "seed": 4,
        "budget": {"retrainings": 64, "baseline_retrainings": 2},
    }  # fmt: skip
    short = {"environment": "CartPole-v1", "budget": 9}
    assert sent(study=short, retrainings=64)["study"]["budget"] == {"retrainings": 64}
    until = sent(study=short, until=r2rise.Until(reliability=0.9))["study"]["until"]
    assert until == {"reliability": 0.9}
    with pytest.raises(StudyError, match="keep_probability"):
        sent(environment="CartPole-v1", study={"masking": {"keep_probability": 2}})


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


def test_pages_are_fetched_when_they_are_needed():
    pages = [
        {"data": [job(id="job_2"), job(id="job_1")], "next_page_token": "t"},
        {"data": [job(id="job_0")], "next_page_token": None},
    ]
    answers = Answers(*(httpx2.Response(200, json=page) for page in pages))
    found = answers.client().jobs.list(status="running", label=("robot", "arm"), page_size=2)
    assert [next(found).id, next(found).id, len(answers.requests)] == ["job_2", "job_1", 1]
    assert [one.id for one in found] == ["job_0"]
    first, second = (dict(request.url.params) for request in answers.requests)
    assert first == {"status": "running", "label": "robot=arm", "page_size": "2"}
    assert second == first | {"page_token": "t"}


def numbers(answers: Answers, **options) -> list[int]:
    return [one.id for one in answers.client().jobs.get("job_1").events(**options)]


def test_events_are_taken_up_where_the_connection_was_lost():
    class Lost(httpx2.SyncByteStream):
        def __iter__(self):
            yield stream(event(1, done=1, total=9), event(4)).content
            raise httpx2.ReadError("lost")

    lost = httpx2.Response(200, stream=Lost(), headers={"Content-Type": "text/event-stream"})
    live, ended = (httpx2.Response(200, json=job(status)) for status in ("running", "succeeded"))
    answers = Answers(
        live, live, lost, httpx2.Response(200, json={"data": [event(6)]}),
        ended, stream(event(7), event(9, "job.status", status="succeeded")),
        ended, stream(),
    )  # fmt: skip
    assert numbers(answers) == [1, 4, 6, 7, 9]
    asked = [r.headers["Last-Event-ID"] for r in answers.requests if "events" in r.url.path]
    assert asked == ["0", "4", "6", "9"]


def test_events_are_polled_for_where_streams_do_not_get_through():
    def page(*events) -> httpx2.Response:
        return httpx2.Response(200, json={"data": list(events)})

    live, ended = (httpx2.Response(200, json=job(status)) for status in ("running", "succeeded"))
    answers = Answers(
        live, live, page(), page(event(6)), live, httpx2.Response(503), page(),
        ended, page(), page(event(8)), ended, page(), page(),
    )  # fmt: skip
    assert numbers(answers, after=5) == [6, 8]
    assert answers.answers == []


def test_events_tell_of_progress():
    live, ended = (httpx2.Response(200, json=job(status)) for status in ("running", "succeeded"))
    answers = Answers(live, live, stream(event(1, done=2, total=9)), ended, stream())
    (found,) = answers.client().jobs.get("job_1").events()
    assert (found.progress.done, found.progress.total) == (2, 9)


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


def test_another_ending_is_refused_before_anything_is_asked(tmp_path):
    answers = Answers(httpx2.Response(200, json=job()))
    found = answers.client().jobs.get("job_1")
    with pytest.raises(InputError, match=r"\.csv, \.npz, \.png, \.svg, \.html, not as 'map\.pdf'"):
        found.download(tmp_path / "map.pdf")
    assert len(answers.requests) == 1
