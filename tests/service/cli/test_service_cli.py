"""Client and commands against a real server process."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
from pages import PAGES, blocks
from places import CARTPOLE, ROOT
from served import LONG, SMALL
from servers import R2RISE, Server, run

import r2rise
from r2rise_service import Client
from r2rise_service.client import (
    Conflict,
    JobCanceled,
    JobFailed,
    NotAllowed,
    NotFound,
    Refused,
    WaitTimeout,
)

MAP = ("importance", "std_error", "n_kept", "n_masked")


@pytest.fixture
def dataset(client):
    return client.datasets.upload(CARTPOLE)


def assert_same(found: r2rise.ImportanceMap, want: r2rise.ImportanceMap) -> None:
    for name in MAP:
        np.testing.assert_array_equal(getattr(found, name), getattr(want, name), err_msg=name)
    assert found.baseline == want.baseline
    assert found.quality == want.quality
    assert (found.study_hash, found.design_hash) == (want.study_hash, want.design_hash)
    assert (found.revision, found.partial) == (want.revision, want.partial)


def until_running(job, done: int = 1):
    """Wait until some retrainings are done."""
    for _ in range(1200):
        if job.refresh().progress.done >= done:
            return
        assert job.info.is_live, job.info
        time.sleep(0.1)
    raise AssertionError(job)


def test_what_a_server_says(server):
    assert re.fullmatch(
        rf"R2RISE is running at http://127\.0\.0\.1:\d+ \(Ctrl-C stops it\)\.\nData: "
        f"{server.data}\n"
        rf"Keys: r2rise keys create --data {server.data}\n",
        server.said,
    )
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def lasting(events):
    """Numbers of the events that every stream has: those that nothing overtakes."""
    return [e.id for e in events if e.type not in ("job.progress", "job.importance")]


def test_a_map_of_the_server_is_the_librarys(client, dataset, tmp_path):
    want = r2rise.explain(CARTPOLE, SMALL)
    job = client.jobs.create(dataset, study=SMALL, name="small", labels={"robot": "pole"})
    assert job.status in ("queued", "running")
    events = list(job.events())
    assert [e.data["status"] for e in events if e.type == "job.status"] == [
        "queued", "running", "succeeded",
    ]  # fmt: skip
    done = [e.progress.done for e in events if e.progress is not None]
    assert done == sorted(done)
    assert done[-1] == job.progress.total == job.progress.done
    numbers = [e.id for e in events]
    assert numbers == sorted(set(numbers))
    later = list(job.events(after=numbers[2]))
    assert later[0].id > numbers[2]
    assert lasting(later) == lasting(events[3:])
    assert job.wait(timeout=1) is job
    assert_same(job.importance(), want)
    assert job.importance("rise").estimator.name == "rise"

    for ending in (".json", ".npz"):
        path = job.download(tmp_path / f"map{ending}")
        assert_same(r2rise.ImportanceMap.load(path), want)
    assert job.download(tmp_path / "map.csv").read_text() == want.to_csv()
    assert job.download(tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")

    assert job.id in [one.id for one in client.jobs.list(status="succeeded", dataset=dataset)]
    assert [one.id for one in client.jobs.list(label=("robot", "pole"), page_size=1)] == [job.id]
    assert list(client.jobs.list(label=("robot", "none"))) == []
    job.delete()
    with pytest.raises(NotFound):
        client.jobs.get(job.id)


def test_a_dataset_is_kept_once(client, dataset):
    again = client.datasets.upload(r2rise.Demonstrations.load(CARTPOLE))
    assert again == dataset == client.datasets.get(dataset.id)
    assert [one.id for one in client.datasets.list()].count(dataset.id) == 1
    assert dataset.sha256 == r2rise.Demonstrations.load(CARTPOLE).content_hash


def test_a_job_is_canceled_and_goes_on_when_it_is_tried_again(client, dataset):
    study = LONG.model_copy(update={"seed": 1})
    job = client.jobs.create(dataset, study=study)
    until_running(job)
    with pytest.raises(Conflict):
        client.datasets.delete(dataset.id)
    with pytest.raises(Conflict):
        job.retry()
    with pytest.raises(WaitTimeout, match="It continues"):
        job.wait(timeout=0.05)
    job.cancel()
    with pytest.raises(JobCanceled):
        job.wait(timeout=60)
    before = job.progress.done
    assert job.importance().partial
    assert job.retry().info.is_live
    until_running(job, before + 1)
    job.cancel()
    with pytest.raises(JobCanceled):
        job.wait(timeout=60)


def test_what_a_server_refuses(client, dataset):
    with pytest.raises(Refused, match="my_robot:Reach-v0"):
        client.jobs.create(dataset, environment="my_robot:Reach-v0")
    with pytest.raises(Refused, match="nothing"):
        client.jobs.create(dataset, environment="CartPole-v1", algorithm="nothing")
    with pytest.raises(NotFound):
        client.jobs.create("ds_nothing", environment="CartPole-v1")


def test_the_commands_do_a_job(server, tmp_path):
    def ask(*command: str) -> str:
        return run(*command, "--url", server.url)[0]

    known = ask("datasets", "upload", str(CARTPOLE)).strip()
    assert known in ask("datasets", "list")
    assert json.loads(ask("datasets", "show", known, "--json"))["n_frames"] == 500
    SMALL.save(tmp_path / "study.yaml")
    options = ("--study", str(tmp_path / "study.yaml"), "--seed", "3", "--name", "by command")
    job = ask("jobs", "submit", str(CARTPOLE), *options).strip()
    watched = ask("jobs", "watch", job)
    assert re.search(r"progress: (\d+) of \1 retrainings", watched)
    assert "succeeded" in watched.splitlines()[-1]
    assert f"{job} succeeded" in ask("jobs", "wait", job, "--timeout", "1m")
    events = [json.loads(line) for line in ask("jobs", "watch", job, "--json").splitlines()]
    assert events[-1]["data"]["status"] == "succeeded"
    assert job in ask("jobs", "list", "--status", "succeeded", "--limit", "3")
    assert json.loads(ask("jobs", "show", job, "--json"))["name"] == "by command"
    ask("jobs", "download", job, "--out", str(tmp_path / "map.json"))
    want = r2rise.explain(CARTPOLE, SMALL.model_copy(update={"seed": 3}))
    assert_same(r2rise.ImportanceMap.load(tmp_path / "map.json"), want)
    ended = run("jobs", "cancel", job, "--url", server.url)[1]
    assert "There was nothing to cancel: the job has succeeded." in ended
    ask("jobs", "delete", job)
    assert "Error: " in run("jobs", "show", job, "--url", server.url, status=2)[1]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["jobs", "submit", str(CARTPOLE), "--env", "CartPole-v1"],
            "check with `r2rise jobs list`",
        ),
        (["datasets", "list"], "Stopped."),
    ],
)
def test_ctrl_c_while_the_server_is_asked_promises_nothing_of_retrainings(command, said):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        asking = subprocess.Popen(
            [str(R2RISE), *command, "--url", url], stderr=subprocess.PIPE, text=True
        )
        with silent.accept()[0] as connection:
            connection.recv(1)
            asking.send_signal(signal.SIGINT)
            _, err = asking.communicate(timeout=60)
    assert asking.returncode == 130
    assert said in err
    assert "retrained" not in err


@pytest.mark.slow
def test_waiting_ends_with_4_when_the_time_is_over_and_ctrl_c_stops_the_waiting_only(
    server, client, dataset
):
    job = client.jobs.create(dataset, study=LONG.model_copy(update={"seed": 2}))
    _, err = run("jobs", "wait", job.id, "--timeout", "0.2s", "--url", server.url, status=4)
    assert "It continues." in err
    waiting = subprocess.Popen(
        [str(R2RISE), "jobs", "watch", job.id, "--url", server.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    waiting.stdout.readline()
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert f"The job continues. To stop it, run `r2rise jobs cancel {job.id}`." in err
    assert job.refresh().info.is_live
    run("jobs", "cancel", job.id, "--url", server.url)
    with pytest.raises(JobCanceled):
        job.wait(timeout=60)


def test_an_unreachable_server_ends_with_3():
    _, err = run("jobs", "list", status=3, R2RISE_URL="http://127.0.0.1:9")
    assert "No server answers at http://127.0.0.1:9" in err
    assert "r2rise serve" in err
    run("datasets", "list", "--url", "nowhere", status=2)


@pytest.mark.slow
def test_a_second_server_on_the_same_data_is_refused(server):
    _, err = run("serve", "--data", str(server.data), "--port", "0", status=1)
    assert f"Error: A server is running on {server.data}. Stop it first" in err


@pytest.mark.slow
def test_a_port_in_use_and_an_open_address_without_keys_are_refused(server, tmp_path):
    data = str(tmp_path / "other")
    _, err = run("serve", "--data", data, "--port", str(server.port), status=2)
    assert f"Cannot listen on 127.0.0.1, port {server.port}" in err
    _, err = run("serve", "--data", data, "--host", "0.0.0.0", "--port", "0", status=2)
    assert "needs API keys" in err


@pytest.mark.slow
def test_keys_open_their_owners_things_only(tmp_path, caplog):
    data = tmp_path / "data"
    secrets = {}
    for owner in ("anna", "ben"):
        out, err = run("keys", "create", "--data", str(data), "--owner", owner, "--name", "laptop")
        secrets[owner] = out.strip()
        assert "not shown again" in err
        assert secrets[owner] not in err
    listed = json.loads(run("keys", "list", "--data", str(data), "--json")[0])
    assert sorted(key["owner"] for key in listed) == ["anna", "ben"]
    assert secrets["anna"] not in str(listed)
    assert "laptop" in run("keys", "list", "--data", str(data))[0]
    with Server(data) as server:
        clients = {who: Client(url=server.url, api_key=key) for who, key in secrets.items()}
        uploaded = clients["anna"].datasets.upload(CARTPOLE)
        assert clients["ben"].datasets.list() == []
        with pytest.raises(NotFound):
            clients["ben"].datasets.get(uploaded.id)
        with Client(url=server.url, api_key="r2k_wrong") as wrong, pytest.raises(NotAllowed):
            wrong.datasets.list()
        _, err = run("jobs", "list", "--url", server.url, status=1)
        assert "Authorization" in err
        for client in clients.values():
            client.close()
    assert "distributed" not in server.log.read_text()
    assert not any(key in server.log.read_text() for key in secrets.values())
    anna = next(key["id"] for key in listed if key["owner"] == "anna")
    run("keys", "revoke", anna, "--data", str(data))
    _, err = run("keys", "revoke", anna, "--data", str(data), status=2)
    assert f"There is no key {anna}" in err
    with (
        Server(data) as server,
        Client(url=server.url, api_key=secrets["anna"]) as client,
        pytest.raises(NotAllowed),
    ):
        client.datasets.list()
    run("keys", "list", "--data", str(tmp_path / "nothing"), status=2)


@pytest.fixture(scope="module")
def larger() -> tuple[r2rise.Study, r2rise.ImportanceMap]:
    """A study that takes long enough to be interrupted, and its map."""
    budget = r2rise.Budget(retrainings=1024, baseline_retrainings=2)
    longer = r2rise.Study(
        environment="CartPole-v1", algorithm={"name": "bc", "settings": {"n_epochs": 60}}
    )
    changes = {
        "algorithm": longer.algorithm,
        "budget": budget,
        "execution": r2rise.Execution(shard_size=16),
    }
    study = SMALL.model_copy(update=changes)
    return study, r2rise.explain(CARTPOLE, study)


@pytest.mark.slow
@pytest.mark.parametrize("end", [Server.kill, Server.stop])
def test_a_job_goes_on_after_the_server_was_killed_or_stopped(tmp_path, larger, end):
    study, want = larger
    server = Server(tmp_path / "data")
    with Client(url=server.url) as client:
        job = client.jobs.create(client.datasets.upload(CARTPOLE), study=study)
        events = job.events()
        seen = [next(events)]
        while seen[-1].progress is None or seen[-1].progress.done < 1:
            seen.append(next(events))
        end(server)
        assert seen[-1].progress.done < job.progress.total
        with Server(tmp_path / "data", port=server.port):
            seen += events  # the client waits for the server to come back
            assert_same(job.wait(timeout=600).importance(), want)
    numbers = [event.id for event in seen]
    assert numbers == sorted(set(numbers))
    done = [event.progress.done for event in seen if event.progress is not None]
    assert done == sorted(done)  # what was done before is not done again
    assert seen[-1].data["status"] == "succeeded"
    assert job.progress.done == job.progress.total


def test_a_failed_job_is_told(client, tmp_path, dataset):
    """More than the study's share of failed retrainings ends a job."""
    study = SMALL.model_dump(mode="json", exclude_unset=True)
    study["evaluation"]["score"] = "info:is_success"  # CartPole tells of no success
    job = client.jobs.create(dataset, study=study)
    with pytest.raises(JobFailed, match=job.id):
        job.wait(timeout=120)


