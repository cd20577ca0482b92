"""What the client makes of answers of later versions, and of answers that are none."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import numpy as np
import pytest
from api_helpers import running
from client_answers import DATASET, SECRET, Answers, event, job, stream
from make_golden import NAMED_BY_USERS, RESULTS, golden_path
from typer.testing import CliRunner

import r2rise
from r2rise import Certificate, Comparison, Curation, ImportanceMap, Study, Transfer
from r2rise.design.tasks import pack_mask
from r2rise.errors import StudyError
from r2rise.ledger.record import Record
from r2rise_service import Client
from r2rise_service.cli import app
from r2rise_service.client import ApiError
from r2rise_service.models import JobRequest

STUDY = json.loads(golden_path(ImportanceMap).read_text())["study"]
JOB = job(
    "succeeded", study=STUDY, warnings=[{"code": "low_power", "detail": "A warning."}],
    links={"self": "/jobs/job_1"}, labels={"robot": "arm"},
)  # fmt: skip
KEY = {
    "id": "key_1", "owner": "anna", "name": "laptop", "scopes": ["read"],
    "created_at": "2026-01-01T00:00:00Z",
}  # fmt: skip
RECORD = Record("design", 0, pack_mask(np.ones(8, bool)), 1, 2, 0, np.array([1.5])).to_json()
DRY_RUN = {
    "study": STUDY, "study_hash": "sha256:0", "warnings": JOB["warnings"],
    "cost": {"retrainings": 1, "episodes": 2, "most_steps": 3},
}  # fmt: skip
OWN_NAMES = (*NAMED_BY_USERS, "links", "labels", "data", "metadata")


def golden(result: type) -> dict:
    return json.loads(golden_path(result).read_text())


def page(*items: dict) -> dict:
    return {"data": list(items), "next_page_token": None}


def events(client: Client) -> list:
    return [*client.jobs.get("job_1").events()]


Ask = Callable[[Client], object]
ASKED: dict[str, tuple[Ask, list[dict]]] = {
    "environments": (Client.environments, [page({"id": "CartPole-v1"})]),
    "algorithms": (Client.algorithms, [page({"name": "bc", "summary": "", "settings": {}})]),
    "datasets": (lambda c: c.datasets.list(), [page(DATASET)]),
    "dataset": (lambda c: c.datasets.get("ds_1"), [DATASET]),
    "job": (lambda c: c.jobs.get("job_1"), [JOB]),
    "jobs": (lambda c: [*c.jobs.list()], [page(JOB)]),
    "create": (lambda c: c.jobs.create("ds_1", environment="A-v1"), [DATASET, JOB]),
    "estimate": (lambda c: c.jobs.estimate("ds_1", environment="A-v1"), [DATASET, DRY_RUN]),
    "certify": (lambda c: c.jobs.certify("job_1"), [JOB]),
    "refresh": (lambda c: c.jobs.get("job_1").refresh(), [JOB, JOB]),
    "cancel": (lambda c: c.jobs.get("job_1").cancel(), [JOB, JOB]),
    "update": (lambda c: c.jobs.get("job_1").update(name="new"), [JOB, JOB]),
    "importance": (lambda c: c.jobs.get("job_1").importance(), [JOB, golden(ImportanceMap)]),
    "certificate": (lambda c: c.jobs.get("job_1").certificate(), [JOB, golden(Certificate)]),
    "curation": (lambda c: c.jobs.get("job_1").curation(), [JOB, golden(Curation)]),
    "transfer": (lambda c: c.jobs.get("job_1").transfer(), [JOB, golden(Transfer)]),
    "retrainings": (lambda c: [*c.jobs.get("job_1").retrainings()], [JOB, page(RECORD)]),
    "comparison": (
        lambda c: c.comparisons.get("cmp_1"),
        [{"id": "cmp_1", "a": "job_1", "b": "job_2", "created_at": "2026-01-01T00:00:00Z",
          "comparison": golden(Comparison)}],
    ),
    "keys": (lambda c: c.keys.list(), [page(KEY)]),
    "new key": (lambda c: c.keys.create(owner="anna"), [KEY | {"secret": SECRET}]),
}  # fmt: skip
"""What can be asked, and what is answered."""

EACH = pytest.mark.parametrize("asked", ASKED)


def answered(ask: Ask, answers: list) -> object:
    return ask(Answers(*(httpx2.Response(200, json=answer) for answer in answers)).client())


def plain(found: object) -> object:
    """What was read, as plain data."""
    if isinstance(found, list | tuple):
        return [plain(one) for one in found]
    if isinstance(found, Record):
        return found.to_json()
    return plain(found.info) if hasattr(found, "info") else found.model_dump(mode="json")


def later(value: object) -> object:
    """An answer of a later version: a field more in every object, however deep."""
    if isinstance(value, list):
        return [later(item) for item in value]
    if not isinstance(value, dict):
        return value
    free = OWN_NAMES if "data" not in value or isinstance(value["data"], dict) else NAMED_BY_USERS
    own = {name: part if name in free else later(part) for name, part in value.items()}
    return own | {"of_a_later_version": {"anything": [1]}}


@EACH
def test_fields_of_later_versions_are_ignored_at_every_depth(asked):
    ask, answers = ASKED[asked]
    assert later(answers) != answers
    found = answered(ask, [later(answer) for answer in answers])
    assert plain(found) == plain(answered(ask, answers))


def test_every_part_of_a_study_may_have_more_fields():
    answer = later(JOB)
    for name in ("environment", "masking", "until", "execution", "training", "verdicts"):
        assert "of_a_later_version" in answer["study"][name]
    assert "of_a_later_version" in answer["warnings"][0]
    found = answered(lambda client: client.jobs.get("job_1"), [answer])
    assert found.info.study == Study.parse(STUDY)


def test_every_kind_of_result_is_asked_for():
    given = {answer.get("schema") for _, answers in ASKED.values() for answer in answers}
    over_http = {ImportanceMap, Certificate, Curation, Transfer}
    assert {kind.model_fields["schema_"].default for kind in over_http} <= given
    assert over_http <= RESULTS.keys()


@pytest.mark.parametrize("streams", [True, False])
def test_so_may_events(streams):
    told = [later(event(1, done=1, total=9)), later(event(2, "job.status", status="succeeded"))]
    page_ = httpx2.Response(200, json={"data": told})
    got = [stream(*told)] if streams else [httpx2.Response(503), page_]
    ended = httpx2.Response(200, json=job("succeeded"))
    nothing = stream() if streams else httpx2.Response(200, json={"data": []})
    last = [nothing] if streams else [httpx2.Response(503), nothing]
    found = events(Answers(ended, ended, *got, ended, *last).client())
    assert [one.id for one in found] == [1, 2]
    assert found[0].progress.total == 9


NO_ANSWERS = [
    "<html>Log in</html>",
    "",
    "null",
    "[]",
    "{}",
    '{"data": 1}',
    '{"data": [{}]}',
    "\xff",
]


@EACH
@pytest.mark.parametrize("text", NO_ANSWERS)
def test_what_cannot_be_read_is_an_error_of_the_client(asked, text):
    ask, answers = ASKED[asked]
    before = [httpx2.Response(200, json=answer) for answer in answers[:-1]]
    strange = httpx2.Response(200, content=text.encode("latin-1"))
    with pytest.raises(ApiError, match=r"The server's answer cannot be read:\n  \S") as caught:
        ask(Answers(*before, strange).client())
    assert caught.value.code == "unreadable"
    assert "upgrade r2rise" in str(caught.value)
    assert "Log in" not in str(caught.value)
    assert caught.value.__cause__ is None


def failure(ask: Ask, answers: list) -> Exception | None:
    try:
        answered(ask, answers)
    except Exception as error:
        return error
    return None


@EACH
def test_so_is_a_wrong_value_whatever_its_place(asked):
    ask, (*before, last) = ASKED[asked]
    listed = "data" in last
    own = last["data"][0] if listed else last
    failures = []
    for name in own:
        wrong = own | {name: {"not": ["at all"] * 1000}}
        failures.append(failure(ask, [*before, page(wrong) if listed else wrong]))
    assert any(failures)
    for error in filter(None, failures):
        assert isinstance(error, ApiError), repr(error)
        assert (error.code, len(str(error)) < 900) == ("unreadable", True)


def test_the_first_of_many_reasons_are_told():
    with pytest.raises(ApiError) as caught:
        answered(lambda client: client.jobs.get("job_1"), [{}])
    lines = caught.value.detail.splitlines()
    assert lines[1:4] == [f"  {name}: Field required" for name in ("id", "kind", "status")]
    assert lines[4].startswith("  and ")


@pytest.mark.parametrize(
    "strange",
    [
        event(1, done="many"),
        {"id": 1},
        event(1) | {"data": 3},
    ],
    ids=["progress", "fields", "data"],
)
@pytest.mark.parametrize("streams", [True, False])
def test_so_are_strange_events(strange, streams):
    ended = httpx2.Response(200, json=job("succeeded"))
    text = f"id: 1\nevent: job.progress\ndata: {json.dumps(strange)}\n\n"
    of_events = {"Content-Type": "text/event-stream"}
    got = [httpx2.Response(200, text=text, headers=of_events)]
    if not streams:
        got = [httpx2.Response(503), httpx2.Response(200, json={"data": [strange]})]
    with pytest.raises(ApiError, match="cannot be read"):
        events(Answers(ended, ended, *got).client())


def test_a_mask_that_is_none_is_an_error_of_the_client():
    with pytest.raises(ApiError, match="mask: "):
        answered(ASKED["retrainings"][0], [JOB, page(RECORD | {"mask": "no mask"})])


def test_a_map_of_a_later_major_version_says_what_to_do():
    with pytest.raises(ApiError, match=r"importance map: it has schema version 2.0.* upgrade"):
        answered(ASKED["importance"][0], [JOB, golden(ImportanceMap) | {"schema_version": "2.0"}])


def test_a_secret_is_in_no_message():
    answer = KEY | {"secret": [SECRET], "scopes": SECRET}
    with pytest.raises(ApiError) as caught:
        answered(ASKED["new key"][0], [answer])
    assert SECRET not in str(caught.value)


@contextmanager
def answering(text: str) -> Iterator[str]:
    """A server that always answers the same, at the URL that it gives."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("text", ["<html>Log in</html>", '{"data": [{}]}'])
