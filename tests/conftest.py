import os
import signal
from importlib.util import find_spec

import pytest
import toys
from hypothesis import settings
from needs import require

import r2rise

pytest_plugins = ["databases", "servers", "stores"]
pytest.register_assert_rewrite(
    "api_helpers", "benches", "by_hand", "clusters", "commands", "drawings", "killed_runs", "stack"
)

# What a shell runs in the background ignores Ctrl-C, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests share the cores with each other, and threads of torch that share a core wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A loaded machine is no failure; CI draws the same examples every time.
settings.register_profile("ours", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("ours")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("R2RISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def demonstrations() -> r2rise.Demonstrations:
    return toys.demonstrations()


@pytest.fixture
def study() -> r2rise.Study:
    """8 segments, 2 fold-over blocks of 32, an algorithm of known importance."""
    return r2rise.Study(
        environment=toys.OneStep,
        algorithm=toys.Additive,
        evaluation={"n_episodes": 2, "max_steps": 5},
        budget={"retrainings": 64, "baseline_retrainings": 3},
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is marked `imitation` is left out where that extra is not: `-m "not imitation"`."""
    if item.get_closest_marker("imitation"):
        for package in ("imitation", "stable_baselines3"):
            require(find_spec(package) is not None, f"{package} is not installed")
