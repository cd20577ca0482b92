"""Files that the formats' own libraries wrote, and ours read by them.

Those that cannot be installed here wrote samples, and have read ours: data/formats/README.md.
"""

import json
import logging
from importlib.util import find_spec

import gymnasium as gym
import h5py
import numpy as np
import pytest
import toys
from needs import require
from places import DATA

from r2rise.errors import DemonstrationsError
from r2rise.formats import read_demonstrations, write_demonstrations

SAMPLES = DATA / "formats"
RNG = np.random.default_rng(0)


@pytest.fixture
def imitation_data():
    from imitation.data import serialize, types

    return serialize, types


JSONPICKLE = "ignore:keys will default to True in jsonpickle"


@pytest.mark.imitation
@pytest.mark.filterwarnings(JSONPICKLE)
@pytest.mark.parametrize(
    ("obs", "acts"),
    [
        (RNG.normal(size=(5, 3)).astype(np.float32), np.array([1, 0, 2, 1])),
        (RNG.integers(0, 255, (5, 4, 4, 3), np.uint8), RNG.normal(size=(4, 2))),
        (np.arange(5), np.arange(4)),
    ],
)
@pytest.mark.parametrize("with_rewards", [False, True])
def test_trajectories_of_imitation(imitation_data, obs, acts, with_rewards, tmp_path):
    serialize, types = imitation_data
    infos = np.array([{"py/object": "os.system"}, {"a": np.zeros(2)}, {}, {}])
    rest = {"infos": infos, "terminal": True}
    kept = {"rews": np.arange(4.0)} if with_rewards else {}
    kind = types.TrajectoryWithRew if with_rewards else types.Trajectory
    theirs = [
        kind(obs=obs, acts=acts, **rest, **kept),
        kind(obs=obs[2:], acts=acts[2:], infos=None, terminal=False,
             **{key: value[2:] for key, value in kept.items()}),
    ]  # fmt: skip
    serialize.save(tmp_path / "theirs", theirs)
    ours = read_demonstrations(tmp_path / "theirs")
    assert ours.lengths.tolist() == [4, 2]
    assert ours.terminal.tolist() == [True, False]
    for key, array in {"obs": obs, "acts": acts}.items():
        found = getattr(ours, key)
        assert np.array_equal(found, np.concatenate([array, array[2:]]))
        assert found.dtype == array.dtype
    assert (ours.rews is None) == (not with_rewards)
    if with_rewards:
        assert ours.rews.tolist() == [0, 1, 2, 3, 2, 3]

    write_demonstrations(ours, tmp_path / "ours", format="imitation")
    back = serialize.load(tmp_path / "ours")
    for one, other in zip(back, theirs, strict=True):
        assert type(one) is type(other)
        assert np.array_equal(one.obs, other.obs)
        assert np.array_equal(one.acts, other.acts)
        assert one.terminal == other.terminal
        assert len(one.infos) == len(one)
        if with_rewards:
            assert np.array_equal(one.rews, other.rews)


@pytest.mark.imitation
@pytest.mark.filterwarnings(JSONPICKLE)
def test_several_shards_of_imitation(imitation_data, tmp_path):
    """The datasets library splits large data into several files."""
    import datasets

    serialize, types = imitation_data
    theirs = [
        types.Trajectory(np.full((4, 2), i, np.float32), np.zeros(3, int), None, terminal=False)
        for i in range(6)
    ]
    serialize.save(tmp_path / "one", theirs)
    whole = datasets.load_from_disk(str(tmp_path / "one"))
    whole.save_to_disk(str(tmp_path / "three"), num_shards=3)
    assert len(list((tmp_path / "three").glob("*.arrow"))) == 3
    one, three = (read_demonstrations(tmp_path / name) for name in ("one", "three"))
    assert one.content_hash == three.content_hash
    assert one.obs[::4, 0].tolist() == list(range(6))


def minari_dataset(observation_space, tmp_path, monkeypatch, data_format):
    """Two episodes that Minari wrote, and where they lie."""
    import minari
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    observation_space.seed(0)
    buffers = [
        EpisodeBuffer(
            observations=stacked([observation_space.sample() for _ in range(5)]),
            actions=np.array([0, 2, 1, number]),
            rewards=[1.0, 2.0, 3.0, 4.0],
            terminations=[False] * 3 + [number == 0],
            truncations=[False] * 3 + [number == 1],
        )
        for number in range(2)
    ]
    made = minari.create_dataset_from_buffers(
        "tests/room-v0", buffers, observation_space=observation_space,
        action_space=gym.spaces.Discrete(3), algorithm_name="random", author="tests",
        author_email="tests@example.org", code_permalink="https://example.org",
        description="a test", data_format=data_format,
    )  # fmt: skip
    return list(made.iterate_episodes()), tmp_path / "tests" / "room-v0"


