import json
import zipfile

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from typer.testing import CliRunner

import r2rise
from r2rise.ask.experts import recipe_for, train_expert
from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch, InputError, MissingExtra
from r2rise.study.specs import EnvironmentSpec
from r2rise_service.cli import app

CARTPOLE = Environment(EnvironmentSpec(id="CartPole-v1"))
pytestmark = pytest.mark.imitation


def saved(folder, kind: str, environment: str):
    """Return a model that Stable-Baselines3 saved before its first step, and its file."""
    import stable_baselines3

    few = {"buffer_size": 100} if kind in ("DQN", "SAC", "TD3", "DDPG") else {}
    model = getattr(stable_baselines3, kind)("MlpPolicy", environment, seed=0, device="cpu", **few)
    path = folder / f"{kind}.zip"
    model.save(path)
    return model, path


@pytest.mark.parametrize(
    ("kind", "environment"),
    [
        ("PPO", "CartPole-v1"),
        ("A2C", "CartPole-v1"),
        ("DQN", "CartPole-v1"),
        ("SAC", "Pendulum-v1"),
        ("TD3", "Pendulum-v1"),
        ("DDPG", "Pendulum-v1"),
    ],
)
def test_a_model_that_stable_baselines3_saved_acts_as_it_did(kind, environment, tmp_path, caplog):
    model, path = saved(tmp_path, kind, environment)
    recorded = r2rise.record(environment, str(path), n_demonstrations=2, max_steps=20)
    shown = recorded.transitions(np.ones(recorded.n_frames, bool)).obs
    want, _ = model.predict(shown, deterministic=True)
    np.testing.assert_allclose(recorded.acts, want, rtol=1e-4, atol=1e-5)
    assert "only files that you trust" in " ".join(caplog.messages)
    assert recorded.meta["policy"] == f"{kind}.zip"


def test_sampled_actions_come_from_the_seed(tmp_path):
    _, path = saved(tmp_path, "PPO", "CartPole-v1")

    def record(seed):
        return r2rise.record(
            CARTPOLE, str(path), n_demonstrations=2, stochastic=True, seed=seed
        ).content_hash

    assert record(1) == record(1) != record(2)


def test_a_model_of_other_spaces(tmp_path):
    _, path = saved(tmp_path, "PPO", "CartPole-v1")
    with pytest.raises(EnvironmentMismatch, match=r"trained on observations Box.*'Pendulum-v1'"):
        r2rise.record("Pendulum-v1", str(path), n_demonstrations=1)


@pytest.mark.parametrize(
    ("observations", "is_refused"), [("normalised", True), ("as they are", False)]
)
@pytest.mark.parametrize("kind", ["PPO", "TD3"])
def test_a_model_behind_vecnormalize_is_refused(kind, observations, is_refused, tmp_path):
    """Its statistics are not in the file; without them it acts on what it never saw."""
    import stable_baselines3
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    def far():
        env = gym.make("Pendulum-v1", max_episode_steps=20)
        box = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
        return gym.wrappers.TransformObservation(
            env,
            lambda seen: seen + np.float32(500),
            **({"observation_space": box} if gym.__version__ >= "1" else {}),
        )

    envs = VecNormalize(DummyVecEnv([far]), norm_obs=observations == "normalised")
    settings = {"n_steps": 8, "batch_size": 8} if kind == "PPO" else {"buffer_size": 100}
    model = getattr(stable_baselines3, kind)("MlpPolicy", envs, seed=0, **settings)
    model.learn(16).save(tmp_path / "a.zip")
    if is_refused:
        with pytest.raises(InputError, match="was trained with VecNormalize, whose statistics"):
            r2rise.record("Pendulum-v1", str(tmp_path / "a.zip"), n_demonstrations=1)
    else:
        r2rise.record("Pendulum-v1", str(tmp_path / "a.zip"), n_demonstrations=1, max_steps=2)


