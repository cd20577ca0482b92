"""Every environment that R2RISE registers keeps gymnasium's contract and r2rise's promises."""

import builtins
import importlib.util
import warnings

import gymnasium as gym
import numpy as np
import pytest
from api_helpers import running
from gymnasium.utils.env_checker import check_env
from needs import require
from typer.testing import CliRunner

import r2rise
from r2rise.algorithms.bc.network import image_shape
from r2rise.environments import Environment, environment_ids
from r2rise.errors import MissingExtra, StudyError
from r2rise.evaluation.backends import resolve_backend
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec
from r2rise_envs import needed_extra
from r2rise_envs.presets import PRESETS, make
from r2rise_service.api.studies import is_allowed
from r2rise_service.cli import app
from r2rise_service.settings import Settings

IDS = [name for name in environment_ids() if name.startswith("r2rise/")]


@pytest.fixture(params=IDS)
def name(request) -> str:
    extra = needed_extra(request.param)
    require(extra is None, f"{request.param} needs the extra {extra}")
    return request.param


def play(env: gym.Env, seed: int, steps: int = 60) -> list:
    """Observations, rewards and ends of a seeded run of random actions, over several episodes."""
    actions = np.random.default_rng(seed)
    shown, _ = env.reset(seed=seed)
    found = [shown]
    for _ in range(steps):
        shown, reward, terminated, truncated, _ = env.step(sample(env.action_space, actions))
        found += [shown, reward, terminated, truncated]
        if terminated or truncated:
            shown, _ = env.reset()
            found.append(shown)
    return found


def sample(space: gym.Space, generator: np.random.Generator):
    space.seed(int(generator.integers(2**31)))
    return space.sample()


def same(a: list, b: list) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_all_presets_are_registered():
    assert set(PRESETS) <= set(IDS)


