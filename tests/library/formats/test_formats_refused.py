"""What readers refuse: files that lead elsewhere, hold objects, lie about sizes or do not fit."""

import json

import h5py
import numpy as np
import pyarrow as pa
import pytest
import toys
from pyarrow import parquet

from r2rise.errors import DemonstrationsError
from r2rise.formats import read_demonstrations, write_demonstrations

SECRET = np.arange(10.0)[:, None]


def external_link(folder, file):
    with h5py.File(folder / "secret.hdf5", "w") as other:
        other["actions"] = SECRET
    file["actions"] = h5py.ExternalLink(str(folder / "secret.hdf5"), "/actions")


def soft_link(folder, file):
    external_link(folder, file)
    file.move("actions", "elsewhere")
    file["actions"] = h5py.SoftLink("/elsewhere")


def external_storage(folder, file):
    (folder / "secret.bin").write_bytes(SECRET.tobytes())
    file.create_dataset(
        "actions", (10, 1), np.float64, external=[(str(folder / "secret.bin"), 0, 80)]
    )


def virtual(folder, file):
    with h5py.File(folder / "secret.hdf5", "w") as other:
        other["actions"] = SECRET
    layout = h5py.VirtualLayout((10, 1), np.float64)
    layout[:] = h5py.VirtualSource(str(folder / "secret.hdf5"), "actions", (10, 1))
    file.create_virtual_dataset("actions", layout)


def objects(folder, file):
    file.create_dataset("actions", data=["a"] * 10, dtype=h5py.string_dtype())


def references(folder, file):
    file.create_dataset("actions", (10,), dtype=h5py.ref_dtype)


def records(folder, file):
    file["actions"] = np.zeros(10, [("a", "f4"), ("b", "i4")])


def scalar(folder, file):
    file["actions"] = 3.0


def a_group(folder, file):
    file["actions/a"] = SECRET


def nothing_stored(folder, file):
    file.create_dataset("actions", (2**40, 1), np.float64, chunks=(1024, 1))


REFUSED = {
    external_link: "is a link .ExternalLink., which is not followed",
    soft_link: "is a link .SoftLink., which is not followed",
    external_storage: "is stored in other files, which are not read",
    virtual: "is stored in other files, which are not read",
    objects: "should hold numbers",
    references: "should hold numbers",
    records: "should hold numbers",
    scalar: "should be an array with a row for each frame",
    a_group: "should be an array with a row for each frame",
    nothing_stored: "claims 8796093022208 bytes .* holds 0 of it",
}


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.__name__)
@pytest.mark.parametrize("kind", ["d4rl", "robomimic", "minari"])
def test_hdf5_that_leads_elsewhere_or_lies(kind, bad, tmp_path):
    name = {"d4rl": "d.hdf5", "robomimic": "r.hdf5", "minari": "m-v0"}[kind]
    path = tmp_path / name
    write_demonstrations(toys.demonstrations(1, 10), path, format=kind)
    inside = path / "data" / "main_data.hdf5" if kind == "minari" else path
    where = {"d4rl": "/", "robomimic": "/data/demo_0", "minari": "/episode_0"}[kind]
    with h5py.File(inside, "a") as file:
        del file[where]["actions"]
        bad(tmp_path, file[where])
    with pytest.raises(DemonstrationsError, match=f"actions {REFUSED[bad]}") as refused:
        read_demonstrations(path, format=kind)
    assert str(inside) in str(refused.value)


def test_a_group_that_is_a_link_to_another_file(tmp_path):
    write_demonstrations(toys.demonstrations(), tmp_path / "other.hdf5", format="robomimic")
    with h5py.File(tmp_path / "link.hdf5", "w") as file:
        file["data"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "/data")
    with pytest.raises(DemonstrationsError, match="/data is a link"):
        read_demonstrations(tmp_path / "link.hdf5", format="robomimic")


def test_demonstrations_that_are_not_alike_are_named(tmp_path):
    path = tmp_path / "r.hdf5"
    write_demonstrations(toys.demonstrations(), path, format="robomimic")
    with h5py.File(path, "a") as file:
        del file["data/demo_1/actions"]
        file["data/demo_1/actions"] = np.zeros((40, 2))
    with pytest.raises(DemonstrationsError, match=r"demonstration 1 has acts of shape \(2,\)"):
        read_demonstrations(path)
    with h5py.File(path, "a") as file:
        del file["data/demo_1/actions"]
        file["data/demo_1/actions"] = np.zeros((39, 1))
    with pytest.raises(DemonstrationsError, match=r"dones of /data/demo_1 should be \(39,\)"):
        read_demonstrations(path)
    with h5py.File(path, "a") as file:
        del file["data/demo_1"], file["data/demo_0"]
    with pytest.raises(DemonstrationsError, match="holds no demonstration"):
        read_demonstrations(path)