def test_a_model_of_another_library(tmp_path):
    _, path = saved(tmp_path, "PPO", "CartPole-v1")
    with zipfile.ZipFile(path) as archive:
        data = json.loads(archive.read("data"))
    data["policy_class"]["__module__"] = "sb3_contrib.common.recurrent.policies"
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data", json.dumps(data))
    with pytest.raises(InputError, match=r"another class \(sb3_contrib.*give module:policy"):
        r2rise.record(CARTPOLE, str(tmp_path / "other.zip"), n_demonstrations=1)


def test_a_model_file_that_is_not_whole(tmp_path):
    _, path = saved(tmp_path, "PPO", "CartPole-v1")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "part.zip", "w") as part:
        part.writestr("data", archive.read("data"))
    with pytest.raises(InputError, match="cannot read the PPO model"):
        r2rise.record(CARTPOLE, str(tmp_path / "part.zip"), n_demonstrations=1)


NO_CLASS = b'{"policy_class": "PPO", "observation_space": 1, "action_space": 2, "clip_range": 3}'


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", NO_CLASS])
def test_a_zip_file_that_is_no_model(data, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", data)
    with pytest.raises(InputError, match=r"a.zip is not a Stable-Baselines3 model"):
        r2rise.record(CARTPOLE, str(tmp_path / "a.zip"), n_demonstrations=1)


def test_an_expert_is_the_same_for_a_seed_and_records(tmp_path):
    def train(name, seed):
        told = []
        expert = train_expert(
            CARTPOLE, tmp_path / name, steps=600, n_envs=2, seed=seed, progress=told.append
        )
        assert told[-1].total == 600
        assert expert.steps == expert.total_steps == 1024 or expert.steps == 512
        recorded = r2rise.record(CARTPOLE, str(tmp_path / name), n_demonstrations=2, seed=5)
        return recorded.obs, expert.returns

    before = np.random.get_state()[1].copy()
    first, again, other = train("a.zip", 1), train("b.zip", 1), train("c.zip", 2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert len(first[0]) != len(other[0]) or (first[0] != other[0]).any()


def test_what_there_is_is_kept_when_training_is_stopped(tmp_path):
    def stop(progress):
        if progress.done > 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_expert(CARTPOLE, tmp_path / "a.zip", steps=10_000, n_envs=4, progress=stop)
    recorded = r2rise.record(CARTPOLE, str(tmp_path / "a.zip"), n_demonstrations=1, max_steps=5)
    assert recorded.n_frames == 5


class Images(gym.Env):
    """Shows where the reward is: action 1 in a lit image, 0 in a dark one."""

    def __init__(self, shape, dtype="uint8"):
        high = 255 if dtype == "uint8" else 1.0
        self.observation_space = spaces.Box(0, high, tuple(shape), np.dtype(dtype).type)
        self.action_space = spaces.Discrete(2)

    def _observation(self):
        self._lit = bool(self.np_random.integers(2))
        high = self.observation_space.high.max()
        space = self.observation_space
        return np.full(space.shape, high if self._lit else 0, space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._t = 0
        return self._observation(), {}

    def step(self, action):
        reward = float(action == self._lit)
        self._t += 1
        return self._observation(), reward, False, self._t == 10, {}


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((10, 10, 4), "float32"),
        ((10, 10, 10), "float32"),
        ((7, 7, 3), "uint8"),
        ((3, 5, 5), "uint8"),
        ((1, 36, 36), "uint8"),
        ((40, 40, 1), "float32"),
        ((2, 2, 2), "float32"),
        ((3, 2), "float64"),
    ],
)
def test_images_and_vectors_of_all_shapes_are_trained_on_and_recorded(shape, dtype, tmp_path):
    spec = EnvironmentSpec(id=f"{__name__}:Images", kwargs={"shape": list(shape), "dtype": dtype})
    place = Environment(spec)
    expert = train_expert(place, tmp_path / "a.zip", steps=2, n_envs=1)
    assert 0 <= expert.returns.mean <= 10
    recorded = r2rise.record(place, str(tmp_path / "a.zip"), n_demonstrations=2)
    assert recorded.obs.shape == (22, *shape)
    assert recorded.obs.dtype == dtype


@pytest.mark.parametrize("shape", [(7, 7, 3), (3, 2)])
def test_what_decides_is_learned(shape, tmp_path):
    place = Environment(EnvironmentSpec(id=f"{__name__}:Images", kwargs={"shape": list(shape)}))
    expert = train_expert(place, tmp_path / "a.zip", steps=8192, n_envs=16)
    assert expert.returns.mean == 10


def test_the_scale_of_a_vector_is_that_of_all_that_was_seen():
    from r2rise.ask.experts.networks import Vectors

    extractor = Vectors(spaces.Box(-1, 1, (2, 3), np.float32))
    seen = np.random.default_rng(0).normal(3, [[2], [5]], (90, 2, 3)).astype(np.float32)
    for part in np.split(seen, [10, 11, 60]):
        extractor.learn(part)
    flat = seen.reshape(90, 6).astype(float)
    np.testing.assert_allclose(extractor.mean, flat.mean(axis=0))
    np.testing.assert_allclose(extractor.variance, flat.var(axis=0))


@pytest.mark.parametrize(("n_envs", "size"), [(16, 256), (1, 256), (3, 192), (20, 160)])
def test_batches_are_equally_large(n_envs, size):
    assert recipe_for(CARTPOLE, n_envs=n_envs).even_batch_size == size


def test_numbers_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="steps should be a whole number from 1 to"):
        recipe_for(CARTPOLE, steps=0)
    with pytest.raises(InputError, match="from 1 to 4096, got 1000000. More env"):
        recipe_for(CARTPOLE, n_envs=10**6)
    with pytest.raises(InputError, match="from 0 to 4294967295, got 4294967296"):
        train_expert("CartPole-v1", tmp_path / "a.zip", seed=2**32)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("reset", "Fails' failed: RuntimeError: no reset"),
        ("step", "Fails' failed: RuntimeError: no step"),
        ("reward", "Fails' failed: ValueError: found inf in rewards"),
        ("observation", "Fails' failed: ValueError: found nan in observations"),
    ],
)
def test_an_environment_that_fails_leaves_no_expert(wrong, message, tmp_path):
    spec = EnvironmentSpec(id="toys:Fails", kwargs={"wrong": wrong})
    with pytest.raises(EnvironmentMismatch, match=message):
        train_expert(Environment(spec), tmp_path / "a.zip", steps=1, n_envs=1)
    assert list(tmp_path.iterdir()) == []


