"""The description of the REST API."""

import base64
import hashlib
import json
import re

import pytest
from api_helpers import URL, Recorder, running
from make_openapi import PATH, openapi

from r2rise_service.api.access import DOCS
from r2rise_service.keys import KeyRequest
from r2rise_service.models import JobChange, JobRequest


def test_the_committed_description_is_current(tmp_path):
    assert PATH.read_text(encoding="utf-8") == openapi(tmp_path, Recorder()), (
        "run: python tests/support/make_openapi.py"
    )


def test_every_route_says_that_it_may_answer_a_problem():
    described = json.loads(PATH.read_text(encoding="utf-8"))
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            problems = {s: a for s, a in operation["responses"].items() if int(s) >= 400}
            assert {"421", "500"} <= problems.keys(), (method, path)
            assert ("401" in problems) == bool(operation["security"]), (method, path)
            for answer in problems.values():
                assert list(answer["content"]) == ["application/problem+json"], (method, path)
    assert described["components"]["schemas"]["Problem"]["properties"]["errors"]
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_every_operation_says_which_scope_its_key_needs():
    described = json.loads(PATH.read_text(encoding="utf-8"))
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    paths = described["paths"]
    assert paths["/api/v1/jobs"]["get"]["security"] == [{"key": ["read"]}]
    assert paths["/api/v1/jobs"]["post"]["security"] == [{"key": ["submit"]}]
    assert paths["/api/v1/keys"]["get"]["security"] == [{"key": ["admin"]}]
    assert paths["/api/v1/healthz"]["get"]["security"] == []


def test_the_description_is_served(tmp_path):
    with running(tmp_path) as server:
        served = server.client.get("/openapi.json")
        assert served.json() == json.loads(PATH.read_text(encoding="utf-8"))


def test_the_page_and_its_files_come_from_this_server_only(tmp_path):
    with running(tmp_path) as server:
        server.store.keys.add("ann", "key", ["read"], "sha256:0")  # none is needed
        assert server.client.get(f"{URL}/docs", follow_redirects=False).headers["location"] == DOCS
        page = server.client.get(f"{URL}/docs")
        assert page.status_code == 200
        addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*['"]([^'"]+)""", page.text)
        assert len(addresses) == 4
        for address in addresses:
            assert address.startswith("/api/v1/"), address
            assert server.client.get(f"{URL}{address}").status_code == 200
        style = server.client.get(f"{URL}{DOCS}/assets/swagger-ui.css").text
        assert not re.findall(r"url\((?!['\"]?data:).{40}", style)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy  # whatever the scripts try, browsers ask nobody else
        (script,) = re.findall(r"<script>(.*?)</script>", page.text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'self' 'sha256-{digest}'" in policy
        for path in ("/redoc", "/openapi.json", "/api/v1/docs/nothing"):
            answer = server.client.get(f"{URL}{path}")
            assert (answer.status_code, answer.json()["code"]) in [
                (404, "not-found"), (401, "unauthorized"),
            ]  # fmt: skip


def test_every_body_has_an_example_that_is_accepted_as_such():
    described = json.loads(PATH.read_text(encoding="utf-8"))
    schemas = described["components"]["schemas"]
    n_bodies = 0
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                name = schema.get("$ref", "").rpartition("/")[2]
                examples = content.get("examples") or schemas.get(name, schema).get("examples")
                assert examples, f"{method} {path} has no example"
                n_bodies += 1
    assert n_bodies >= 4


@pytest.mark.parametrize("model", [JobRequest, JobChange, KeyRequest])
def test_examples_are_right(model):
    for example in model.model_config["json_schema_extra"]["examples"]:
        model.model_validate(example)
