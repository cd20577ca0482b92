"""One contract for all formats that are read and written."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from imports import loaded_by
from places import ROOT

from r2rise import Demonstrations
from r2rise.errors import DemonstrationsError, InputError
from r2rise.formats import FORMATS, read_demonstrations, recognise, write_demonstrations
from r2rise.formats import episodes as episodes_module

NAMES = {
    "npz": "demos.npz",
    "imitation": "demos",
    "minari": "demos-v0",
    "robomimic": "demos.hdf5",
    "d4rl": "demos.h5",
    "csv": "demos.csv",
}
"""For each format that is read, a name to write to."""

HOLDS = {
    "npz": {"rews", "terminal", "frames", "meta", "dtype", "shape"},
    "imitation": {"rews", "meta", "dtype", "shape"},
    "minari": {"frames", "meta", "dtype", "shape"},
    "robomimic": {"rews", "terminal", "frames", "meta", "dtype", "shape"},
    "d4rl": {"meta", "dtype", "shape"},
    "csv": {"rews", "terminal"},
}
"""What a format can hold: that there are no rews or that the end is unknown, too."""

DTYPES = [np.float32, np.float64, np.int64, np.uint8, np.bool_]


@st.composite
def some_demonstrations(draw) -> Demonstrations:
    lengths = np.array(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    n, rows = int(lengths.sum()), int(lengths.sum()) + len(lengths)

    def array(rows, dtypes, shapes):
        dtype = draw(st.sampled_from(dtypes))
        shape = (rows, *draw(st.sampled_from(shapes)))
        floats = np.issubdtype(dtype, np.floating)
        elements = {"allow_nan": False, "allow_infinity": False} if floats else None
        return draw(hnp.arrays(dtype, shape, elements=elements))

    def maybe(value):
        return value if draw(st.booleans()) else None

    return Demonstrations(
        obs=array(rows, DTYPES, [(1,), (3,), (2, 2, 1)]),
        acts=array(n, [np.float32, np.float64], [(1,), (2,)])
        if draw(st.booleans())
        else draw(hnp.arrays(np.int64, (n,), elements=st.integers(0, 5))),
        lengths=lengths,
        rews=maybe(array(n, [np.float32, np.float64], [()])),
        terminal=maybe(draw(hnp.arrays(np.bool_, (len(lengths),)))),
        frames=maybe(draw(hnp.arrays(np.uint8, (n, 2, 2, 3)))),
        meta=draw(st.sampled_from([{}, {"list": [1, None, "ä"]}, {"long": "x" * 70_000}])),
    )


def test_the_names_are_all_formats_that_are_read():
    assert set(NAMES) == set(HOLDS) == {name for name, own in FORMATS.items() if own.reader}


def test_the_page_of_formats_lists_them_all():
    page = (ROOT / "docs" / "formats.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)
    assert {*rows} >= {*FORMATS}
    endings = {one.ending for one in FORMATS.values() if one.ending}
    assert {f"`{ending}`" for ending in endings} <= {*re.findall(r"`\.\w+`", page)}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(given=some_demonstrations())
def test_a_round_trip_keeps_what_the_format_can_hold_and_names_the_rest(
    name, given, tmp_path_factory
):
    path = tmp_path_factory.mktemp("round") / NAMES[name]
    notes = " | ".join(write_demonstrations(given, path, format=name))
    assert recognise(path) == name
    found = read_demonstrations(path)
    holds = HOLDS[name]

    for key in ("obs", "acts", "lengths", "rews"):
        ours, theirs = getattr(given, key), getattr(found, key)
        if ours is None:
            assert (theirs is None) == ("rews" in holds)
            assert ("no rewards" in notes) == ("rews" not in holds)
            continue
        same_type = theirs.dtype == ours.dtype
        assert same_type or ("dtype" not in holds and f"the type {ours.dtype} of {key}" in notes)
        if theirs.shape != ours.shape:
            assert "shape" not in holds
            assert f"the shape {ours.shape[1:]} of {key}" in notes
        assert np.array_equal(theirs.reshape(ours.shape), ours)

    if given.terminal is None and "terminal" not in holds:
        assert not found.terminal.any()
        assert "unknown" in notes
    else:
        assert np.array_equal(found.terminal, given.terminal)
        assert (found.terminal is None) == (given.terminal is None)
    if given.frames is not None and "frames" not in holds:
        assert found.frames is None
        assert "pictures" in notes
    else:
        assert np.array_equal(found.frames, given.frames)
        assert (found.frames is None) == (given.frames is None)
    if "meta" in holds:
        assert found.meta == given.meta
    else:
        assert ("meta" in notes) == bool(given.meta)
    if not notes:
        assert found.content_hash == given.content_hash


@pytest.fixture(params=NAMES)
def written(request, tmp_path):
    """A format and a file of it."""
    path = tmp_path / NAMES[request.param]
    write_demonstrations(toys.demonstrations(2, 5), path, format=request.param)
    return request.param, path


def files_of(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def test_files_cut_off_are_refused(written):
    name, path = written
    for file in files_of(path):
        whole = file.read_bytes()
        if file.name == "dataset_info.json":
            continue  # it only holds meta
        for part in (0, 1, 10, len(whole) // 2):
            file.write_bytes(whole[:part])
            with pytest.raises(DemonstrationsError, match=str(path.parent)):
                read_demonstrations(path, format=name)
        file.write_bytes(whole)
    assert len(read_demonstrations(path)) == 2


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, derandomize=True)  # the HDF5 library itself survives most, not all
@given(data=st.data())
def test_damaged_files_give_demonstrations_or_an_error_of_ours(name, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / NAMES[name]
    write_demonstrations(toys.demonstrations(2, 5), path, format=name)
    file = data.draw(st.sampled_from(sorted(files_of(path))))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    try:
        found = read_demonstrations(path, format=name)
    except DemonstrationsError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert isinstance(found, Demonstrations)


def test_large_files_are_memory_mapped(written, monkeypatch):
    name, path = written
    small = read_demonstrations(path)
    monkeypatch.setattr(episodes_module, "MEMORY_MAP_BYTES", 0)
    large = read_demonstrations(path)
    assert large.content_hash == small.content_hash
    if name != "npz":
        assert isinstance(large.obs.base, np.memmap) or isinstance(large.obs, np.memmap)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"csv"}))
def test_a_writer_that_fails_leaves_nothing(name, tmp_path):
    good, meta = toys.demonstrations(), {}
    bad = Demonstrations(good.obs, good.acts, good.lengths, meta=meta)
    meta["no"] = {"JSON"}
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_demonstrations(bad, tmp_path / NAMES[name], format=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["imitation", "minari"])
def test_a_folder_that_is_there_is_not_replaced(name, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="already exists"):
        write_demonstrations(toys.demonstrations(), tmp_path / "there", format=name)
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("demos.hdf5", "Name one: robomimic, d4rl"),
        ("demos", "Name one: imitation, minari"),
        ("demos.pkl", "Name one: npz, imitation, .* lerobot-trims"),
    ],
)
def test_an_ending_that_does_not_tell_the_format_lists_the_candidates(name, words, tmp_path):
    with pytest.raises(InputError, match=words):
        write_demonstrations(toys.demonstrations(), tmp_path / name)


def test_formats_that_do_not_exist(tmp_path):
    path = tmp_path / "demos.npz"
    write_demonstrations(toys.demonstrations(), path)
    with pytest.raises(InputError, match="Did you mean 'robomimic'"):
        read_demonstrations(path, format="robomimik")
    with pytest.raises(InputError, match="No format 'lerobot-trims' can be read"):
        read_demonstrations(path, format="lerobot-trims")
    with pytest.raises(InputError, match="Did you mean 'minari'"):
        write_demonstrations(toys.demonstrations(), path, format="minary")


def test_what_cannot_be_told_lists_the_candidates(tmp_path):
    with h5py.File(tmp_path / "both.hdf5", "w") as file:
        file["observations"], file["actions"] = np.zeros((3, 1)), np.zeros((3, 1))
        file.create_group("data")
    with pytest.raises(DemonstrationsError, match="could be read as robomimic or d4rl"):
        read_demonstrations(tmp_path / "both.hdf5")
    with h5py.File(tmp_path / "none.hdf5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(DemonstrationsError, match="neither robomimic.* nor D4RL.* holds images"):
        read_demonstrations(tmp_path / "none.hdf5")
    (tmp_path / "some.txt").write_text("hello")
    with pytest.raises(DemonstrationsError, match=r"none of the known formats \(.npz, CSV"):
        read_demonstrations(tmp_path / "some.txt")
    with pytest.raises(DemonstrationsError, match="There is no file"):
        read_demonstrations(tmp_path / "missing.npz")
    folder = tmp_path / "folder"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "metadata.json").write_text("{}")
    (folder / "state.json").write_text("{}")
    with pytest.raises(DemonstrationsError, match="could be read as imitation or minari"):
        read_demonstrations(folder)


def test_the_same_file_gives_the_same_hash(written):
    """So that a map of converted demonstrations can be used with the file they came from."""
    _, path = written
    hashes = {read_demonstrations(path).content_hash for _ in range(2)}
    assert len(hashes) == 1
    assert str(path) not in json.dumps(dict(read_demonstrations(path).meta))


def test_a_process_that_has_loaded_nothing_reads_every_format(tmp_path):
    """What another library has imported here must not be what makes a reader work."""
    given = toys.demonstrations(2, 5)
    for name, file in NAMES.items():
        write_demonstrations(given, tmp_path / file, format=name)
    paths = [str(tmp_path / file) for file in NAMES.values()]
    loaded = loaded_by(
        "from r2rise.formats import read_demonstrations\n"
        f"assert [len(read_demonstrations(path)) for path in {paths}] == {[2] * len(paths)}"
    )
    assert not {"datasets", "imitation", "minari"} & loaded
