"""Jobs as the client asks for them, follows them and takes what came of them."""

import json

import httpx2
import pytest
from client_answers import DATASET, Answers, event, job, problem, stream

import r2rise
from r2rise.errors import InputError, StudyError
from r2rise_service.client import CannotReach, Conflict, JobFailed, NotFound, WaitTimeout, transport


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """Seconds that were waited, without waiting them."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


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


def test_another_ending_is_refused_before_anything_is_asked(tmp_path):
    answers = Answers(httpx2.Response(200, json=job()))
    found = answers.client().jobs.get("job_1")
    with pytest.raises(InputError, match=r"\.csv, \.npz, \.png, \.svg, \.html, not as 'map\.pdf'"):
        found.download(tmp_path / "map.pdf")
    assert len(answers.requests) == 1


def answered(body: dict, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, json=body)


def test_what_is_asked_of_the_other_kinds():
    def sent(ask) -> dict:
        answers = Answers(answered(job("queued"), 202), answered(job("queued"), 202))
        ask(answers.client().jobs)
        request = answers.requests[-1]
        assert (request.method, request.url.path) == ("POST", "/api/v1/jobs")
        assert request.headers["Idempotency-Key"]
        return json.loads(request.content)

    words = {"name": "n", "labels": {"robot": "arm"}, "priority": 2}
    plain = {"name": "", "labels": {}, "priority": 0}
    assert sent(lambda jobs: jobs.certify(jobs.get("job_1"), repetitions=9, **words)) == {
        "kind": "certify", "based_on": ["job_1"], "repetitions": 9, **words,
    }  # fmt: skip
    assert sent(lambda jobs: jobs.curate("job_2")) == {
        "kind": "curate", "based_on": ["job_2"], **plain,
    }  # fmt: skip
    assert sent(lambda jobs: jobs.transfer(["job_2", jobs.get("job_1")])) == {
        "kind": "transfer", "based_on": ["job_2", "job_1"], "repetitions": 20, **plain,
    }  # fmt: skip


def test_waiting_is_one_request_for_a_stream():
    live, ended = answered(job()), answered(job("succeeded"))
    answers = Answers(live, live, stream(event(1), event(2)), ended)
    assert answers.client().jobs.get("job_1").wait().status == "succeeded"
    assert len(answers.requests) == 4


def test_waiting_polls_where_streams_do_not_get_through(waits):
    live = answered(job())
    answers = Answers(
        live, live, httpx2.ReadTimeout("silent"), live, live, answered(job("failed", error="no"))
    )
    with pytest.raises(JobFailed, match="job_1 failed: no"):
        answers.client().jobs.get("job_1").wait(timeout=3600)
    assert waits == [0.5, 0.5]


def test_waiting_ends_in_time_though_the_stream_goes_on(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))

    class Beats(httpx2.SyncByteStream):
        """A sign of life every 15 seconds, for ever."""

        def __iter__(self):
            while True:
                now[0] += 15
                yield b": still here\n\n"

    beats = httpx2.Response(200, stream=Beats(), headers={"Content-Type": "text/event-stream"})
    live = answered(job())
    answers = Answers(live, live, beats, *[live] * 100)
    with pytest.raises(
        WaitTimeout, match="after 100 s with 3 of 9 retrainings done. It continues."
    ):
        answers.client().jobs.get("job_1").wait(timeout=100)
    assert now[0] == 100
    assert len(answers.requests) == 2 + 1 + 21  # 20 polls between 90 and 100 s, one at the end


def test_only_what_others_wrote_is_in_the_way_of_a_change():
    """Progress gives a job a new version, too."""
    gone_on = answered(job(version=8, progress={"done": 4, "total": 9}))
    answers = Answers(
        answered(job(version=7)), problem(412), gone_on, answered(job(version=9, name="new"))
    )
    found = answers.client().jobs.get("job_1").update(name="new", labels={})
    assert (found.info.name, found.info.version) == ("new", 9)
    patches = [request for request in answers.requests if request.method == "PATCH"]
    assert [request.headers["If-Match"] for request in patches] == ['"7"', '"8"']
    assert [json.loads(request.content) for request in patches] == [
        {"name": "new", "labels": {}}
    ] * 2

    answers = Answers(answered(job(version=7)), problem(412), answered(job(version=8, priority=3)))
    found = answers.client().jobs.get("job_1")
    with pytest.raises(Conflict):
        found.update(name="new")
    assert found.info.priority == 3


@pytest.mark.parametrize("lost", [httpx2.ReadError("lost"), problem(504)])
def test_what_is_gone_after_a_lost_answer_was_deleted(lost):
    answers = Answers(answered(job("failed")), lost, problem(404))
    answers.client().jobs.get("job_1").delete()
    assert [request.method for request in answers.requests] == ["GET", "DELETE", "DELETE"]


@pytest.mark.parametrize("before", [[], [httpx2.ConnectError("refused")], [problem(429)]])
def test_what_was_never_there_is_not_deleted(before):
    answers = Answers(answered(job("failed")), *before, problem(404))
    found = answers.client().jobs.get("job_1")
    with pytest.raises(NotFound):
        found.delete()


@pytest.mark.parametrize(
    ("kind", "ending", "asked"),
    [
        ("explain", ".csv", "importance.csv"), ("explain", ".SVG", "importance.svg"),
        ("certify", ".json", "certificate.json"), ("certify", ".png", "certificate.png"),
        ("curate", ".json", "curation.json"), ("curate", ".npz", "curated.npz"),
        ("transfer", ".svg", "transfer.svg"), ("transfer", ".html", "report"),
    ],
)  # fmt: skip
def test_kind_and_ending_say_what_is_downloaded(tmp_path, kind, ending, asked):
    answers = Answers(answered(job("succeeded", kind=kind)), httpx2.Response(200, content=b"it"))
    path = tmp_path / f"file{ending}"
    assert answers.client().jobs.get("job_1").download(str(path)) == path
    assert path.read_bytes() == b"it"
    assert answers.requests[1].url.path == f"/api/v1/jobs/job_1/{asked}"


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("certify", "a.csv", {}), ("certify", "a.npz", {}), ("curate", "a.csv", {}),
        ("certify", "a.json", {"estimator": "rise"}), ("explain", "a.html", {"estimator": "rise"}),
    ],
)  # fmt: skip
def test_what_a_kind_does_not_have_is_not_asked_for(tmp_path, kind, name, options):
    answers = Answers(answered(job("succeeded", kind=kind)))
    with pytest.raises(InputError, match=name):
        answers.client().jobs.get("job_1").download(tmp_path / name, **options)


class Cut(httpx2.SyncByteStream):
    """Half an answer."""

    def __iter__(self):
        yield b"half of "
        raise httpx2.ReadError("lost")


def test_a_file_is_whole_or_not_there(tmp_path):
    answers = Answers(
        answered(job()), httpx2.Response(200, stream=Cut()), httpx2.Response(200, content=b"all")
    )
    path = answers.client().jobs.get("job_1").ledger(tmp_path / "ledger.npz")
    assert path.read_bytes() == b"all"
    assert answers.requests[1].url.params["format"] == "npz"

    cut = [httpx2.Response(200, stream=Cut()) for _ in range(transport.ATTEMPTS)]
    answers = Answers(answered(job()), *cut)
    found = answers.client().jobs.get("job_1")
    with pytest.raises(CannotReach):
        found.download(tmp_path / "map.csv")
    with pytest.raises(InputError, match=r"downloaded as \.npz"):
        found.ledger(tmp_path / "ledger.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.npz"]


def test_records_are_fetched_when_they_are_needed():
    record = {
        "kind": "design", "index": 0, "mask": "a0", "training_seed": 1, "evaluation_seed": 2,
        "returns": [1.5, 2], "status": "ok", "reason": "", "seconds": 0.5, "attempts": 1,
        "evaluation_seconds": 0.25, "of_a_later_version": 1,
    }  # fmt: skip
    answers = Answers(
        answered(job()),
        answered({"data": [record], "next_page_token": "1"}),
        answered({"data": [record | {"index": 1}], "next_page_token": None}),
    )
    found = answers.client().jobs.get("job_1").retrainings()
    first = next(found)
    assert (first.index, first.packed_mask, first.returns.tolist()) == (0, b"\xa0", [1.5, 2])
    assert len(answers.requests) == 2
    assert [one.index for one in found] == [1]
    pages = [dict(request.url.params) for request in answers.requests[1:]]
    assert pages[0] == {"kind": "design", "part": "0", "page_size": "500"}
    assert pages[1] == pages[0] | {"page_token": "1"}


def test_a_new_secret_is_not_in_a_repr():
    answers = Answers(
        answered(
            {"id": "key_1", "owner": "anna", "name": "", "scopes": ["read"], "secret": "r2k_x",
             "created_at": "2026-01-01T00:00:00Z"}, 201,
        )
    )  # fmt: skip
    made = answers.client().keys.create(owner="anna", scopes=["read"])
    assert made.secret == "r2k_x"
    assert "r2k_x" not in repr(made) + str(made)
    assert json.loads(answers.requests[0].content) == {
        "owner": "anna", "name": "", "scopes": ["read"],
    }  # fmt: skip
