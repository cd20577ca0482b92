"""Who may ask the server, from where."""

import pytest
from api_helpers import URL, running

from r2rise_service.keys import digest_of, new_secret


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_secrets_are_long_and_never_the_same():
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(secret.startswith("r2k_") and len(secret) > 40 for secret in secrets)
    assert digest_of("r2k_a") == (  # printf r2k_a | sha256sum
        "sha256:22117286baa4c5581ce9029a6cb131a2a3e7d7d1657ad9e0f1a5fce6fa659ed6"
    )


def test_without_keys_only_the_own_machine_is_answered(server):
    assert server.client.get("/jobs").status_code == 200
    assert server.connect(address="::1").get("/jobs").status_code == 200
    for address in ("192.0.2.1", "testclient"):
        answer = server.connect(address=address).get("/jobs")
        assert code(answer) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_with_keys_everybody_needs_one(server):
    secret = new_secret()
    key = server.store.keys.add("ann", "laptop", ["read", "submit"], digest_of(secret))
    for wrong in (None, "", "r2k_", new_secret(), secret[:-1], secret + "x", "r2k_ b"):
        client = server.connect()
        if wrong is not None:
            client.headers["Authorization"] = f"Bearer {wrong}"
        answer = client.get("/jobs")
        assert code(answer) == (401, "unauthorized"), wrong
        assert answer.headers["www-authenticate"] == "Bearer"
    assert server.connect(secret).get("/jobs").status_code == 200
    assert server.connect(secret, address="192.0.2.1").get("/jobs").status_code == 200
    basic = {"Authorization": f"Basic {secret}"}
    assert server.client.get("/jobs", headers=basic).status_code == 401
    server.store.keys.revoke(key.id)  # the last one: that opens the server to nobody
    assert server.connect(secret).get("/jobs").status_code == 401
    assert server.connect().get("/jobs").status_code == 401


def test_scopes(server):
    secrets = {scope: new_secret() for scope in ("read", "submit", "admin")}
    for scope, secret in secrets.items():
        server.store.keys.add("ann", scope, [scope], digest_of(secret))
    read, submit, admin = (server.connect(secret) for secret in secrets.values())
    assert read.get("/jobs").status_code == 200
    assert code(read.post("/jobs", json={})) == (403, "scope-missing")
    assert code(server.upload(read)) == (403, "scope-missing")
    assert code(submit.get("/jobs")) == (403, "scope-missing")
    assert server.upload(submit).status_code == 201
    assert admin.get("/jobs").status_code == 200
    assert server.upload(admin).status_code == 200


def test_a_key_is_asked_for_before_a_body_is_read(server):
    server.store.keys.add("ann", "key", ["read"], digest_of(new_secret()))
    json = {"Content-Type": "application/json"}
    assert code(server.client.post("/jobs", content=b"{", headers=json)) == (401, "unauthorized")
    assert code(server.client.get("/nothing")) == (401, "unauthorized")


@pytest.mark.parametrize("path", ["healthz", "readyz", "version", "openapi.json"])
def test_what_needs_no_key(server, path):
    server.store.keys.add("ann", "key", ["read"], digest_of(new_secret()))
    assert server.connect(address="192.0.2.1").get(f"/{path}").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8000", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("[::1", 421),
        ("localhost@evil.example", 421), ("evil.example#localhost", 421),
    ],
)  # fmt: skip
def test_hosts(server, host, status):
    answer = server.client.get("/jobs", headers={"Host": host})
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["code"] == "wrong-host"
        assert "--allow-host` or R2RISE_HOSTS" in answer.json()["detail"]


def test_the_host_that_is_listened_on_is_ours(tmp_path):
    with running(tmp_path, host="192.0.2.7") as server:
        answer = server.client.get("/healthz", headers={"Host": "192.0.2.7:8000"})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://[", "file://"]
)
def test_pages_of_others_change_nothing(server, origin):
    headers = {"Origin": origin}
    assert code(server.client.post("/jobs", json={}, headers=headers)) == (403, "wrong-origin")
    assert code(server.client.delete("/jobs/x", headers=headers)) == (403, "wrong-origin")
    assert server.client.get("/jobs", headers=headers).status_code == 200
    assert "access-control-allow-origin" not in server.client.get("/jobs", headers=headers).headers


def test_our_own_page_may(server):
    answer = server.client.delete("/jobs/x", headers={"Origin": URL})
    assert code(answer) == (404, "not-found")


def test_request_ids(server):
    own = server.client.get("/healthz", headers={"X-Request-Id": "mine-1"})
    assert own.headers["x-request-id"] == "mine-1"
    for bad in ("a b", "x" * 65, "a\\n"):
        other = server.client.get("/nothing", headers={"X-Request-Id": bad})
        assert other.headers["x-request-id"] == other.json()["request_id"]
        assert other.headers["x-request-id"] not in (bad, "")
    assert own.headers["x-content-type-options"] == "nosniff"


def test_every_answer_has_headers_that_keep_browsers_from_harm(server):
    for path in ("/healthz", "/jobs", "/nothing", "/openapi.json"):
        headers = server.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "private, no-cache"
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "script-src" not in headers["content-security-policy"]
    wrong = server.client.get("/jobs", headers={"Host": "evil.example"})
    assert wrong.headers["x-frame-options"] == "DENY"


def test_readiness_tells_what_is_wrong(server):
    assert server.client.get("/readyz").json()["parts"] == {
        "database": "ok", "engine": "ok", "disk": "ok",
    }  # fmt: skip
    server.reconciler.engine = "degraded: no worker"
    answer = server.client.get("/readyz")
    assert code(answer) == (503, "degraded")
    assert answer.headers["retry-after"]
    assert [part["pointer"] for part in answer.json()["errors"]] == ["#/parts/engine"]
    assert server.client.get("/healthz").json() == {"status": "ok"}


def test_what_the_server_offers(server):
    ids = [item["id"] for item in server.client.get("/environments").json()["data"]]
    assert "CartPole-v1" in ids
    assert "Taxi-v3" not in ids
    assert all(name.startswith("r2rise/") for name in ids if "/" in name)
    algorithms = server.client.get("/algorithms").json()["data"]
    bc = next(item for item in algorithms if item["name"] == "bc")
    assert "n_epochs" in bc["settings"]["properties"]
    assert server.client.get("/algorithms/bc").json() == bc
    assert server.client.get("/version").json()["versions"]["r2rise"]