def test_gymnasiums_check_passes(name):
    env = make(name) if name in PRESETS else gym.make(name, disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*different from the unwrapped version")
        warnings.filterwarnings("ignore", ".*get variables from other wrappers")  # the check's own
        warnings.filterwarnings("ignore", ".*(min|max)imum value is -?infinity")  # MuJoCo's
        check_env(env, skip_render_check=True)


@pytest.mark.parametrize("seed", [5, 27])
def test_a_seed_gives_the_same_episodes_whatever_came_before(name, seed):
    environment = Environment(EnvironmentSpec(id=name))
    env = environment.make(0)
    first = play(env, seed)
    play(env, seed=6, steps=7)
    assert same(play(env, seed), first)
    assert same(play(environment.make(1), seed), first)


def test_observations_stay_in_their_space(name):
    env = Environment(EnvironmentSpec(id=name)).make(0)
    for shown in play(env, seed=1)[::4]:
        if isinstance(shown, np.ndarray):
            assert env.observation_space.contains(shown)


def needs_opengl(name: str) -> bool:
    """Not every machine has its drivers."""
    return name in PRESETS and PRESETS[name].extra == "mujoco"


def test_what_renders_shows_pictures(name):
    modes = gym.make(name, disable_env_checker=True).metadata.get("render_modes", [])
    if "rgb_array" not in modes or needs_opengl(name):
        return
    env = gym.make(name, render_mode="rgb_array", disable_env_checker=True)
    env.reset(seed=0)
    picture = env.render()
    env.close()
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert picture.max() > picture.min()


@pytest.mark.parametrize("name", PRESETS)
def test_a_server_may_allow_it_by_name_and_does_by_default(name):
    assert is_allowed(name, [name])
    assert is_allowed(name, Settings().environments)


def test_a_job_of_a_preset_is_done_over_rest(tmp_path):
    name = "r2rise/MinAtar-Breakout-v0"
    require(needed_extra(name) is None, "needs the extra minatar")
    demonstrations = demonstrations_of(name)
    demonstrations.save(tmp_path / "demos.npz")
    study = {
        "environment": name,
        "demonstrations": demonstrations.content_hash,
        "algorithm": {"name": "bc", "settings": {"n_epochs": 1}},
        "evaluation": {"n_episodes": 1, "max_steps": 8},
        "masking": {"segment_length": 3, "design": "balanced", "block_size": 4},
        "budget": {"retrainings": 4, "baseline_retrainings": 1},
    }
    with running(tmp_path / "data") as server:
        listed = server.client.get("/environments").json()["data"]
        assert set(PRESETS) <= {entry["id"] for entry in listed}
        with (tmp_path / "demos.npz").open("rb") as file:
            assert server.client.post("/datasets", files={"file": file}).status_code == 201
        accepted = server.client.post("/jobs", json={"study": study})
        assert accepted.status_code == 202, accepted.text
        assert server.done(accepted.json()["id"]).status == "succeeded"


@pytest.mark.parametrize("name", PRESETS)
def test_episodes_have_an_end(name):
    assert gym.spec(name).max_episode_steps == PRESETS[name].max_episode_steps


def test_envpool_is_refused_rather_than_taken_for_another_task(name):
    if name not in PRESETS:
        return
    with pytest.raises(StudyError, match="envpool has no environment"):
        resolve_backend(Evaluation(backend="envpool"), EnvironmentSpec(id=name))


@pytest.fixture
def nothing_installed(monkeypatch):
    """No package of a preset can be found or imported."""
    packages = {package for preset in PRESETS.values() for package in preset.packages}
    find, load = importlib.util.find_spec, builtins.__import__

    def find_spec(package, *rest):
        return None if package in packages else find(package, *rest)

    def load_module(module, *rest, **more):
        assert module.partition(".")[0] not in packages, f"{module} was imported"
        return load(module, *rest, **more)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(builtins, "__import__", load_module)


@pytest.mark.parametrize("name", PRESETS)
def test_a_missing_package_is_named_with_the_line_that_installs_it(name, nothing_installed):
    line = rf'{name}.* pip install "r2rise\[{PRESETS[name].extra}\]"'
    with pytest.raises(MissingExtra, match=line):
        Environment(EnvironmentSpec(id=name))


def test_the_list_says_which_extra_an_environment_needs(nothing_installed):
    listed = CliRunner().invoke(app, ["environments", "r2rise/"]).output.splitlines()
    assert 'r2rise/MinAtar-Breakout-v0  needs: pip install "r2rise[minatar]"' in listed
    assert "r2rise/Junctions-v0" in listed


def test_minatar_repeats_no_action_of_the_episode_before():
    require(needed_extra("r2rise/MinAtar-Breakout-v0") is None, "needs the extra minatar")
    env = gym.make("r2rise/MinAtar-Breakout-v0", disable_env_checker=True)
    n_repeated = 0
    for seed in range(40):
        env.reset(seed=seed)
        env.step(2)
        env.reset(seed=seed)
        shown, *_ = env.step(0)
        n_repeated += shown[9, 4, 0] != 1
    assert n_repeated == 0


def test_minatars_observations_are_images_for_a_network():
    for name in PRESETS:
        if "MinAtar" in name and needed_extra(name) is None:
            space = Environment(EnvironmentSpec(id=name)).observation_space
            assert image_shape(space) == (space.shape[2], 10, 10)


RETURNS = {
    "r2rise/Pong-v0": -3,
    "r2rise/Qbert-v0": 50,
    "r2rise/SpaceInvaders-v0": 50,
    "r2rise/MinAtar-Breakout-v0": 6,
    "r2rise/MinAtar-SpaceInvaders-v0": 16,
    "r2rise/Ant-v0": -102.8,
    "r2rise/HalfCheetah-v0": -18.39,
    "r2rise/Hopper-v0": 118.6,
    "r2rise/Walker2d-v0": 28.56,
    "r2rise/LunarLander-v0": 51.9,
}
"""Rewards of `play(seed=5, steps=150)`, the same on gymnasium 0.29 and 1.x."""


@pytest.mark.parametrize("name", RETURNS, indirect=True)
def test_an_id_is_the_same_task_on_every_gymnasium(name):
    found = play(Environment(EnvironmentSpec(id=name)).make(0), seed=5, steps=150)
    rewards = [x for x in found if isinstance(x, int | float) and not isinstance(x, bool)]
    assert sum(rewards) == pytest.approx(RETURNS[name], rel=1e-3)


SCORES = {
    "beam_rider": (9, 10, 11),
    "breakout": (76, 77),
    "pong": (13, 14),
    "qbert": (89, 90, 91),
    "seaquest": (56, 57, 58),
    "space_invaders": (102, 104),
}
"""Bytes of the game's memory that hold the score, in decimal digits (two of them each)."""


@pytest.mark.parametrize("game", SCORES)
def test_the_score_does_not_show(game):
    require(needed_extra("r2rise/Breakout-v0") is None, "needs the extra atari")
    from r2rise_envs.presets.atari import Atari

    shown, screens = [], []
    for digit in (1, 8):
        env = Atari(game, render_mode="rgb_array")
        env.reset(seed=0)
        for step in range(40):
            env.step(step % 4)
        for byte in SCORES[game]:
            env._ale.setRAM(byte, digit if game == "pong" else digit * 17)
        for _ in range(5):
            observation, *_ = env.step(0)
        shown.append(observation)
        screens.append(env.render())
    assert not np.array_equal(*screens)
    assert np.array_equal(*shown)


@pytest.mark.parametrize("name", ["r2rise/Breakout-v0"])
def test_atari_shows_the_last_four_pictures_and_serves_the_ball(name):
    require(needed_extra(name) is None, "needs the extra atari")
    env = gym.make(name, disable_env_checker=True)
    before, info = env.reset(seed=0)
    assert (before[..., :1] == before).all()
    lives, ended = [info["lives"]], False
    while not ended:
        after, _, ended, _, info = env.step(0)
        assert np.array_equal(after[..., :3], before[..., 1:])
        before = after
        lives.append(info["lives"])
    assert sorted(set(lives)) == [0, 1, 2, 3, 4, 5]


def demonstrations_of(name: str, n: int = 2, length: int = 30) -> r2rise.Demonstrations:
    """Random play, `length` frames of each of n seeds."""
    env = Environment(EnvironmentSpec(id=name)).make(0)
    obs, acts, lengths = [], [], []
    for seed in range(n):
        generator = np.random.default_rng(seed)
        shown, _ = env.reset(seed=seed)
        obs.append(shown)
        ended, before = False, len(acts)
        while not ended and len(acts) - before < length:
            acts.append(sample(env.action_space, generator))
            shown, _, terminated, truncated, _ = env.step(acts[-1])
            obs.append(shown)
            ended = terminated or truncated
        lengths.append(len(acts) - before)
    return r2rise.Demonstrations(obs=np.stack(obs), acts=np.stack(acts), lengths=np.array(lengths))


FAMILIES = {preset.factory: name for name, preset in PRESETS.items()}


@pytest.mark.parametrize("name", FAMILIES.values(), indirect=True)
def test_bc_is_explained_on_every_kind_of_preset(name):
    study = r2rise.Study(
        environment=name,
        algorithm={"name": "bc", "settings": {"n_epochs": 1}},
        evaluation={"n_episodes": 1, "max_steps": 8},
        masking={"segment_length": 3, "design": "balanced", "block_size": 4},
        budget={"retrainings": 4, "baseline_retrainings": 1},
    )
    found = r2rise.explain(demonstrations_of(name), study)
    assert found.retrainings.failed == 0
