"""What the client and `r2rise jobs` do beyond a plain map, against a real server process."""

import json
import re
import subprocess

import httpx2
import numpy as np
import pytest
from places import CARTPOLE
from served import LONG, SMALL
from servers import ONE, R2RISE, Server, run
from terminals import terminal

import r2rise
from r2rise_service import Client
from r2rise_service.client import JobCanceled, NotAllowed, NotFound, Refused

NO_SCORE = {
    **SMALL.model_dump(mode="json", exclude_unset=True),
    "evaluation": {"n_episodes": 2, "score": "info:is_success"},  # CartPole tells of no success
}


@pytest.fixture(scope="module")
def dataset(client):
    return client.datasets.upload(CARTPOLE)


@pytest.fixture(scope="module")
def done(client, dataset):
    """A job that has succeeded."""
    return client.jobs.create(dataset, study=SMALL, name="done").wait(timeout=300)


def on_a_terminal(*command: str) -> tuple[str, int]:
    """Run `r2rise ...` on a terminal; return what it showed, in one line, and its exit status."""
    with terminal() as (fd, shown):
        process = subprocess.Popen([str(R2RISE), *command], stdout=fd, stderr=fd)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown[0])
    return " ".join(text.split()), process.wait(60)


@pytest.mark.slow
def test_waiting_takes_few_requests(server, dataset):
    requests = []

    class Counting(httpx2.HTTPTransport):
        def handle_request(self, request):
            requests.append(f"{request.method} {request.url.path.rpartition('/')[2]}")
            return super().handle_request(request)

    study = SMALL.model_copy(update={"seed": 7})
    with Client(url=server.url, transport=Counting()) as client:
        job = client.jobs.create(dataset, study=study)
        job.wait()
    assert requests[:3] == ["POST jobs", f"GET {job.id}", "GET events"]
    assert requests[3:] == [f"GET {job.id}"]


def test_an_estimate_stores_nothing(client, dataset):
    before = [job.id for job in client.jobs.list()]
    named = {"name": "bc", "settings": {"n_updates": 70}}
    asked = {"masking": {"segment_length": 10}, "algorithm": named}
    found = client.jobs.estimate(dataset, environment="CartPole-v1", study=asked, retrainings=10)
    assert found.training_check is None
    assert found.study.budget.retrainings == 10
    assert found.cost.retrainings == 10 + 20 + 1  # masks, all frames, random actions
    assert found.cost.episodes == 31 * found.study.evaluation.n_episodes
    assert "low_power" in {notice.code for notice in found.warnings}
    assert [job.id for job in client.jobs.list()] == before
    with pytest.raises(Refused, match="my_robot:Reach-v0"):
        client.jobs.estimate(dataset, environment="my_robot:Reach-v0")


def test_an_estimate_says_that_the_training_is_to_be_checked(client, dataset):
    found = client.jobs.estimate(dataset, environment="CartPole-v1", retrainings=10)
    assert found.cost.retrainings == 10 + 20 + 1 + 16 * 7  # seeds at each amount
    assert found.study.algorithm.settings["n_updates"] is None
    assert "for 6400 updates with 16 training seeds" in found.training_check


def test_what_a_server_has(client):
    assert "CartPole-v1" in [one.id for one in client.environments()]
    assert "n_epochs" in {one.name: one.settings for one in client.algorithms()}["bc"]["properties"]


def test_records_are_the_ledgers(done, tmp_path):
    ledger = r2rise.Ledger.load(done.ledger(tmp_path / "ledger.npz"))
    for kind in ("design", "baseline", "random_policy"):
        found = list(done.retrainings(kind=kind))
        assert [one.to_json() for one in found] == [r.to_json() for r in ledger.records(kind)]
    assert len(list(done.retrainings())) == 64


def test_words_about_a_job_are_changed(client, done):
    other = client.jobs.get(done.id)
    assert done.update(labels={"robot": "hand"}, priority=4).info.labels == {"robot": "hand"}
    assert [job.id for job in client.jobs.list(label=("robot", "hand"))] == [done.id]
    with pytest.raises(r2rise.R2RiseError, match=r"version"):
        other.update(name="mine")
    assert other.update(name="mine").info.priority == 4
    assert done.refresh().info.name == "mine"


