"""Conversion between file formats in Python: what is read, written and left out."""

import json

import numpy as np
import pytest
import worth

import r2rise
from r2rise.errors import InputError
from r2rise.formats import read_demonstrations, write_demonstrations

DEMONSTRATIONS = worth.demonstrations(6)


@pytest.fixture
def source(tmp_path):
    DEMONSTRATIONS.save(tmp_path / "demos.npz")
    return tmp_path / "demos.npz"


def test_what_is_converted_is_what_was_read(source, tmp_path):
    converted = r2rise.convert(source, str(tmp_path / "demos.csv"))
    assert converted.format == "csv"
    assert converted.demonstrations.content_hash == DEMONSTRATIONS.content_hash
    assert converted.left_out == write_demonstrations(DEMONSTRATIONS, tmp_path / "same.csv")
    assert (tmp_path / "demos.csv").read_text() == (tmp_path / "same.csv").read_text()


def test_formats_are_named_where_names_of_files_do_not_say_them(source, tmp_path):
    with pytest.raises(InputError, match="Name one: robomimic, d4rl"):
        r2rise.convert(source, tmp_path / "demos.hdf5")
    r2rise.convert(source, tmp_path / "demos.hdf5", to="robomimic")
    back = r2rise.convert(tmp_path / "demos.hdf5", tmp_path / "back.npz", format="robomimic")
    assert np.array_equal(back.demonstrations.acts, DEMONSTRATIONS.acts)
    assert read_demonstrations(tmp_path / "back.npz").n_frames == DEMONSTRATIONS.n_frames


def test_keys_are_chosen_and_short_demonstrations_left_out(tmp_path):
    parts = {"obs.a": np.zeros((7, 2)), "obs.b": np.ones((7, 3))}
    lengths, acts = np.array([4, 1]), np.arange(5)
    np.savez(tmp_path / "dict.npz", lengths=lengths, acts=acts, **parts)
    converted = r2rise.convert(
        tmp_path / "dict.npz", tmp_path / "b.npz", obs_keys=["b"], min_frames=2
    )
    written = r2rise.Demonstrations.load(tmp_path / "b.npz")
    assert written.lengths.tolist() == [4]
    assert written.obs.tolist() == [[1.0] * 3] * 5
    assert written.content_hash == converted.demonstrations.content_hash


def test_a_map_and_its_curation_decide_what_is_left_out(source, tmp_path):
    importance = worth.explained((5.0, -3.0, 1.0, 2.5, 6.0, -1.0))
    curation = r2rise.curate(source, importance)
    importance.save(tmp_path / "map.json")
    curation.save(tmp_path / "curation.json")
    by_object, by_path = tmp_path / "trims.json", tmp_path / "paths.json"
    r2rise.convert(
        source, by_object, to="lerobot-trims", importance_map=importance, curation=curation
    )
    r2rise.convert(source, by_path, to="lerobot-trims", importance_map=tmp_path, curation=tmp_path)
    assert json.loads(by_object.read_text()) == json.loads(by_path.read_text())
    write_demonstrations(
        DEMONSTRATIONS, tmp_path / "same.json", format="lerobot-trims", importance=importance,
        curation=curation,
    )  # fmt: skip
    assert by_object.read_text() == (tmp_path / "same.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demos.npz", "demos.npz"), "is what is read: give another name to write to"),
        (
            (DEMONSTRATIONS, "a.npz"),
            "source should be the path of a file or directory, got Demonstrations",
        ),
        (("demos.npz", ""), "target is empty"),
    ],
)
def test_what_cannot_be_converted_is_refused(arguments, message, source, monkeypatch):
    monkeypatch.chdir(source.parent)
    with pytest.raises(InputError, match=message):
        r2rise.convert(*arguments)
    assert read_demonstrations(source).content_hash == DEMONSTRATIONS.content_hash