SLOW = {"client.md-0", "client.md-1", "client.md-2", "rest.md", "README.md"}
"""Programs and scripts that take more than 5 s."""


def param(text: str, name: str):
    return pytest.param(text, id=name, marks=pytest.mark.slow if name in SLOW else ())


PROGRAMS = [
    param(program, f"{name}-{i}")
    for name, text in PAGES.items()
    for i, program in enumerate(blocks(text, "py"))
]
SCRIPTS = [  # a page's lines go on with what those before them have set
    param("".join(own), name)
    for name, text in PAGES.items()
    if (own := [block for block in blocks(text, "sh") if "curl" in block])
]


def test_the_slow_programs_are_there():
    assert {one.id for one in PROGRAMS + SCRIPTS} >= SLOW


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_in_the_docs_run_against_a_server(server, tmp_path, program):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "demos.npz").symlink_to(CARTPOLE)  # as the README's program saves it
    (tmp_path / "program.py").write_text(program)
    found = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path, env={**os.environ, "R2RISE_URL": server.url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_curl_lines_in_the_docs_run_against_a_server(server, tmp_path, script):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "demos.npz").symlink_to(CARTPOLE)  # as the README's program saves it
    script = script.replace("http://127.0.0.1:8000", server.url)
    found = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "map.csv").read_text().startswith("demonstration,start,stop,importance")


def test_what_was_noticed_at_first_is_in_the_map(client, dataset):
    """Ten retrainings cannot rank fifty segments: the map says so, as the library's does."""
    study = SMALL.model_copy(
        update={"budget": r2rise.Budget(retrainings=10, baseline_retrainings=2)}
    )
    job = client.jobs.create(dataset, study=study)
    found, want = job.wait(timeout=120).importance(), r2rise.explain(CARTPOLE, study)
    assert "low_power" in {notice.code for notice in found.warnings}
    assert found.warnings == want.warnings
    assert job.info.warnings == want.warnings[: len(job.info.warnings)]