def test_dict_observations_go_concatenated(client, tmp_path):
    with np.load(CARTPOLE) as arrays:
        plain = {name: arrays[name] for name in ("acts", "lengths", "obs")}
    obs = plain.pop("obs")
    np.savez(tmp_path / "dict.npz", **plain, **{"obs.a": obs[:, :1], "obs.b": obs[:, 1:]})
    file = str(tmp_path / "dict.npz")
    known = run("datasets", "upload", file, "--obs-keys", "b,a", "--url", client.url)[0].strip()
    found = client.datasets.upload(file, obs_keys=["b", "a"])
    assert found.id == known
    want = r2rise.Demonstrations.load(tmp_path / "dict.npz", obs_keys=("b", "a"))
    assert (found.sha256, found.obs_shape) == (want.content_hash, (4,))


def test_short_demonstrations_and_one_hot_actions_are_converted_before_they_are_sent(
    client, tmp_path
):
    import numpy as np

    acts = np.eye(2)[[0, 1, 1, 0, 1]]
    file = tmp_path / "hot.npz"
    np.savez(file, obs=np.zeros((7, 4), np.float32), acts=acts, lengths=np.array([3, 2]))
    options = ("--min-frames", "3", "--one-hot")
    known = run("datasets", "upload", str(file), *options, "--url", client.url)[0].strip()
    found = client.datasets.upload(file, min_frames=3, one_hot=True)
    assert (found.id, found.n_demonstrations, found.act_shape) == (known, 1, ())
    want = r2rise.formats.read_demonstrations(file, min_frames=3, one_hot=True)
    assert found.sha256 == want.content_hash
    out = run(
        "jobs", "submit", str(file), *options, "--env", "CartPole-v1", "--dry-run",
        "--segment-length", "1", "--url", client.url,
    )[0]  # fmt: skip
    assert "retrainings" in out
    error = run("datasets", "upload", str(file), "--obs-keys", "a", "--url", client.url, status=2)[
        1
    ]
    assert "holds one array of observations" in error


def test_a_map_as_picture_and_estimates_from_the_command_line(server, done, tmp_path):
    def ask(*command: str) -> str:
        return run(*command, "--url", server.url)[0]

    ask("jobs", "download", done.id, "--out", str(tmp_path / "map.svg"))
    assert "<svg" in (tmp_path / "map.svg").read_text()
    (tmp_path / "map.svg").write_text("by hand")
    again = ("jobs", "download", done.id, "--out", str(tmp_path / "map.svg"))
    assert "map.svg already exists" in run(*again, "--url", server.url, status=2)[1]
    assert (tmp_path / "map.svg").read_text() == "by hand"
    ask(*again, "--force")
    assert "<svg" in (tmp_path / "map.svg").read_text()
    shown = " ".join(ask("jobs", "show", done.id).split())
    assert f"{done.id} succeeded 67 of 67 retrainings done CartPole-v1, bc: 50 segments" in shown
    assert "Most helpful: " in shown

    (tmp_path / "own.csv").write_text(
        "demonstration,start,stop\n" + "".join(f"{i},0,50\n{i},50,100\n" for i in range(5))
    )
    options = ("--env", "CartPole-v1", "--segments", str(tmp_path / "own.csv"), "--dry-run")
    found = json.loads(ask("jobs", "submit", str(CARTPOLE), *options, "--json"))
    assert len(found["study"]["masking"]["boundaries"]) == 5
    out, err = run("jobs", "submit", str(CARTPOLE), *options, "--url", server.url)
    assert re.fullmatch(
        r"CartPole-v1, bc: \d+ retrainings, \d+ episodes, at most \d+ steps of the environment\n"
        r"The training check comes first. Training check: all frames .* with 16 .*\n",
        out,
    )
    assert "No job was created" in err


def test_labels_from_the_command_line(server, client, tmp_path):
    SMALL.save(tmp_path / "study.yaml")
    study = ("--study", str(tmp_path / "study.yaml"), "--seed", "11", "--url", server.url)
    labels = ("--label", "robot=leg", "--label", "run=a=b")
    job = run("jobs", "submit", str(CARTPOLE), *study, *labels)[0].strip()
    assert client.jobs.get(job).info.labels == {"robot": "leg", "run": "a=b"}
    listed = run("jobs", "list", "--label", "run=a=b", "--json", "--url", server.url)[0]
    assert [one["id"] for one in json.loads(listed)] == [job]
    assert job in run("jobs", "list", "--label", "robot=leg", "--url", server.url)[0]