def test_demonstrations_of_which_some_lack_something_are_named(tmp_path):
    path = tmp_path / "r.hdf5"
    for number, name in enumerate(("rewards", "dones")):
        write_demonstrations(toys.demonstrations(), path, format="robomimic")
        with h5py.File(path, "a") as file:
            del file[f"data/demo_{number}/{name}"]
        first = "" if number == 0 else "no "
        key = {"rewards": "rews", "dones": "terminal"}[name]
        with pytest.raises(DemonstrationsError, match=f"demonstration 1 has {first}{key}, those"):
            read_demonstrations(path)


def test_states_without_observations_say_what_makes_them(tmp_path):
    with h5py.File(tmp_path / "demo.hdf5", "w") as file:
        file["data/demo_0/states"], file["data/demo_0/actions"] = SECRET, SECRET
    with pytest.raises(
        DemonstrationsError, match=r"/data/demo_0 .*dataset_states_to_obs.py creates"
    ):
        read_demonstrations(tmp_path / "demo.hdf5")


def test_groups_that_are_linked_in_many_ways_are_looked_at_once(tmp_path):
    with h5py.File(tmp_path / "many.hdf5", "w") as file:
        group = file.create_group("data/demo_0/obs")
        for _ in range(40):  # 2**40 paths
            below = group.create_group("a")
            group["b"] = below
            group = below
    with pytest.raises(DemonstrationsError, match="many.hdf5"):
        read_demonstrations(tmp_path / "many.hdf5")


def test_a_dataset_of_minari_that_is_not_whole(tmp_path):
    path = tmp_path / "m-v0"
    write_demonstrations(toys.demonstrations(), path, format="minari")
    with h5py.File(path / "data" / "main_data.hdf5", "a") as file:
        del file["episode_0"]
    with pytest.raises(DemonstrationsError, match="says that there are 2 episodes, .* are 1. Copy"):
        read_demonstrations(path)


@pytest.mark.parametrize("shape", ["abc", None, ["40", "40"], [-1], [2**70]])
def test_spaces_of_minari_that_are_none(shape, tmp_path):
    (tmp_path / "m-v0").mkdir()
    rows = pa.array([{"observations": [0.0], "actions": 0, "rewards": 0.0, "terminations": False,
                      "truncations": False}] * 3)  # fmt: skip
    (tmp_path / "m-v0" / "0").mkdir()
    table = pa.Table.from_struct_array(rows)
    with pa.ipc.new_file(str(tmp_path / "m-v0" / "0" / "a.arrow"), table.schema) as file:
        file.write_table(table)
    for space in ({"shape": shape, "type": "Box", "dtype": "uint8"}, {"subspaces": "abc"}):
        metadata = {"data_format": "arrow", "observation_space": json.dumps(space)}
        (tmp_path / "m-v0" / "metadata.json").write_text(json.dumps(metadata))
        if "subspaces" in space:
            assert len(read_demonstrations(tmp_path / "m-v0")) == 1
        else:
            with pytest.raises(DemonstrationsError, match="m-v0"):
                read_demonstrations(tmp_path / "m-v0")


def test_arrow_that_does_not_fit(tmp_path):
    path = tmp_path / "folder"
    write_demonstrations(toys.demonstrations(1, 3), path, format="imitation")
    data = next(path.glob("*.arrow"))

    def put(**columns):
        table = pa.table({"obs": [[[0.0]] * 4], "acts": [[0.0] * 3], "terminal": [True], **columns})
        with pa.ipc.new_stream(str(data), table.schema) as stream:
            stream.write_table(table)

    put()
    assert read_demonstrations(path).lengths.tolist() == [3]
    for column, reason in {
        "acts": [
            ([["a", "b", "c"]], "acts should hold numbers, got string"),
            ([[0.0, None, 1.0]], "acts should hold numbers, got double, or lacks some"),
            ([3.0], "acts should hold lists of numbers, got double"),
            ([None], "acts should hold lists of numbers"),
        ],
        "obs": [([[[0.0], [0.0, 1.0], [0.0], [0.0]]], "obs should hold lists of one length")],
    }.items():
        for values, words in reason:
            put(**{column: values})
            with pytest.raises(DemonstrationsError, match=words):
                read_demonstrations(path)


def test_a_folder_of_imitation_that_names_files_elsewhere(tmp_path):
    path = tmp_path / "folder"
    write_demonstrations(toys.demonstrations(1, 3), path, format="imitation")
    for name in ("../secret.arrow", "/etc/passwd"):
        (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
        with pytest.raises(DemonstrationsError, match="names a file outside the folder"):
            read_demonstrations(path)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "gone.arrow"}]}))
    with pytest.raises(DemonstrationsError, match="There is no file .*gone.arrow"):
        read_demonstrations(path)


