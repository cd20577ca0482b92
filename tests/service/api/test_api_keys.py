"""`/keys`, and which scope each request needs."""

import importlib
import pkgutil

import pytest
from api_helpers import OPERATOR, URL, running
from fastapi.routing import APIRoute

from r2rise_service import api
from r2rise_service.api.access import needed_scope
from r2rise_service.keys import digest_of, new_secret

NEEDS = {
    "read": [
        "GET /datasets", "GET /datasets/x", "GET /datasets/x/demonstrations/0/frames/0.png",
        "GET /environments", "GET /algorithms", "GET /algorithms/x",
        "GET /jobs", "GET /jobs/x", "GET /jobs/x/events", "GET /jobs/x/retrainings",
        "GET /jobs/x/importance", "GET /jobs/x/importance.x",
        "GET /jobs/x/certificate", "GET /jobs/x/certificate.x",
        "GET /jobs/x/curation", "GET /jobs/x/curation.x", "GET /jobs/x/curated.npz",
        "GET /jobs/x/transfer", "GET /jobs/x/transfer.x", "GET /jobs/x/report",
        "GET /comparisons/x",
        "GET /metrics",
    ],
    "submit": [
        "POST /datasets", "DELETE /datasets/x",
        "POST /jobs", "PATCH /jobs/x", "DELETE /jobs/x", "POST /jobs/x/cancel",
        "POST /jobs/x/retry", "POST /comparisons",
    ],
    "admin": ["POST /keys", "GET /keys", "DELETE /keys/x"],
    "none": ["GET /healthz", "GET /readyz", "GET /version", "GET /openapi.json", "GET /docs"],
}  # fmt: skip
ROWS = [pytest.param(scope, *row.split(), id=row) for scope, rows in NEEDS.items() for row in rows]
ALLOWS = {
    "read": {"read"}, "submit": {"submit"}, "admin": {"read", "submit", "admin"},
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("keys")) as server:
        server.secrets = {scope: new_secret() for scope in ALLOWS}
        for scope, secret in server.secrets.items():
            server.store.keys.add("ann", scope, [scope], digest_of(secret))
        yield server


@pytest.mark.parametrize(("needed", "method", "path"), ROWS)
def test_what_each_scope_allows(server, needed, method, path):
    for scope, secret in server.secrets.items():
        answer = server.connect(secret).request(method, path)
        refused = answer.status_code == 403
        allowed = needed == "none" or needed in ALLOWS[scope]
        assert refused != allowed, (scope, answer.text)
        if refused:
            assert answer.json()["code"] == "scope-missing"
            assert f"the scope {needed};" in answer.json()["detail"]
    without = server.connect().request(method, path)
    assert (without.status_code == 401) == (needed != "none")


def test_every_route_has_a_row():
    rows = {tuple(row.split()) for rows in NEEDS.values() for row in rows}
    found = set()
    for module in pkgutil.iter_modules(api.__path__, "r2rise_service.api."):
        router = getattr(importlib.import_module(module.name), "router", None)
        for route in router.routes if router else []:
            assert isinstance(route, APIRoute)
            path = route.path.removeprefix("/api/v1")
            regex = route.path_regex
            for method in route.methods:
                matching = [row for row in rows if row[0] == method and regex.match(row[1])]
                matching += [row for row in rows if row == (method, path)]
                assert matching, f"add {method} {route.path} to NEEDS: which scope does it need?"
                found |= set(matching)
    assert rows - found == {("GET", "/openapi.json")}  # made by FastAPI itself


def test_paths_that_only_look_open_or_are_below_keys():
    assert needed_scope("GET", "/api/v1/docsx") == "read"
    assert needed_scope("GET", "/api/v1/healthz/x") == "read"
    assert needed_scope("GET", "/api/v1/keys/") == "admin"
    assert needed_scope("DELETE", "/api/v1/keys/a/b") == "admin"
    assert needed_scope("OPTIONS", "/api/v1/keys") == "admin"


def test_a_key_is_made_used_and_revoked(tmp_path):
    with running(tmp_path) as server:
        made = server.client.post("/keys", json={"owner": "anna", "name": "laptop"})
        assert made.status_code == 201
        assert made.headers["cache-control"] == "no-store"
        key = made.json()
        assert key["scopes"] == ["read", "submit"]
        assert server.connect(key["secret"]).get("/jobs").status_code == 200
        operator = server.connect(OPERATOR)
        listed = operator.get("/keys").json()["data"]
        assert [one["id"] for one in listed] == [key["id"]]
        assert "secret" not in listed[0]
        assert operator.delete(f"/keys/{key['id']}").status_code == 204
        again = operator.delete(f"/keys/{key['id']}")
        assert (again.status_code, again.json()["code"]) == (404, "not-found")
        assert server.connect(key["secret"]).get("/jobs").status_code == 401


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/owner"),
        ({"owner": ""}, "#/owner"),
        ({"owner": "a b"}, "#/owner"),
        ({"owner": "a" * 101}, "#/owner"),
        ({"owner": "anna", "name": "a\x00"}, "#/name"),
        ({"owner": "anna", "scopes": []}, "#/scopes"),
        ({"owner": "anna", "scopes": ["read", "root"]}, "#/scopes/1"),
        ({"owner": "anna", "secret": "mine"}, "#/secret"),
    ],
)
def test_wrong_keys(server, body, pointer):
    answer = server.connect(server.secrets["admin"]).post("/keys", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [part["pointer"] for part in answer.json()["errors"]] == [pointer]


def test_keys_are_json(server):
    admin = server.connect(server.secrets["admin"])
    answer = admin.post("/keys", data={"owner": "anna"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_the_operators_token_opens_everything_from_the_own_machine_only(server):
    here, elsewhere = server.connect(OPERATOR), server.connect(OPERATOR, address="192.0.2.1")
    assert here.get("/keys").status_code == 200
    assert here.get("/jobs").json()["data"] == []
    for path in ("/keys", "/jobs"):
        assert elsewhere.get(path).status_code == 401
    for wrong in (OPERATOR[:-1], f"{OPERATOR}x", OPERATOR.upper()):
        assert server.connect(wrong).get("/keys").status_code == 401
    assert server.client.get(f"{URL}/api/v1/keys").status_code == 401


def test_without_an_operator_file_no_token_is_accepted(server):
    """On PostgreSQL there is none: an empty or missing header must not match it."""
    from starlette.testclient import TestClient

    from r2rise_service.api.app import create_app

    app = create_app(server.settings, server.store, server.files, server.reconciler)
    client = TestClient(app, base_url=f"{URL}/api/v1", client=("127.0.0.1", 5))
    for value in ("", "Bearer", "Bearer ", "Bearer None"):
        assert client.get("/keys", headers={"Authorization": value}).status_code == 401
