"""Where episodes end: what files show of it, what they hide, and episodes that are too short."""

import json
import logging
from importlib.util import find_spec

import h5py
import numpy as np
import pytest
import toys
from needs import require
from places import DATA

import r2rise
from r2rise.errors import DemonstrationsError
from r2rise.formats import read_demonstrations, write_demonstrations

PENDULUM = r2rise.record("Pendulum-v1", "random", n_demonstrations=4, max_steps=50, seed=0)
NEXT = PENDULUM.transitions(np.ones(200, bool)).next_obs


def write_d4rl(path, **changes) -> None:
    """Write the recorded episodes without any mark of their ends, but for the changes."""
    frames = PENDULUM.transitions(np.ones(200, bool))
    arrays = {
        "observations": frames.obs,
        "next_observations": NEXT,
        "actions": PENDULUM.acts,
        "rewards": PENDULUM.rews,
        "terminals": np.zeros(200, bool),
        **changes,
    }
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            if array is not None:
                file[key] = array


def marks(*frames: int) -> np.ndarray:
    return np.isin(np.arange(200), frames)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_that_next_observations_show_are_found(dtype, tmp_path, caplog):
    write_d4rl(tmp_path / "d.hdf5", next_observations=NEXT.astype(dtype))
    found = read_demonstrations(tmp_path / "d.hdf5")
    assert found.lengths.tolist() == [50] * 4
    assert found.terminal.tolist() == [False] * 4
    assert np.array_equal(found.obs, PENDULUM.obs)
    assert "after 3 frames next_observations is not the next row" in caplog.text


def test_ends_that_are_marked_are_as_they_are_and_others_are_added(tmp_path, caplog):
    write_d4rl(tmp_path / "d.hdf5", terminals=marks(49), timeouts=marks(99, 199))
    found = read_demonstrations(tmp_path / "d.hdf5")
    assert found.lengths.tolist() == [50] * 4
    assert found.terminal.tolist() == [True, False, False, False]
    assert "after 1 frame next_observations is not the next row" in caplog.text
    caplog.clear()
    write_d4rl(tmp_path / "d.hdf5", timeouts=marks(49, 99, 149, 199))
    assert read_demonstrations(tmp_path / "d.hdf5").lengths.tolist() == [50] * 4
    assert not caplog.text


def test_a_demonstration_of_robomimic_that_was_interrupted_is_two(tmp_path, caplog):
    frames = PENDULUM.transitions(np.arange(200) < 100)
    with h5py.File(tmp_path / "r.hdf5", "w") as file:
        demo = file.create_group("data/demo_0")
        for part, values in (("obs", frames.obs), ("next_obs", frames.next_obs)):
            demo[f"{part}/all/angle"], demo[f"{part}/speed"] = values[:, :2], values[:, 2:]
        demo["actions"], demo["dones"] = frames.acts, np.arange(100) == 99
    found = read_demonstrations(tmp_path / "r.hdf5", obs_keys=("all", "speed"))
    assert found.lengths.tolist() == [50, 50]
    assert found.terminal.tolist() == [False, True]
    assert np.array_equal(found.obs, PENDULUM.obs[:102])
    assert "/data/demo_0: after 1 frame next_obs is not the next row of obs" in caplog.text


NO_ENDS = {
    "nothing": ({"next_observations": None}, "no timeouts, and no next_observations, so that noth"),
    "terminals alone": (
        {"next_observations": None, "terminals": marks(49)}, "no timeouts, and no next_observation",
    ),
    "the next episode's start": (
        {"next_observations": np.roll(PENDULUM.transitions(np.ones(200, bool)).obs, -1, axis=0)},
        "is the next row of observations throughout.* Add timeouts",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_ENDS)
def test_a_file_that_hides_its_ends_is_refused(case, tmp_path):
    changes, words = NO_ENDS[case]
    write_d4rl(tmp_path / "d.hdf5", **changes)
    with pytest.raises(DemonstrationsError, match=words):
        read_demonstrations(tmp_path / "d.hdf5")


def test_episodes_without_a_whole_frame_are_left_out_and_counted(tmp_path, caplog):
    """maze2d has episodes of one step, and no next observations."""
    write_d4rl(
        tmp_path / "d.hdf5", next_observations=None, timeouts=marks(49, 99, 100, 199),
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        found = read_demonstrations(tmp_path / "d.hdf5")
    assert found.lengths.tolist() == [49, 49, 98]
    assert "left out 1 demonstration without a single next observation" in caplog.text
    assert "the first of them number 2" in caplog.text


def test_short_demonstrations_are_left_out_where_asked(tmp_path, caplog):
    given = PENDULUM.select(drop=[r2rise.Segment(0, 10, 50), r2rise.Segment(2, 45, 50)])
    given.save(tmp_path / "d.npz")
    assert read_demonstrations(tmp_path / "d.npz").lengths.tolist() == [10, 50, 45, 50]
    found = read_demonstrations(tmp_path / "d.npz", min_frames=46)
    assert found.lengths.tolist() == [50, 50]
    assert np.array_equal(found.obs, np.concatenate([PENDULUM.obs[51:102], PENDULUM.obs[153:]]))
    assert np.array_equal(found.acts, np.concatenate([PENDULUM.acts[50:100], PENDULUM.acts[150:]]))
    assert "left out 2 demonstrations with fewer than 46 frames" in caplog.text
    whole = read_demonstrations(tmp_path / "d.npz", min_frames=10)
    assert whole.content_hash == given.content_hash
    with pytest.raises(DemonstrationsError, match="has 51 frames; the longest has 50"):
        read_demonstrations(tmp_path / "d.npz", min_frames=51)


@pytest.mark.parametrize("truncated", [True, False, None])
def test_infos_of_imitation_say_whether_a_time_limit_ended_an_episode(truncated, tmp_path):
    """imitation marks every end as terminal; Stable-Baselines3 says more in the last info."""
    require(find_spec("datasets") is not None, "datasets is not installed")
    import datasets

    path = tmp_path / "trajectories"
    write_demonstrations(toys.demonstrations(), path, format="imitation")
    rows = datasets.load_from_disk(str(path)).to_dict()
    info = {} if truncated is None else {"TimeLimit.truncated": truncated}
    for infos in rows["infos"]:
        infos[-1] = json.dumps(info | {"py/object": "os.system"})
    rows["terminal"] = [True] * len(rows["infos"])
    datasets.Dataset.from_dict(rows).save_to_disk(str(tmp_path / "theirs"))
    found = read_demonstrations(tmp_path / "theirs")
    assert found.terminal.tolist() == [truncated is not True] * len(found)


def test_the_sample_of_d4rl_has_its_ends():
    assert read_demonstrations(DATA / "formats" / "d4rl.hdf5").lengths.tolist() == [4, 3, 5]