GOOD_CSV = "demonstration,time,obs_0,act,reward\n0,0,1.5,1,0.5\n0,1,2.5,0,1\n0,2,3.5,,\n"
BAD_CSV = {
    "no actions": (GOOD_CSV.replace("act,", "action,"), "line 1: the columns act_0 are missing"),
    "a gap in names": (GOOD_CSV.replace("obs_0", "obs_1"), "line 1: obs columns should be obs_0"),
    "a gap in time": (GOOD_CSV.replace("0,1,2.5", "0,2,2.5"), "line 3: expected time 1, got '2'"),
    "text": (GOOD_CSV.replace("2.5", "two"), "line 3: obs_0 should be a number, got 'two'"),
    "an empty cell": (GOOD_CSV.replace("2.5", ""), "line 3: obs_0 should be a number, got ''"),
    "a cell too many": (GOOD_CSV.replace("3.5,,", "3.5,,,4"), "line 4: more cells than columns"),
    "a cell too few": (GOOD_CSV.replace("1,2.5,0,1", "1,2.5,0"), "line 3: reward should be a num"),
    "not sorted": (
        GOOD_CSV + "1,0,1,1,1\n1,1,1,,\n0,3,1,1,1\n",
        "line 7: demonstration '0' continues",
    ),
    "NaN": (GOOD_CSV.replace("2.5", "nan"), "obs holds NaN or infinite values, first in row 1"),
    "large numbers": (GOOD_CSV.replace("1,0.5", f"{2**64},0.5"), "more than 64 bits"),
    "a column twice": (GOOD_CSV.replace("reward", "obs_0"), "line 1: the columns obs_0 occur"),
    "one and many": (GOOD_CSV.replace("reward", "obs"), "got obs, obs_0"),
    "bars": (GOOD_CSV.replace(",", "|"), "are missing; .* with commas between them"),
    "decimal commas": (
        GOOD_CSV.replace(",", ";").replace(".", ","),
        "line 2: obs_0 should be a number, got '1,5'. Write numbers with points",
    ),
    "names of others": (
        GOOD_CSV.replace("demonstration,time", "Episode,step").replace("act,", "action,"),
        "Did you mean demonstration for Episode, time for step, act for action",
    ),
    "numbered names of others": (
        "demonstration,observation_0,action_0\n0,1,1\n",
        "Did you mean obs_0 for observation_0, act_0 for action_0",
    ),
    "NaN between": (
        GOOD_CSV.replace("2.5,0", "2.5,nan"),
        "line 3: act should be a number, got 'nan'",
    ),
    "nothing": ("", "are missing; found nothing"),
    "a reward too late": (GOOD_CSV.replace("3.5,,", "3.5,,2"), "line 4: reward is '2', but there"),
    "an end between": (
        GOOD_CSV.replace("reward", "terminal").replace("0.5", "True").replace(",1\n", ",0\n"),
        "line 3: the demonstration continues after terminal was 1",
    ),
    "no end": (GOOD_CSV.replace("reward", "terminal"), "terminal should be 0 or 1, got '0.5'"),
    "no rows": (GOOD_CSV.partition("\n")[0], "holds no demonstration"),
    "one observation": (
        "demonstration,obs,act\n0,1,\n",
        "no demonstration has a frame with a next obs",
    ),
    "not text": ("demonstration,\x00\xff", "columns obs_0, act_0 are missing"),
    "quotes": ('demonstration,obs,act\n"0"x,1,1\n', "Cannot read"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_csv_names_the_line(case, tmp_path):
    text, words = BAD_CSV[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DemonstrationsError, match=words) as refused:
        read_demonstrations(tmp_path / "a.csv")
    assert str(tmp_path / "a.csv") in str(refused.value)


def test_csv_in_another_encoding(tmp_path):
    (tmp_path / "a.csv").write_bytes(GOOD_CSV.encode("utf-16"))
    with pytest.raises(DemonstrationsError, match="not text in UTF-8. Save the table as CSV in UT"):
        read_demonstrations(tmp_path / "a.csv")


def test_csv_as_pandas_writes_it(tmp_path, caplog):
    (tmp_path / "a.csv").write_text(
        "demonstration, obs, act, rewards, terminal\n0, 1, 1, 9, 0.0\n0, 2, 0, 9, 1.0\n0, 3, , ,\n"
        "1, 1, 1, 9, False\n1, 2, 0, 9, False\n1, 3, , , False\n"
    )
    ours = read_demonstrations(tmp_path / "a.csv")
    assert ours.terminal.tolist() == [True, False]
    assert caplog.messages == [
        f"{tmp_path / 'a.csv'}: the columns rewards are not read. Did you mean reward for rewards?"
    ]


def test_csv_as_people_write_it(tmp_path):
    (tmp_path / "a.csv").write_text(
        "\ufeffdemonstration,obs_1,obs_0,act_0,comment\r\n"
        'left,2,1,0.5,"hello, world"\r\nleft,4,3,1.5,\r\nright,6,5,2.5,\r\nright,8,7,,\r\n',
        newline="",
    )
    ours = read_demonstrations(tmp_path / "a.csv")
    assert ours.lengths.tolist() == [1, 1]  # "left" lacks its last observation
    assert ours.obs.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert ours.obs.dtype == np.int64
    assert ours.acts.tolist() == [[0.5], [2.5]]
    assert ours.rews is None
    assert ours.terminal is None


def test_lerobot_is_named_with_the_way_to_read_it(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    table = tmp_path / "file-000.parquet"
    parquet.write_table(pa.table({"action": [0.0]}), table)
    for path in (tmp_path, table):
        with pytest.raises(DemonstrationsError, match=r"LeRobot .* Demonstrations\.from_episodes"):
            read_demonstrations(path)