def test_the_command_line_shows_no_traceback(text):
    with answering(text) as url:
        for command in ("jobs list", "jobs wait job_1", "jobs watch job_1", "datasets list"):
            result = CliRunner().invoke(app, [*command.split(), "--url", url])
            assert isinstance(result.exception, SystemExit), result.exception
            assert result.exit_code == 1
            assert result.stderr.startswith("Error: The server's answer cannot be read:")


# what users and clients send stays strict


def test_a_study_with_an_unknown_field_is_refused():
    for fields in (later(STUDY), STUDY | {"masking": later(STUDY["masking"])}):
        with pytest.raises(StudyError, match="of_a_later_version: unknown field"):
            Study.parse(fields)
    with pytest.raises(StudyError, match="unknown field"):
        answered(
            lambda client: client.jobs.create("ds_1", environment="A-v1", study={"budjet": 3}),
            [DATASET],
        )


def test_a_request_with_an_unknown_field_is_refused(tmp_path):
    with running(tmp_path) as server:
        server.upload()
        unknown = {"environment": "CartPole-v1", "masking": {"of_a_later_version": 1}}
        assert server.submit(study=unknown).status_code == 422
        assert server.submit(of_a_later_version=1).status_code == 422
    with pytest.raises(ValueError, match="of_a_later_version"):
        JobRequest.model_validate({"kind": "explain", "of_a_later_version": 1})


def test_what_was_read_from_a_later_server_can_be_asked_again():
    found = answered(lambda client: client.jobs.get("job_1"), [later(JOB)])
    assert r2rise.Study.parse(found.info.study.model_dump(mode="json")) == found.info.study
