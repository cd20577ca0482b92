"""Without the extra `imitation`: what needs it says so, and everything else works.

`make test-newest` runs this where it is truly missing.
"""

import json
import pickle
import sys
import zipfile

import pytest
from api_helpers import CARTPOLE, STUDY, cartpole, running
from needs import NEED_IMITATION
from pydantic import BaseModel
from typer.testing import CliRunner

from r2rise.algorithms import algorithm_names, make_algorithm
from r2rise.algorithms.registry import needed_extra
from r2rise.errors import MissingExtra
from r2rise.study.specs import AlgorithmSpec
from r2rise_service.cli import app

LINE = 'pip install "r2rise[imitation]"'


def text(name: str) -> str:
    return f"The algorithm {name!r} needs an optional package: {LINE}"


@pytest.fixture(autouse=True)
def _without_imitation(monkeypatch):
    for package in ("imitation", "stable_baselines3"):
        monkeypatch.setitem(sys.modules, package, None)


def test_these_algorithms_need_it_and_no_others():
    found = {name: needed_extra(name) for name in algorithm_names()}
    assert found == {
        name: "imitation" if name in NEED_IMITATION else None for name in algorithm_names()
    }


@pytest.mark.parametrize("name", NEED_IMITATION)
def test_an_algorithm_names_the_line_that_installs_it(name):
    with pytest.raises(MissingExtra) as caught:
        make_algorithm(AlgorithmSpec(name=name))
    assert str(caught.value) == text(name)


@pytest.mark.parametrize("name", NEED_IMITATION)
def test_the_command_line_says_it_before_anything_is_spent(name, tmp_path):
    out = tmp_path / "out"
    command = ["explain", str(CARTPOLE), "--env", "CartPole-v1", "--algorithm", name]
    result = CliRunner().invoke(app, [*command, "--out", str(out)])
    assert (result.exit_code, result.stderr) == (2, f"Error: {text(name)}\n")
    assert not out.exists()


@pytest.mark.parametrize(
    "command", ["train-expert --out new.zip", "record --policy saved.zip --out demos.npz"]
)
def test_experts_of_stable_baselines3_need_it_too(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"policy_class": {}, "observation_space": {}, "action_space": {}, "clip_range": 0.2}
    with zipfile.ZipFile("saved.zip", "w") as model:
        model.writestr("data", json.dumps(settings))
    result = CliRunner().invoke(app, [*command.split(), "--env", "CartPole-v1"])
    assert result.exit_code == 2
    assert result.stderr.endswith(f"needs an optional package: {LINE}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["saved.zip"]


def test_the_list_of_algorithms_says_what_they_need():
    listed = CliRunner().invoke(app, ["algorithms"]).output.splitlines()
    assert "bc" in listed
    for name in NEED_IMITATION:
        assert f"{name}  needs: {LINE}" in listed
    schemas = json.loads(CliRunner().invoke(app, ["algorithms", "--json"]).output)
    assert list(schemas) == algorithm_names()


def test_a_server_refuses_a_job_and_lists_what_it_lacks(tmp_path):
    with running(tmp_path) as server:
        server.upload()
        for name in NEED_IMITATION:
            study = {**STUDY, "algorithm": name, "demonstrations": cartpole().content_hash}
            answer = server.submit(study=study)
            assert answer.status_code == 422
            problem = answer.json()
            assert (problem["code"], problem["detail"]) == ("not-installed", text(name))
            assert server.client.get(f"/algorithms/{name}").json()["needed_extra"] == "imitation"
        assert server.client.get("/jobs").json()["data"] == []
        assert server.client.get("/algorithms/bc").json()["needed_extra"] is None


def test_the_error_of_a_worker_process_arrives_whole():
    error = MissingExtra("The algorithm 'gail'", "imitation")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.purpose, copy.extra) == (str(error), error.purpose, error.extra)


class Asks:
    class Settings(BaseModel):
        share: float

    def __init__(self, settings):
        raise AssertionError

    def train(self, transitions, environment, seed, *, progress): ...


def test_an_algorithm_whose_settings_have_no_defaults_is_listed():
    assert needed_extra(f"{__name__}:Asks") is None
