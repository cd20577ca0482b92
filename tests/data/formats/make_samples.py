"""Write the sample files of this folder with the formats' own libraries, and read ours with them.

Run it where robomimic 0.3.0, D4RL 1.1, lerobot 0.4.4 and R2RISE are installed: see README.md.

    python make_samples.py samples FOLDER    # writes d4rl.hdf5 and robomimic.hdf5
    python make_samples.py check             # has the libraries read what R2RISE writes
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

os.environ["D4RL_SUPPRESS_IMPORT_ERROR"] = "1"

import d4rl
import gym
import h5py
import numpy as np
from d4rl.offline_env import OfflineEnv

LENGTHS, TERMINAL = (4, 3, 5), (False, True, False)


# robomimic's networks import torchvision; reading and writing its files does not use it.
for part in ("", ".transforms", ".transforms.functional", ".models"):
    sys.modules["torchvision" + part] = mock.MagicMock()


class Sample(OfflineEnv):
    """A D4RL environment whose dataset is the sample; it is never stepped."""

    file = ""

    def __init__(self):
        super().__init__()
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def get_dataset(self, h5path=None):
        return super().get_dataset(h5path or self.file)


def sample_arrays() -> dict:
    """Frame t of episode e: observations e + t/10 (+ 1, + 2), actions -t/10 and e/10, reward t."""
    obs, after, acts, rews, terminals, timeouts = [], [], [], [], [], []
    for number, length in enumerate(LENGTHS):
        for t in range(length):
            obs.append(number + t / 10 + np.arange(3))
            after.append(number + (t + 1) / 10 + np.arange(3))
            acts.append([-t / 10, number / 10])
            rews.append(t)
            last = t == length - 1
            terminals.append(last and TERMINAL[number])
            timeouts.append(last and not TERMINAL[number])
    floats = {"observations": obs, "next_observations": after, "actions": acts, "rewards": rews}
    return {key: np.array(value, np.float32) for key, value in floats.items()} | {
        "terminals": np.array(terminals),
        "timeouts": np.array(timeouts),
        "infos/qpos": np.array(obs, np.float32),
    }


def write_samples(folder: Path) -> None:
    """D4RL's as its scripts/generation/mujoco/collect_data.py writes; robomimic's by robomimic."""
    with h5py.File(folder / "d4rl.hdf5", "w") as file:
        for key, value in sample_arrays().items():
            file.create_dataset(key, data=value, compression="gzip")
        file["metadata/algorithm"] = np.bytes_("SAC")
        file["metadata/iteration"] = np.array([3], dtype=np.int32)[0]
    Sample.file = str(folder / "d4rl.hdf5")
    gym.register("sample-v0", entry_point=Sample, disable_env_checker=True)
    import robomimic
    from robomimic.scripts import split_train_val

    script = Path(robomimic.__path__[0]) / "scripts" / "conversion" / "convert_d4rl.py"
    with tempfile.TemporaryDirectory() as scratch:
        sys.argv = ["convert_d4rl.py", "--env", "sample-v0", "--folder", scratch]
        exec(compile(script.read_text(), str(script), "exec"), {"__name__": "__main__"})
        made = Path(scratch) / "d4rl" / "converted" / "sample_v0.hdf5"
        np.random.seed(0)
        split_train_val.split_train_val_from_hdf5(str(made), val_ratio=0.5)
        (folder / "robomimic.hdf5").write_bytes(made.read_bytes())


def check() -> None:
    """Have the libraries read what R2RISE writes."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import toys

    import r2rise
    from r2rise.formats import write_demonstrations

    study = r2rise.Study(
        environment=toys.OneStep,
        algorithm=toys.Additive,
        evaluation={"n_episodes": 2, "max_steps": 5},
        budget={"retrainings": 64, "baseline_retrainings": 3},
    )
    given = toys.demonstrations()
    importance = r2rise.explain(given, study)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_demonstrations(given, folder / "d4rl.hdf5", format="d4rl")
        check_d4rl(given, folder / "d4rl.hdf5")
        path = folder / "robomimic.hdf5"
        write_demonstrations(given, path, format="robomimic", importance=importance)
        check_robomimic(given, path)
        path = folder / "weights.parquet"
        write_demonstrations(given, path, importance=importance)
        check_lerobot(given, importance, path)


def check_d4rl(given, path: Path) -> None:
    """D4RL's three ways to read."""

    class Ours(OfflineEnv):
        observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    dataset = Ours().get_dataset(str(path))
    episodes = list(d4rl.sequence_dataset(None, dataset=dataset))
    assert [len(one["actions"]) for one in episodes] == given.lengths.tolist()
    assert np.array_equal(np.concatenate([one["actions"] for one in episodes]), given.acts)
    transitions = d4rl.qlearning_dataset(None, dataset=dataset)
    n_kept = given.n_frames - len(given)  # it leaves out frames before a timeout
    assert len(transitions["actions"]) == n_kept
    print("d4rl reads", {key: value.shape for key, value in dataset.items()})


def check_robomimic(given, path: Path) -> None:
    """robomimic's dataset with each filter key, and its facts of environment and shapes."""
    from robomimic.utils import file_utils, obs_utils
    from robomimic.utils.dataset import SequenceDataset

    obs_utils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": ["obs"]}})
    assert file_utils.get_env_metadata_from_dataset(str(path))["type"] == 2
    shapes = file_utils.get_shape_metadata_from_dataset(str(path), all_obs_keys=["obs"])
    assert (shapes["ac_dim"], dict(shapes["all_shapes"])) == (1, {"obs": [1]})
    sizes = {}
    for key in (None, "top", "bottom", "no_harm"):
        dataset = SequenceDataset(
            hdf5_path=str(path), obs_keys=["obs"], dataset_keys=["actions", "rewards", "dones"],
            seq_length=5, hdf5_cache_mode="all", filter_by_attribute=key, load_next_obs=True,
        )  # fmt: skip
        sizes[key] = len(dataset)
        if key is None:
            found = np.concatenate([dataset[i]["actions"][:1] for i in range(len(dataset))])
            assert np.array_equal(found, given.acts)
    assert sizes[None] == given.n_frames
    assert sizes["top"] + sizes["bottom"] == given.n_frames
    print("robomimic reads", sizes)


def check_lerobot(given, importance, path: Path) -> None:
    """LeRobot's RA-BC weights: 1 for chunks that help, 0 for chunks that hurt."""
    import torch
    from lerobot.utils.rabc import RABCWeights

    chunk = 10
    weights = RABCWeights(path, chunk_size=chunk, kappa=0.0, device=torch.device("cpu"))
    found, _ = weights.compute_batch_weights({"index": torch.arange(given.n_frames)})
    per_frame = np.concatenate(importance.per_frame()) / chunk  # segments of 10 frames
    n_checked = 0
    for start, length in zip(given.first_frame, given.lengths, strict=True):
        for t in range(start, start + length - chunk - 1):
            total = per_frame[t : t + chunk].sum()
            if abs(total) > 1e-6:
                assert (found[t] > 0) == (total > 0), (t, total, found[t])
                n_checked += 1
    print("lerobot reads", json.dumps(weights.get_stats(), default=float), n_checked, "checked")


if __name__ == "__main__":
    if sys.argv[1] == "samples":
        write_samples(Path(sys.argv[2]))
    else:
        check()