@pytest.mark.slow
def test_watching_shows_a_bar_on_a_terminal(server, client, dataset):
    study = LONG.model_copy(update={"budget": r2rise.Budget(retrainings=12_288), "seed": 5})
    job = client.jobs.create(dataset, study=study)
    shown, status = on_a_terminal("jobs", "watch", job.id, "--url", server.url)
    assert status == 0
    assert re.search(r"Retraining \S+ \d+/12309 [\d.]+/s 0:00:\d\d left", shown)
    assert f"{job.id} succeeded 12309 of 12309 retrainings done" in shown
    assert "Most helpful: " in shown


@pytest.mark.slow
def test_watching_and_waiting_end_with_1_when_the_job_did_not_succeed(server, client, dataset):
    failed = client.jobs.create(dataset, study=NO_SCORE)
    for command in ("watch", "wait"):
        out, err = run("jobs", command, failed.id, "--url", server.url, status=1)
        assert f"Error: Job {failed.id} failed: " in err
    shown, status = on_a_terminal("jobs", "watch", failed.id, "--url", server.url)
    assert status == 1
    assert f"Error: Job {failed.id} failed: " in shown
    assert f"{failed.id} failed" in run("jobs", "show", failed.id, "--url", server.url)[0]

    canceled = client.jobs.create(dataset, study=LONG).cancel()
    with pytest.raises(JobCanceled):
        canceled.wait(timeout=60)
    out, err = run("jobs", "watch", canceled.id, "--json", "--url", server.url, status=1)
    assert json.loads(out.splitlines()[-1])["data"]["status"] == "canceled"
    assert err == f"Error: Job {canceled.id} was canceled.\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["show", "job_none"], "You have no job 'job_none'"),
        (
            ["submit", "CARTPOLE", "--env", "CartPole-v1", "--label", "robot"],
            "--label should be name",
        ),
        (["list", "--label", "=arm"], "--label should be name=value, got '=arm'"),
        (["download", "DONE", "--out", "a.pdf"], "not as 'a.pdf'"),
        (["download", "DONE", "--out", "."], "--out should be a file"),
        (
            ["download", "DONE", "--out", "a.html", "--estimator", "rise"],
            "Only a map has an estimator",
        ),
        (["download", "DONE", "--out", "a.csv", "--estimator", "luck"], "estimator"),
        (["wait", "DONE", "--timeout", "soon"], "--timeout should be a time"),
        (["submit", "CARTPOLE", "--env", "Pendulum-v1"], "Pendulum-v1"),
        (["submit", "CARTPOLE", "--env", "CartPole-v1", "--obs-keys", "a"], "obs_keys"),
    ],
)
def test_what_commands_say_to_wrong_input(server, done, tmp_path, monkeypatch, command, message):
    monkeypatch.chdir(tmp_path)
    given = {"DONE": done.id, "CARTPOLE": str(CARTPOLE)}
    words = [given.get(word, word) for word in command]
    out, err = run("jobs", *words, "--url", server.url, status=2)
    assert out == ""
    assert err.startswith("Error: ")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_is_gone_is_told(client, dataset):
    job = client.jobs.create(dataset, study=SMALL.model_copy(update={"seed": 12}))
    job.wait(timeout=300).delete()
    with pytest.raises(NotFound):
        job.refresh()
    with pytest.raises(NotFound):
        job.delete()


@pytest.mark.slow
def test_an_administrator_makes_and_revokes_keys(tmp_path):
    data = tmp_path / "data"
    secret = run("keys", "create", "--data", str(data), "--scope", "admin")[0].strip()
    with Server(data, *ONE) as server, Client(url=server.url, api_key=secret) as admin:
        made = admin.keys.create(owner="anna", name="laptop", scopes=["read"])
        assert (made.owner, made.name, made.scopes) == ("anna", "laptop", ("read",))
        assert made.id in [key.id for key in admin.keys.list()]
        with Client(url=server.url, api_key=made.secret) as anna:
            assert anna.datasets.list() == []
            with pytest.raises(NotAllowed, match="submit"):
                anna.datasets.upload(CARTPOLE)
            with pytest.raises(NotAllowed, match="admin"):
                anna.keys.list()
            admin.keys.revoke(made.id)
            with pytest.raises(NotAllowed):
                anna.datasets.list()
        with pytest.raises(NotFound):
            admin.keys.revoke(made.id)
        with pytest.raises(Refused, match="owner"):
            admin.keys.create(owner="")
