"""What environments show: dict observations of any kind, values that no space can hold."""

import json
from typing import Any

import gymnasium as gym
import h5py
import numpy as np
import pytest
from gymnasium import spaces

import r2rise
from r2rise.environments import Environment
from r2rise.errors import DemonstrationsError, EnvironmentMismatch
from r2rise.formats import read_demonstrations
from r2rise.observations import in_space
from r2rise.study.specs import EnvironmentSpec

LENGTH = 6


class Room(gym.Env):
    """The heading, the brightness of the map and the joints all say which of 4 actions is right."""

    metadata = {"render_modes": []}
    observation_space = spaces.Dict(
        {
            "position": spaces.Box(-1, 1, (2,), np.float32),
            "heading": spaces.Discrete(4, start=1),
            "map": spaces.Box(0, 255, (10, 10, 3), np.uint8),
            "arm": spaces.Dict(
                {
                    "joints": spaces.Box(-1, 1, (2,), np.float32),
                    "gripper": spaces.MultiDiscrete([2, 3]),
                }
            ),
        }
    )
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._shown(), {}

    def step(self, action):
        reward, self.t = float(action == self.right), self.t + 1
        return self._shown(), reward, self.t >= LENGTH, False, {}

    def _shown(self) -> dict[str, Any]:
        self.right = int(self.np_random.integers(4))
        return {
            "position": self.np_random.uniform(-1, 1, 2).astype(np.float32),
            "heading": np.int64(self.right + 1),
            "map": np.full((10, 10, 3), 60 * self.right, np.uint8),
            "arm": {
                "joints": np.full(2, self.right / 4, np.float32),
                "gripper": np.array([self.right % 2, 2 - self.right % 3]),
            },
        }