def test_without_stable_baselines3(monkeypatch, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    _, path = saved(tmp_path, "PPO", "CartPole-v1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "r2rise\[imitation\]"'):
        train_expert(CARTPOLE, tmp_path / "b.zip")
    with pytest.raises(MissingExtra, match=r'pip install "r2rise\[imitation\]"'):
        r2rise.record(CARTPOLE, str(path), n_demonstrations=1)


def run(command: str) -> str:
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_nothing_to_demonstrations_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = run("train-expert --env CartPole-v1 --steps 512 --envs 2 --out expert.zip")
    assert "512 steps in" in out
    assert "Mean return of 20 episodes: " in out
    out = run(
        "record --env CartPole-v1 --policy expert.zip --demonstrations 4 --worse-share 0.5 "
        "--out demos.npz"
    )
    assert "4 demonstrations, " in out
    assert "2 made worse: " in out
    recorded = r2rise.Demonstrations.load("demos.npz")
    told = json.loads(
        run(
            "record --env CartPole-v1 --policy expert.zip --demonstrations 4 --worse-share 0.5 "
            "--json --out again.npz"
        )
    )
    assert told["frames"] == recorded.n_frames
    assert told["content_hash"] == recorded.content_hash
    assert told["returns"]["mean"] == np.mean(recorded.meta["returns"])


@pytest.mark.slow
def test_cartpole_is_mastered(tmp_path):
    expert = train_expert(CARTPOLE, tmp_path / "expert.zip", steps=150_000)
    assert expert.returns.mean >= 475
