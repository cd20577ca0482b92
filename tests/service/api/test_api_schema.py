"""What `docs/openapi.json` promises, asked of the real application with generated requests."""

import json

import pytest
import schemathesis
from api_helpers import Server
from hypothesis import HealthCheck, Phase, given, settings
from make_openapi import PATH
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from r2rise_service.keys import digest_of, new_secret

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_headers_conformance, response_schema_conformance,
]  # fmt: skip
SECRET = new_secret()
OPERATIONS = [
    (path, method)
    for path, methods in json.loads(PATH.read_text(encoding="utf-8"))["paths"].items()
    for method in methods
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("schema"))
    server.store.keys.add("ann", "all", ["read", "submit", "admin"], digest_of(SECRET))
    server.client = server.connect(SECRET)
    with server.client:
        server.known = stored(server)
        yield server
    server.store.close()


def stored(server) -> dict[str, list]:
    """Store a dataset and jobs: queued, running, succeeded, canceled; return what there is."""
    jobs = [server.job() for _ in range(4)]
    server.work(jobs[1], 5)
    server.work(jobs[2])
    server.store.jobs.set_status(jobs[3].id, "canceled", only_from=("queued",))
    return {
        "job_id": [job.id for job in jobs],
        "dataset_id": [jobs[0].dataset_id],
        "name": ["bc"],
        "ending": [".json", ".csv", ".png"],
    }


@pytest.fixture(scope="module")
def api(server):
    return schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", server.app, headers={"Host": "127.0.0.1"}
    )


def drawn(examples: int) -> settings:
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def check(case, server) -> None:
    """Ask what was generated, and the same of what is there."""
    if case.path.endswith("/events"):
        case.headers = {**(case.headers or {}), "Accept": "application/json"}
    ask(case)
    known = {name: ids for name, ids in server.known.items() if name in case.path_parameters}
    for number in range(max(map(len, known.values()), default=0)):
        for name, ids in known.items():
            case.path_parameters[name] = ids[number % len(ids)]
        if case.method != "DELETE":
            ask(case)


def ask(case) -> None:
    headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {SECRET}"}
    case.call_and_validate(headers=headers, checks=CHECKS)


@pytest.mark.parametrize("operation", OPERATIONS, ids="-".join)
@pytest.mark.parametrize("examples", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_answers_are_what_the_description_says(server, api, operation, examples):
    path, method = operation

    @drawn(examples)
    @given(api[path][method].as_strategy())
    def run(case):
        check(case, server)

    run()
