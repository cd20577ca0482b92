"""Running a server: keys while it runs, its database, its logs, its end; real processes."""

import json
import re
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from places import CARTPOLE
from served import SMALL
from servers import ONE, Server, run
from typer.testing import CliRunner

from r2rise_service import Client
from r2rise_service.cli import app
from r2rise_service.client import NotAllowed
from r2rise_service.keys import new_secret
from r2rise_service.opening import lock_data_folder, upgrade_database
from r2rise_service.settings import Settings


def log_lines(server: Server) -> list[dict]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def command(*words: str, status: int = 0) -> tuple[str, str]:
    """Run a command that needs no process of its own, and return what it said."""
    found = CliRunner().invoke(app, words)
    assert found.exit_code == status, found.output
    return found.stdout, found.stderr


def metric(server: Server, name: str, secret: str = "") -> float:
    """The value of a metric without labels."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    text = httpx2.get(f"{server.url}/api/v1/metrics", headers=headers).text
    (value,) = re.findall(rf"^{name} (.+)$", text, re.MULTILINE)
    return float(value)


def made_key(*options: str) -> dict:
    return json.loads(command("keys", "create", "--json", *options)[0])


@pytest.mark.slow
def test_keys_are_made_and_revoked_while_the_server_runs(tmp_path):
    data = tmp_path / "data"
    path, where = data / "operator.json", ("--data", str(data))
    with Server(data, *ONE) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        token = json.loads(path.read_text())["token"]
        first = made_key(*where, "--owner", "anna", "--scope", "read", "--scope", "submit")
        admin = made_key(*where, "--owner", "root", "--scope", "admin")
        assert first["scopes"] == ["read", "submit"]
        listed = json.loads(command("keys", "list", *where, "--json")[0])
        assert [key["id"] for key in listed] == [first["id"], admin["id"]]
        with Client(url=server.url, api_key=admin["secret"]) as client:
            assert [key.owner for key in client.keys.list()] == ["anna", "root"]
        with Client(url=server.url, api_key=first["secret"]) as client:
            assert list(client.jobs.list()) == []
            with pytest.raises(NotAllowed, match="admin"):
                client.keys.list()
            command("keys", "revoke", first["id"], *where)
            with pytest.raises(NotAllowed, match="revoked"):
                list(client.jobs.list())
        _, err = command("keys", "revoke", first["id"], *where, status=2)
        assert f"There is no key {first['id']}" in err
        _, err = command("keys", "create", *where, "--scope", "root", status=2)
        assert "'read', 'submit' or 'admin'" in err
        assert "newest schema" in command("db", "check", *where)[0]
        server.kill()
    assert path.exists()  # nobody could remove it
    assert len(json.loads(command("keys", "list", *where, "--json")[0])) == 1  # the file was stale
    assert not path.exists()
    with Server(data, *ONE):
        assert json.loads(path.read_text())["token"] != token
    assert not path.exists()


def test_a_server_that_just_starts_or_stops_has_no_way_in(tmp_path):
    settings = Settings.read(data=tmp_path)
    with lock_data_folder(settings):  # as a server does, which has not written its file yet
        _, err = command("keys", "create", "--data", str(tmp_path), status=1)
        assert f"A server is running on {tmp_path}" in err
        _, err = command("db", "upgrade", "--data", str(tmp_path), status=1)
        assert f"A server is running on {tmp_path}" in err
    out, _ = command("db", "check", "--data", str(tmp_path), status=1)
    assert "has no schema" in out
    assert "Created the schema" in command("db", "upgrade", "--data", str(tmp_path))[0]
    assert "newest schema" in command("db", "check", "--data", str(tmp_path))[0]


@pytest.mark.slow
def test_the_first_key_comes_from_a_file(tmp_path, monkeypatch):
    secret = "0123456789abcdef" * 2  # as `openssl rand -hex 16` makes one
    path = tmp_path / "first-key"
    monkeypatch.setenv("R2RISE_FIRST_KEY_FILE", str(path))
    path.write_text("changeme\n")
    _, err = run("serve", "--data", str(tmp_path / "data"), "--port", "0", status=2)
    assert "at least 32 characters, without spaces. It has 8 characters. Create one with" in err
    assert "changeme" not in err
    path.write_text(f"{secret}\n")
    with Server(tmp_path / "data", *ONE, "--host", "0.0.0.0") as server:
        url = f"http://127.0.0.1:{server.port}"
        with Client(url=url, api_key=secret) as client:
            (key,) = client.keys.list()
            assert (key.owner, set(key.scopes)) == ("local", {"read", "submit", "admin"})
        with Client(url=url) as client, pytest.raises(NotAllowed):
            client.keys.list()
        assert secret not in server.log.read_text() + server.said


@pytest.mark.slow
def test_a_server_on_postgresql(tmp_path, postgres_url, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = ("--database", postgres_url)
    serve = ("serve", *where, "--data", str(tmp_path / "data"), "--port", "0")
    _, err = run(*serve, status=1)
    assert f"run: r2rise db upgrade --database {postgres_url}" in err
    out, _ = command("db", "check", *where, status=1)
    assert "has no schema" in out
    assert "Created the schema" in command("db", "upgrade", *where)[0]
    assert "newest schema" in command("db", "upgrade", *where)[0]
    assert "newest schema" in command("db", "check", *where)[0]
    with Server(tmp_path / "data", *ONE, *where) as server:
        assert f"Keys: r2rise keys create --database {postgres_url}" in server.said
        key = made_key(*where, "--owner", "anna")
        with Client(url=server.url, api_key=key["secret"]) as client:
            assert list(client.jobs.list()) == []
        command("keys", "revoke", key["id"], *where)
        assert json.loads(command("keys", "list", *where, "--json")[0]) == []
        assert not (tmp_path / "data" / "operator.json").exists()
        key = made_key(*where, "--scope", "read")
        with Server(tmp_path / "data", *ONE, *where) as other:
            both, secret = (server, other), key["secret"]
            while sum(metric(one, "r2rise_reconciles", secret) for one in both) == 0:
                time.sleep(0.1)
            assert sum(metric(one, "r2rise_reconciles", secret) for one in both) == 1
            for one in both:  # to stand by is no trouble
                assert httpx2.get(f"{one.url}/api/v1/readyz").status_code == 200
    assert not (tmp_path / "r2rise-data").exists()


def test_a_database_that_cannot_be_reached(tmp_path, monkeypatch):
    password = tmp_path / "password"
    password.write_text("hush")
    monkeypatch.setenv("R2RISE_DATABASE_PASSWORD_FILE", str(password))
    url = "postgresql://nobody@127.0.0.1:9/nothing"
    for words in (["db", "check"], ["db", "upgrade"], ["keys", "list"]):
        _, err = command(*words, "--database", url, status=2)
        assert f"Cannot read the database {url}" in err
        assert "hush" not in err


def test_upgrades_at_once_do_not_meet(postgres_url):
    settings = Settings.read(database=postgres_url)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(upgrade_database, [settings] * 4))
    assert len({after for _, after in found}) == 1


@pytest.mark.slow
def test_log_lines(tmp_path, monkeypatch):
    monkeypatch.setenv("R2RISE_LOG_LEVEL", "debug")
    secret = new_secret()
    (tmp_path / "key").write_text(secret)
    monkeypatch.setenv("R2RISE_FIRST_KEY_FILE", str(tmp_path / "key"))
    with Server(tmp_path / "data") as server, Client(url=server.url, api_key=secret) as client:
        dataset = client.datasets.upload(CARTPOLE)
        job = client.jobs.create(dataset, study=SMALL)
        job.wait(timeout=120)
        headers = {"X-Request-Id": "mine", "Authorization": f"Bearer {secret}"}
        httpx2.get(f"{server.url}/api/v1/jobs/a%0Ab?token={secret}", headers=headers)
    lines = log_lines(server)
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines)
    (mine,) = [line for line in lines if line.get("request_id") == "mine"]
    assert mine["seconds"] >= 0
    expected = {
        "event": "request", "level": "info", "method": "GET", "path": "/api/v1/jobs/a%0Ab",
        "status": 404, "owner": "local",
    }  # fmt: skip
    assert expected.items() <= mine.items()
    moved = [line["status"] for line in lines if line["event"] == "job status changed"]
    assert moved == ["running", "succeeded"]
    assert {line["job"] for line in lines if "job" in line} == {job.id}
    sent = [line["shard"] for line in lines if line["event"] == "shard submitted"]
    back = [line["shard"] for line in lines if line["event"] == "shard back"]
    assert sorted(sent) == sorted(back)
    assert sent
    (made,) = [line for line in lines if line["event"] == "key created"]
    assert (made["key_owner"], made["scopes"]) == ("local", ["read", "submit", "admin"])
    assert secret not in server.log.read_text()
    others = [line for line in lines if not line["logger"].startswith("r2rise")]
    assert not [line for line in others if line["level"] in ("debug", "info")]
    assert lines[-1]["event"].startswith("stopped")
    assert server.process.stdout.closed


def test_a_client_that_goes_away_is_no_failure_of_the_server(tmp_path):
    with Server(tmp_path / "data", *ONE) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            half.sendall(
                b"POST /api/v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            )
        while not (found := [one for one in log_lines(server) if one.get("method") == "POST"]):
            time.sleep(0.1)
        assert (found[0]["status"], found[0]["path"]) == (None, "/api/v1/datasets")
    assert "Traceback" not in server.log.read_text()


def job_events(server: Server, job_id: str):
    """Open a stream of a job's events."""
    url, headers = f"{server.url}/api/v1/jobs/{job_id}/events", {"Accept": "text/event-stream"}
    return httpx2.stream("GET", url, headers=headers, timeout=100)


@pytest.mark.slow
def test_open_event_streams_do_not_hold_up_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("R2RISE_GRACE_SECONDS", "60")
    with Server(tmp_path / "data") as server, Client(url=server.url) as client:
        dataset = client.datasets.upload(CARTPOLE)
        job = client.jobs.create(dataset, environment="CartPole-v1", retrainings=50_000)
        begun, ended = threading.Barrier(21), []

        def listen() -> None:
            with job_events(server, job.id) as stream:
                text = stream.iter_text()
                next(text)
                begun.wait()
                for _ in text:
                    pass
            ended.append(True)  # without an error: the last chunk came

        threads = [threading.Thread(target=listen) for _ in range(20)]
        for thread in threads:
            thread.start()
        begun.wait()
        assert metric(server, "r2rise_event_streams") == 20
        with job_events(server, job.id) as stream:
            text = stream.iter_text()
            next(text)
            assert metric(server, "r2rise_event_streams") == 21
        while metric(server, "r2rise_event_streams") > 20:
            time.sleep(0.1)
        server.stop()
        for thread in threads:
            thread.join()
    assert len(ended) == 20
    assert "exceeded" not in server.log.read_text()
    assert log_lines(server)[-1]["event"].startswith("stopped")
