"""Which modules a command imports where files of the same names lie beside the data."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import CARTPOLE, child_environment

from r2rise import ImportanceMap

SCRIPT = """
from r2rise_service.cli import main

if __name__ == "__main__":
    main()
"""
MY_ROBOT = """
import os

import gymnasium as gym
import numpy as np


class Env(gym.Wrapper):
    def __init__(self):
        super().__init__(gym.make("CartPole-v1"))


class Fixed:
    def train(self, transitions, environment, seed, *, progress):
        assert "PYTHONSAFEPATH" not in os.environ  # programs started here find what they always do
        return self

    def predict(self, observations, deterministic=True):
        return np.zeros(len(observations), int), None
"""
STUDY = """
environment: my_robot:Env
algorithm: my_robot:Fixed
masking: {segment_length: all}
evaluation: {n_episodes: 1}
budget: {retrainings: 16, baseline_retrainings: 2}
execution: {time_limit: %s}
"""
INSTALLED = ("torch", "numba", "random", "socket", "struct")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "start.py").write_text(SCRIPT)
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(CARTPOLE, data / "demos.npz")
    for name in INSTALLED:
        (data / f"{name}.py").write_text(f"open('{name}.ran', 'w')\nraise SystemExit('ours')\n")
    (data / "my_robot.py").write_text(MY_ROBOT)
    monkeypatch.chdir(data)
    return tmp_path


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "bin" / "start.py"), *command.split()],
        capture_output=True, text=True, check=False, env=child_environment(),
    )  # fmt: skip


@pytest.mark.parametrize("workers", ["0", pytest.param("1", marks=pytest.mark.slow)])
@pytest.mark.parametrize("time_limit", ["null", "60"], ids=["in the process", "in a child"])
def test_a_module_beside_the_data_is_found_after_the_installed_ones(folder, workers, time_limit):
    Path("study.yaml").write_text(STUDY % time_limit)
    found = run(folder, f"explain demos.npz --study study.yaml --workers {workers} --out out")
    assert found.returncode == 0, found.stderr
    assert not list(Path().glob("*.ran"))
    assert ImportanceMap.load("out").retrainings.done == 16
    assert ImportanceMap.load("out").study.algorithm.name == "my_robot:Fixed"


def test_a_name_that_an_installed_module_has_says_which_module_was_found(folder):
    found = run(folder, "explain demos.npz --env numba:Env --out out")
    assert found.returncode == 2
    assert "numba/__init__.py) has no 'Env'" in found.stderr
    assert not list(Path().glob("*.ran"))