def stacked(observations):
    """What Minari's collector makes of observations one after another."""
    if isinstance(observations[0], dict):
        keys = observations[0]
        return {key: stacked([one[key] for one in observations]) for key in keys}
    return np.stack(observations)


BOX = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
GOAL = gym.spaces.Box(-2.0, 2.0, (2,), np.float64)
PICTURE = gym.spaces.Box(0, 255, (32, 40, 3), np.uint8)
SPACES = {
    "box": (BOX, (), lambda obs: obs),
    "discrete": (gym.spaces.Discrete(5), (), lambda obs: obs),
    "picture": (PICTURE, (), lambda obs: obs),
    "dict": (
        gym.spaces.Dict({"at": BOX, "goal": GOAL}),
        ("goal", "at"),
        lambda obs: np.concatenate([obs["goal"], obs["at"]], axis=1),
    ),
    "nested": (
        gym.spaces.Dict({"at": BOX, "to": gym.spaces.Dict({"goal": GOAL})}),
        ("to/goal",),
        lambda obs: obs["to"]["goal"],
    ),
}


@pytest.mark.parametrize("data_format", ["hdf5", "arrow", "parquet"])
@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.filterwarnings("ignore")  # what Minari says of a dataset without a description of it
def test_datasets_of_minari(kind, data_format, tmp_path, monkeypatch):
    require(find_spec("minari") is not None, "minari is not installed")
    space, keys, seen = SPACES[kind]
    theirs, path = minari_dataset(space, tmp_path, monkeypatch, data_format)
    ours = read_demonstrations(path, obs_keys=keys)
    assert read_demonstrations(path / "data", obs_keys=keys).content_hash == ours.content_hash
    assert ours.lengths.tolist() == [4, 4]
    obs = np.concatenate([seen(one.observations) for one in theirs])
    assert np.array_equal(ours.obs, obs)
    assert ours.obs.dtype == obs.dtype
    assert np.array_equal(ours.acts, np.concatenate([one.actions for one in theirs]))
    assert ours.rews.tolist() == [1, 2, 3, 4] * 2
    assert ours.terminal.tolist() == [True, False]
    assert ours.meta["dataset_id"] == "tests/room-v0"
    if len(getattr(space, "spaces", {})) > 1:
        with pytest.raises(DemonstrationsError, match="with obs_keys"):
            read_demonstrations(path)
        with pytest.raises(DemonstrationsError, match="no observation 'gaol'"):
            read_demonstrations(path, obs_keys=("gaol",))


@pytest.mark.parametrize("kind", ["box", "discrete", "picture", "bool"])
@pytest.mark.filterwarnings("ignore")
def test_minari_reads_what_we_write(kind, tmp_path):
    require(find_spec("minari") is not None, "minari is not installed")
    import minari

    obs = {
        "box": RNG.normal(size=(82, 3)).astype(np.float32),
        "discrete": RNG.integers(0, 5, 82),
        "picture": RNG.integers(0, 256, (82, 32, 40, 3), np.uint8),
        "bool": RNG.integers(0, 2, (82, 4, 4, 2)).astype(bool),
    }[kind]
    given = toys.demonstrations()
    acts = np.arange(80) if kind == "bool" else given.acts
    given = type(given)(obs, acts, given.lengths, given.rews, np.array([True, False]))
    write_demonstrations(given, tmp_path / "ours-v0", format="minari")
    dataset = minari.MinariDataset(tmp_path / "ours-v0" / "data")
    assert (dataset.total_episodes, dataset.total_steps) == (2, 80)
    found = list(dataset.iterate_episodes())
    assert np.array_equal(np.concatenate([one.observations for one in found]), obs)
    assert np.array_equal(np.concatenate([one.actions for one in found]), acts)
    assert [bool(one.terminations[-1]) for one in found] == [True, False]
    assert [bool(one.truncations[-1]) for one in found] == [False, True]
    for one in found:
        assert dataset.observation_space.contains(one.observations[0])
        assert dataset.action_space.contains(one.actions[0])