def episodes(n: int = 4) -> list[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Return the observations by path and the actions of an expert that is always right."""
    played = []
    for seed in range(n):
        env = Room()
        shown, acts, ended = [env.reset(seed=seed)[0]], [], False
        while not ended:
            acts.append(env.right)
            observation, _, ended, *_ = env.step(acts[-1])
            shown.append(observation)
        paths = {
            "position": lambda one: one["position"],
            "heading": lambda one: one["heading"],
            "map": lambda one: one["map"],
            "arm/joints": lambda one: one["arm"]["joints"],
            "arm/gripper": lambda one: one["arm"]["gripper"],
        }
        obs = {path: np.stack([get(one) for one in shown]) for path, get in paths.items()}
        played.append((obs, np.array(acts)))
    return played


def write_npz(path) -> None:
    played = episodes()
    obs = {f"obs.{key}": np.concatenate([obs[key] for obs, _ in played]) for key in played[0][0]}
    acts = np.concatenate([acts for _, acts in played])
    np.savez(path, acts=acts, lengths=[len(acts) for _, acts in played], **obs)


def write_robomimic(path) -> None:
    with h5py.File(path, "w") as file:
        for number, (obs, acts) in enumerate(episodes()):
            demo = file.create_group(f"data/demo_{number}")
            for key, values in obs.items():
                demo[f"obs/{key}"], demo[f"next_obs/{key}"] = values[:-1], values[1:]
            demo["actions"] = acts[:, None]


def write_minari(path) -> None:
    path.mkdir()
    with h5py.File(path / "main_data.hdf5", "w") as file:
        for number, (obs, acts) in enumerate(episodes()):
            group = file.create_group(f"episode_{number}")
            for key, values in obs.items():
                group[f"observations/{key}"] = values
            group["actions"], group["rewards"] = acts, np.ones(len(acts))
            group["terminations"] = np.arange(len(acts)) == len(acts) - 1
    (path / "metadata.json").write_text(json.dumps({"total_episodes": 4, "jpeg_encoding": False}))


WRITERS = {"room.npz": write_npz, "room.hdf5": write_robomimic, "room-v0": write_minari}
KEYS = [
    ("position", "heading"),
    ("heading",),
    ("map",),
    ("arm/joints",),
    ("arm",),
    ("arm/joints", "arm/gripper", "heading"),
    ("map", "heading"),
]


class Expert:
    def __init__(self, environment):
        self._acts = iter(np.concatenate([acts for _, acts in episodes()]).tolist())

    def predict(self, observations, *, deterministic=True):
        return np.array([next(self._acts)]), None


def place(keys) -> dict[str, Any]:
    return {"id": f"{__name__}:Room", "obs_keys": list(keys)}


@pytest.mark.parametrize("keys", KEYS, ids="+".join)
@pytest.mark.parametrize("name", WRITERS)
def test_files_show_what_the_environment_shows(name, keys, tmp_path):
    """The oracle is the environment itself, at the same seeds and with the same actions."""
    from r2rise.evaluation.fit import fit

    WRITERS[name](tmp_path / name)
    environment = Environment(EnvironmentSpec.model_validate(place(keys)))
    read = read_demonstrations(tmp_path / name, obs_keys=keys)
    fitted, _ = fit(read, environment)
    shown = []
    for seed, (_, acts) in enumerate(episodes()):
        env = environment.make(0)
        shown.append(env.reset(seed=seed)[0])
        shown += [env.step(act)[0] for act in acts.tolist()]
    assert np.array_equal(fitted.obs, np.stack(shown))
    assert fitted.obs.dtype == environment.observation_space.dtype
    assert all(environment.observation_space.contains(row) for row in shown)


def test_a_heading_and_a_picture_are_learned_from(tmp_path):
    write_npz(tmp_path / "room.npz")
    for keys in (("position", "heading"), ("heading",), ("map",)):
        study = r2rise.Study(
            environment=place(keys),
            algorithm={"name": "bc", "settings": {"n_updates": 200, "learning_rate": 0.01}},
            masking={"segment_length": "all"},
            evaluation={"n_episodes": 4, "max_steps": LENGTH},
            budget={"retrainings": 4, "baseline_retrainings": 2},
        )
        assert r2rise.explain(tmp_path / "room.npz", study).baseline.all_frames.mean == LENGTH


def test_keys_that_are_none_get_the_same_suggestion_everywhere(tmp_path):
    for name, write in WRITERS.items():
        write(tmp_path / name)
        with pytest.raises(DemonstrationsError, match="'arm/joint'. Did you mean 'arm/joints'"):
            read_demonstrations(tmp_path / name, obs_keys=("arm/joint",))
    with pytest.raises(EnvironmentMismatch, match="'arm/joint'. Did you mean 'arm/joints'"):
        Environment(EnvironmentSpec.model_validate(place(["arm/joint"])))


class Bar(gym.Env):
    """Shows brightness as `show` makes it; its space says 0 to 255."""

    metadata = {"render_modes": []}
    observation_space = spaces.Box(0, 255, (4,), np.uint8)
    action_space = spaces.Discrete(4)

    def __init__(self, dtype="float64", scale=1 / 255):
        self._dtype, self._scale = np.dtype(dtype), scale

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._shown(), {}

    def step(self, action):
        return self._shown(), 1.0, True, False, {}

    def _shown(self):
        return (self.np_random.integers(1, 200, 4) * self._scale).astype(self._dtype)


@pytest.mark.parametrize(
    ("kwargs", "value"), [({}, r"0\.\d+"), ({"dtype": "int64", "scale": 300}, r"\d{3,}")]
)
def test_what_the_space_cannot_hold_is_refused_and_not_cut(kwargs, value):
    spec = {"id": f"{__name__}:Bar", "kwargs": kwargs}
    words = f"with the value {value}, which its space .* cannot hold"
    with pytest.raises(EnvironmentMismatch, match=words):
        r2rise.record(spec, "random", n_demonstrations=1)
    given = r2rise.Demonstrations(
        obs=np.zeros((22, 4), np.uint8), acts=np.zeros(20, int), lengths=np.array([10, 10])
    )
    with pytest.raises(EnvironmentMismatch, match=words):
        r2rise.explain(given, r2rise.Study(environment=spec))


@pytest.mark.imitation
def test_no_expert_is_trained_on_what_the_space_cannot_hold(tmp_path):
    environment = Environment(EnvironmentSpec(id=f"{__name__}:Bar"))
    with pytest.raises(EnvironmentMismatch, match="which its space .* cannot hold"):
        r2rise.train_expert(environment, tmp_path / "expert.zip")
    assert not (tmp_path / "expert.zip").exists()


def test_whole_numbers_of_another_type_are_kept():
    recorded = r2rise.record(
        {"id": f"{__name__}:Bar", "kwargs": {"scale": 1}}, "random", n_demonstrations=3
    )
    assert recorded.obs.dtype == np.uint8
    assert set(np.unique(recorded.obs)) <= set(range(1, 200))
    assert in_space([1.0, 255.0], spaces.Box(0, 255, (2,), np.uint8)).tolist() == [1, 255]
    assert in_space(np.float64(0.1), spaces.Box(0, 1, (), np.float32)) == np.float32(0.1)
    with pytest.raises(EnvironmentMismatch, match="with the value nan"):
        in_space([np.nan], spaces.Box(0, 255, (1,), np.uint8))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("reset", "failed: RuntimeError: no reset"), ("step", "failed: RuntimeError: no step")],
)
@pytest.mark.parametrize("algorithm", ["bc", "toys:Additive"])
def test_an_environment_that_cannot_be_used_is_refused_before_anything_is_spent(
    wrong, message, algorithm
):
    given = r2rise.Demonstrations(
        obs=np.zeros((22, 2)), acts=np.zeros((20, 2)), lengths=np.array([10, 10])
    )
    study = r2rise.Study(
        environment={"id": "toys:Fails", "kwargs": {"wrong": wrong}}, algorithm=algorithm
    )
    with pytest.raises(EnvironmentMismatch, match=f"Environment 'toys:Fails' {message}"):
        r2rise.explain(given, study)
