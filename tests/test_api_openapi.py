"""The description of the REST API."""

import json

from api_helpers import Recorder, running
from make_openapi import PATH, openapi


def test_the_committed_description_is_current(tmp_path):
    assert PATH.read_text(encoding="utf-8") == openapi(tmp_path, Recorder()), (
        "run: python tests/make_openapi.py"
    )


def test_every_route_says_that_it_may_answer_a_problem():
    described = json.loads(PATH.read_text(encoding="utf-8"))
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            default = operation["responses"]["default"]["content"]
            assert list(default) == ["application/problem+json"], (method, path)
    assert described["components"]["schemas"]["Problem"]["properties"]["errors"]
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_only_the_description_is_served_and_no_page(tmp_path):
    with running(tmp_path) as server:
        served = server.client.get("/openapi.json")
        assert served.json() == json.loads(PATH.read_text(encoding="utf-8"))
        for path in ("/docs", "/redoc", "/openapi.json", "/api/v1/docs"):
            answer = server.client.get(f"http://127.0.0.1:8000{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