def sample(n_episodes: int) -> dict[str, np.ndarray]:
    """What data/formats/make_samples.py wrote, see there."""
    lengths = (4, 3, 5)[:n_episodes]
    frames = [(number, t) for number, length in enumerate(lengths) for t in range(length)]
    return {
        "lengths": np.array(lengths),
        "now": np.array([n + t / 10 + np.arange(3) for n, t in frames], np.float32),
        "after": np.array([n + (t + 1) / 10 + np.arange(3) for n, t in frames], np.float32),
        "acts": np.array([[-t / 10, n / 10] for n, t in frames], np.float32),
        "rews": np.array([t for _, t in frames], np.float32),
    }


def test_a_file_of_d4rl():
    ours, want = read_demonstrations(SAMPLES / "d4rl.hdf5"), sample(3)
    assert ours.lengths.tolist() == [4, 3, 5]
    assert ours.terminal.tolist() == [False, True, False]
    seen = ours.transitions(np.ones(12, bool))
    assert np.array_equal(seen.obs, want["now"])
    assert np.array_equal(seen.next_obs, want["after"])
    assert np.array_equal(ours.acts, want["acts"])
    assert np.array_equal(ours.rews, want["rews"])


def test_a_file_of_robomimic():
    ours, want = read_demonstrations(SAMPLES / "robomimic.hdf5"), sample(2)
    assert ours.lengths.tolist() == [4, 3]
    assert ours.terminal.tolist() == [True, True]  # its script marks the end of every one
    seen = ours.transitions(np.ones(7, bool))
    assert np.array_equal(seen.obs, want["now"])
    assert np.array_equal(ours.acts, want["acts"])
    assert np.array_equal(ours.rews, want["rews"])
    assert ours.meta["env_args"] == {"env_name": "sample-v0", "type": 2, "env_kwargs": {}}


def test_d4rl_without_next_observations_leaves_out_what_it_does_not_know(tmp_path, caplog):
    with h5py.File(SAMPLES / "d4rl.hdf5") as file, h5py.File(tmp_path / "old.hdf5", "w") as old:
        for key in ("observations", "actions", "rewards", "terminals", "timeouts"):
            old[key] = file[key][:]
    with caplog.at_level(logging.WARNING):
        ours = read_demonstrations(tmp_path / "old.hdf5")
    assert "no observation after the last action of 3 demonstrations" in caplog.text
    assert ours.lengths.tolist() == [3, 2, 4]
    assert ours.terminal.tolist() == [False, False, False]
    want = sample(3)
    seen = ours.transitions(np.ones(9, bool))
    known = [0, 1, 2, 4, 5, 7, 8, 9, 10]
    assert np.array_equal(seen.obs, want["now"][known])
    assert np.array_equal(seen.next_obs, want["after"][known])


def test_frames_after_the_last_end_of_d4rl_are_one_more_episode(tmp_path):
    with h5py.File(tmp_path / "open.hdf5", "w") as file:
        file["observations"] = file["next_observations"] = np.zeros((5, 2))
        file["actions"], file["rewards"] = np.zeros((5, 1)), np.arange(5.0)[:, None]
        file["terminals"] = np.array([[0], [1], [0], [0], [0]])
    ours = read_demonstrations(tmp_path / "open.hdf5")
    assert ours.lengths.tolist() == [2, 3]
    assert ours.terminal.tolist() == [True, False]
    assert ours.rews.tolist() == [0, 1, 2, 3, 4]


def test_demonstrations_of_robomimic_are_in_order_of_their_numbers_and_keys_are_chosen(tmp_path):
    with h5py.File(tmp_path / "many.hdf5", "w") as file:
        for number in range(12):
            demo = file.create_group(f"data/demo_{number}")
            for part, shift in (("obs", 0), ("next_obs", 1)):
                demo[f"{part}/object"] = np.array([[number], [number + shift]], np.float64)
                demo[f"{part}/camera"] = np.full((2, 2, 2, 3), number, np.uint8)
            demo["actions"] = np.zeros((2, 1))
        file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift"})
    path = tmp_path / "many.hdf5"
    ours = read_demonstrations(path, obs_keys=("object",))
    assert ours.obs[::3, 0].tolist() == list(range(12))
    assert ours.obs[2::3, 0].tolist() == list(range(1, 13))
    assert ours.rews is None
    assert ours.terminal is None
    assert read_demonstrations(path, obs_keys=("camera",)).obs.shape == (36, 2, 2, 3)
    assert read_demonstrations(path, obs_keys=("camera", "object")).obs.shape == (36, 13)
    with pytest.raises(DemonstrationsError, match=r"\(camera, object\): name those"):
        read_demonstrations(path)
    with pytest.raises(DemonstrationsError, match="Did you mean 'object'"):
        read_demonstrations(path, obs_keys=("objects",))
