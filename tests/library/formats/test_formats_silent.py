"""What readers could lose or change in silence: the right values, a warning, or a refusal."""

import json
import logging

import h5py
import numpy as np
import pytest

import r2rise
from r2rise.errors import DemonstrationsError
from r2rise.formats import observation_keys, read_demonstrations

HEAD = "demonstration,time,obs,act,reward,terminal\n"
ROWS = "0,0,1.5,0,1,0\n0,1,2.5,1,2,1\n0,2,3.5,,,\n"

SAME_TABLES = {
    "blank lines at the end": HEAD + ROWS + "\n\n",
    "rows of empty cells at the end": HEAD + ROWS + ",,,,,\n ,,,,,\n",
    "a blank line between": HEAD + ROWS.replace("0,1,2.5", "\n0,1,2.5"),
    "Windows": (HEAD + ROWS).replace("\n", "\r\n"),
    "old Macs": (HEAD + ROWS).replace("\n", "\r"),
    "quoted cells": HEAD + ROWS.replace("1.5", '"1.5"').replace("0,1,2", '"0","1",2'),
    "spaces around names": HEAD.replace(",", " , ") + ROWS,
    "True and FALSE": HEAD + ROWS.replace(",0\n", ",FALSE\n").replace(",1\n", ",True\n"),
}


@pytest.mark.parametrize("case", SAME_TABLES)
def test_tables_that_say_the_same(case, tmp_path):
    path = tmp_path / "Démo ∆.csv"
    path.write_bytes(SAME_TABLES[case].encode())
    found = read_demonstrations(path)
    assert (found.obs.tolist(), found.acts.tolist()) == ([1.5, 2.5, 3.5], [0, 1])
    assert (found.rews.tolist(), found.terminal.tolist()) == ([1, 2], [True])
    assert (found.obs.dtype, found.acts.dtype, found.rews.dtype) == (float, np.int64, np.int64)


BAD_TABLES = {
    "a demonstration in two places": (ROWS + "1,0,1,0,1,0\n0,0,1,0,1,0\n", "line 6: .* continues"),
    "times that are not sorted": (ROWS.replace("0,0,", "0,9,"), "line 2: expected time 0, got '9'"),
    "a decimal comma": (ROWS.replace("1.5", '"1,5"'), "line 2: obs .*Write numbers with points"),
    "thousands with a comma": (ROWS.replace("1.5", '"1,234"'), "line 2: obs should be a number"),
    "thousands with a space": (ROWS.replace("1.5", "1 234"), "line 2: obs should be a number"),
    "thousands with an underscore": (ROWS.replace("1.5", "1_234"), "obs .*, got '1_234'"),
    "an integer with an underscore": (ROWS.replace(",1,2,1", ",1_0,2,1"), "act .*, got '1_0'"),
    "a missing observation": (ROWS.replace("1.5", ""), "line 2: obs should be a number, got ''"),
    "a missing action": (ROWS.replace("1.5,0", "1.5,"), "line 2: act should be a number, got ''"),
    "a missing reward": (ROWS.replace("0,1,0\n", "0,,0\n"), "line 2: reward should be a number"),
    "a missing end": (ROWS.replace("0,1,0\n", "0,1,\n"), "line 2: terminal should be 0 or 1"),
    "yes and no": (ROWS.replace(",1\n", ",yes\n"), "terminal should be 0 or 1, got 'yes'"),
    "no demonstration": (ROWS.replace("0,1,2.5", ",1,2.5"), "line 3: demonstration is empty"),
    "True as an observation": (ROWS.replace("1.5", "True"), "obs should be a number, got 'True'"),
    "NaN as a reward": (ROWS.replace("0,1,0\n", "0,nan,0\n"), "reward should be .* got 'nan'"),
    "an infinite reward": (ROWS.replace("0,1,0\n", "0,inf,0\n"), "rews holds NaN or infinite"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_tables_that_could_be_misread_are_refused(case, tmp_path):
    rows, reason = BAD_TABLES[case]
    (tmp_path / "a.csv").write_text(HEAD + rows)
    with pytest.raises(DemonstrationsError, match=reason):
        read_demonstrations(tmp_path / "a.csv")


def test_columns_in_other_letters_are_named(tmp_path, caplog):
    (tmp_path / "a.csv").write_text(HEAD.replace("reward", "Reward") + ROWS)
    assert read_demonstrations(tmp_path / "a.csv").rews is None
    assert "Reward are not read. Did you mean reward for Reward?" in caplog.text
    (tmp_path / "a.csv").write_text(HEAD.replace("obs", "Obs") + ROWS)
    with pytest.raises(DemonstrationsError, match=r"Did you mean obs for Obs\?"):
        read_demonstrations(tmp_path / "a.csv")


ARRAYS = {
    "obs": np.arange(5.0, dtype=np.float32),
    "acts": np.array([0, 1, 0]),
    "lengths": np.array([2, 1]),
}


def npz(folder, **more):
    np.savez(folder / "a.npz", **ARRAYS | more)
    return folder / "a.npz"


@pytest.mark.parametrize("name", ["rewards", "terminals", "obs.a"])
def test_arrays_that_are_not_read_are_named(name, tmp_path, caplog):
    read_demonstrations(npz(tmp_path, **{name: np.zeros(3)}))
    assert f"the arrays {name} are not read" in caplog.text


def test_observations_that_were_not_chosen_are_not_named(tmp_path, caplog):
    np.savez(
        tmp_path / "a.npz", acts=ARRAYS["acts"], lengths=ARRAYS["lengths"],
        **{"obs.ö": ARRAYS["obs"], "obs.b": np.zeros((5, 2))},
    )  # fmt: skip
    assert read_demonstrations(tmp_path / "a.npz", obs_keys=["ö"]).obs.tolist() == [0, 1, 2, 3, 4]
    assert caplog.messages == []


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool", ">f4", "float16"])
def test_types_of_observations_are_kept(dtype, tmp_path):
    found = read_demonstrations(npz(tmp_path, obs=np.array([0, 1, 1, 0, 1], dtype)))
    assert found.obs.dtype == np.dtype(dtype)
    assert found.obs.tolist() == [0, 1, 1, 0, 1]


def robomimic(folder, change=lambda demo: None, numbers=(0, 1), n=3):
    with h5py.File(folder / "r.hdf5", "w") as file:
        for number in numbers:
            demo = file.create_group(f"data/demo_{number}")
            obs = np.full((n, 2), number, np.float32)
            demo.create_dataset("obs/a", data=obs, compression="gzip", shuffle=True)
            demo["next_obs/a"], demo["actions"] = obs, np.full((n, 1), number)
            demo["rewards"], demo["dones"] = np.ones(n, int), np.arange(n) == n - 1
            change(demo)
    return folder / "r.hdf5"


def replace(name, values):
    def change(demo):
        del demo[name]
        demo[name] = values

    return change


def test_demonstrations_come_in_the_order_of_their_numbers(tmp_path):
    found = read_demonstrations(robomimic(tmp_path, numbers=(10, 2, 0), n=1))
    assert found.acts.ravel().tolist() == [0, 2, 10]
    assert found.obs[:, 0].tolist() == [0, 0, 2, 2, 10, 10]
    assert (found.rews.dtype, found.terminal.tolist()) == (np.int64, [True] * 3)


BAD_ROBOMIMIC = {
    "more actions than observations": (
        lambda demo: [replace("actions", np.zeros((4, 1)))(demo), demo.pop("dones"),
                      demo.pop("rewards")],
        "as many rows of obs as of actions, 4, got 3",
    ),
    "fewer ends": (replace("dones", [0, 1]), r"dones of /data/demo_0 should be \(3,\)"),
    "half an end": (replace("dones", [0, 0, 0.5]), r"\(3,\) of 0 and 1, .* other values"),
    "NaN as an end": (replace("dones", [0, 0, np.nan]), "with other values"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROBOMIMIC)
def test_demonstrations_of_robomimic_that_would_be_cut_are_refused(case, tmp_path):
    change, reason = BAD_ROBOMIMIC[case]
    with pytest.raises(DemonstrationsError, match=reason):
        read_demonstrations(robomimic(tmp_path, change))


def test_other_groups_of_robomimic_are_named(tmp_path, caplog):
    path = robomimic(tmp_path)
    with h5py.File(path, "a") as file:
        file.move("data/demo_1", "data/extra")
    assert len(read_demonstrations(path)) == 1
    assert "extra of /data is not read" in caplog.text


def minari(folder, *lengths, terminations=None, space=None, **more):
    (folder / "m" / "data").mkdir(parents=True)
    with h5py.File(folder / "m" / "data" / "main_data.hdf5", "w") as file:
        for number, n in enumerate(lengths):
            group = file.create_group(f"episode_{number}")
            group["observations"], group["actions"] = np.zeros((n + 1, 2)), np.zeros(n)
            group["rewards"] = np.arange(n)
            group["terminations"] = np.arange(n) == n - 1 if terminations is None else terminations
            for name, values in more.items():
                group[f"infos/{name}"] = values
    metadata = {"total_episodes": len(lengths), "observation_space": json.dumps(space or {})}
    (folder / "m" / "data" / "metadata.json").write_text(json.dumps(metadata))
    return folder / "m"


def test_infos_and_empty_episodes_of_minari(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = read_demonstrations(minari(tmp_path, 2, 0, 1, success=np.ones(9)))
    assert (found.lengths.tolist(), found.rews.tolist()) == ([2, 1], [0, 1, 0])
    assert found.terminal.tolist() == [True, True]
    assert "left out 1 demonstration without a single next observation" in caplog.text


def test_an_episode_of_minari_that_goes_on_after_its_end(tmp_path):
    with pytest.raises(DemonstrationsError, match="episode_0 goes on after terminations was set"):
        read_demonstrations(minari(tmp_path, 3, terminations=[False, True, False]))


def test_one_hot_actions_are_read_where_asked(tmp_path):
    path = npz(tmp_path, acts=np.eye(3, dtype=np.float32)[[2, 0, 1]])
    found = read_demonstrations(path, one_hot=True)
    assert (found.acts.dtype, found.acts.tolist()) == (np.int64, [2, 0, 1])
    assert read_demonstrations(path).acts.shape == (3, 3)


@pytest.mark.parametrize("action", [[0, 0], [1, 1], [0.5, 0.5], [2, -1]])
def test_actions_that_are_not_one_hot_are_named(action, tmp_path):
    path = npz(tmp_path, acts=np.array([[0, 1], [1, 0], action]))
    with pytest.raises(DemonstrationsError, match=r"frame 0 of demonstration 1 is \["):
        read_demonstrations(path, one_hot=True)
    with pytest.raises(DemonstrationsError, match=r"got \(3,\). Leave out one_hot"):
        read_demonstrations(npz(tmp_path), one_hot=True)


def pictures(folder):
    np.savez(
        folder / "a.npz", acts=ARRAYS["acts"], lengths=ARRAYS["lengths"],
        **{"obs.image": np.zeros((5, 8, 8, 3), np.uint8), "obs.goal": np.zeros((5, 2))},
    )  # fmt: skip
    return folder / "a.npz"


def test_pictures_that_become_numbers_are_named_once(tmp_path, caplog):
    path = pictures(tmp_path)
    assert read_demonstrations(path, obs_keys=["image"]).obs.shape == (5, 8, 8, 3)
    assert caplog.messages == []
    assert read_demonstrations(path, obs_keys=["image", "goal"]).obs.shape == (5, 194)
    assert caplog.messages == [
        f"{path}: the observations image, goal become one vector. image (8, 8, 3) loses its shape "
        f"there; selected alone, it would keep it."
    ]


def test_the_keys_of_every_format(tmp_path):
    assert observation_keys(pictures(tmp_path)) == {"image": (8, 8, 3), "goal": (2,)}
    assert observation_keys(robomimic(tmp_path)) == {"a": (2,)}
    box = {"type": "Box", "shape": [2]}
    space = {"type": "Dict", "subspaces": {"b": {"type": "Tuple", "subspaces": [box]}, "c": box}}
    assert observation_keys(minari(tmp_path, 1, space=space)) == {"b/_index_0": (2,), "c": (2,)}
    r2rise.Demonstrations(**ARRAYS).save(tmp_path / "plain.npz")
    assert observation_keys(tmp_path / "plain.npz") == {}
