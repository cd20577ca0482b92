"""What is written from an importance map: robomimic's filter keys, LeRobot's weights and trims."""

import json

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import toys
from places import DATA
from scipy import stats

import r2rise
from r2rise.errors import InputError, MapError
from r2rise.formats import read_demonstrations, write_demonstrations
from r2rise.formats.lerobot import frame_progress, frame_weights, trims
from r2rise.formats.pieces import Pieces
from r2rise.results.curation import Curation, Edit

WORTH = [3.0, -2.0, -1.0, 1.0, np.nan, 2.0, -3.0, 0.5]
"""Importance of 8 segments of 10 frames in 2 demonstrations; one is not estimated."""
VERDICTS = ["helps", "hurts", "hurts", "helps", None, "helps", "hurts", "unresolved"]


@pytest.fixture
def importance(demonstrations, study):
    found = r2rise.explain(demonstrations, study)
    verdicts = found.verdicts.model_copy(update={"verdict": tuple(VERDICTS)})
    error = np.where(np.isnan(WORTH), np.nan, 1.0)
    update = {"importance": np.array(WORTH), "std_error": error, "verdicts": verdicts}
    return found.model_copy(update=update)


@pytest.fixture
def order_only(demonstrations, study):
    return r2rise.explain(demonstrations, study.model_copy(update={"estimator": "rise"}))


def test_filter_keys_name_pieces_of_frames_that_the_map_says_the_same_of(
    demonstrations, importance, tmp_path
):
    path = tmp_path / "keys.hdf5"
    notes = write_demonstrations(demonstrations, path, format="robomimic", importance=importance)
    assert ["a test of the cuts" in note for note in notes] == [True]
    with h5py.File(path) as file:
        demos = [json.loads(file[f"data/demo_{i}"].attrs["source"]) for i in range(7)]
        sizes = [int(file[f"data/demo_{i}"].attrs["num_samples"]) for i in range(7)]
        assert len(file["data"]) == 7
        keys = {key: [name.decode() for name in file["mask"][key]] for key in file["mask"]}
        assert file["data"].attrs["total"] == 80
    # 7 segments were estimated: the 3 best are on top, the 3 worst at the bottom
    assert [tuple(one.values()) for one in demos] == [
        (0, 0, 10), (0, 10, 30), (0, 30, 40), (1, 0, 10), (1, 10, 20), (1, 20, 30), (1, 30, 40),
    ]  # fmt: skip
    assert sizes == [10, 20, 10, 10, 10, 10, 10]
    assert keys["top"] == ["demo_0", "demo_2", "demo_4"]
    assert keys["bottom"] == ["demo_1", "demo_5"]
    assert keys["no_harm"] == ["demo_0", "demo_2", "demo_3", "demo_4", "demo_6"]

    pieces = read_demonstrations(path)
    assert np.array_equal(pieces.acts, demonstrations.acts)
    every = np.ones(80, bool)
    ours, whole = pieces.transitions(every), demonstrations.transitions(every)
    assert np.array_equal(ours.obs, whole.obs)
    assert np.array_equal(ours.next_obs, whole.next_obs)


def test_pieces_end_where_their_demonstration_did(demonstrations, importance):
    ended = r2rise.Demonstrations(
        demonstrations.obs, demonstrations.acts, demonstrations.lengths,
        terminal=np.array([True, False]), meta=demonstrations.meta,
    )  # fmt: skip
    pieces = Pieces.of_map(demonstrations, importance)
    flags = [one.terminal for one in pieces.episodes(ended)]
    stops = [(one.demonstration, one.stop) for one in pieces.segments]
    assert flags == [stop == (0, 40) for stop in stops]
    assert sum(stop - start for _, start, stop in pieces.segments) == 80


def test_a_map_of_whole_demonstrations_cuts_nothing(demonstrations, study, tmp_path):
    masking = r2rise.Masking(segment_length="all")
    budget = r2rise.Budget(retrainings=16, baseline_retrainings=2)
    asked = study.model_copy(update={"masking": masking, "budget": budget, "estimator": "ridge"})
    found = r2rise.explain(demonstrations, asked)
    pieces = Pieces.of_map(demonstrations, found)
    assert pieces.segments == Pieces.whole(demonstrations).segments
    assert sorted(pieces.sets["top"] + pieces.sets["bottom"]) == [0, 1]


def test_weights_are_twice_the_probability_that_a_frame_helps(importance):
    weights = frame_weights(importance).reshape(8, 10)
    want = 2 * stats.t.cdf(WORTH, importance.degrees)
    want[4] = 1.0  # nothing is known
    assert weights == pytest.approx(np.repeat(want[:, None], 10, axis=1))
    normal = importance.model_copy(update={"degrees_of_freedom": None, "segment_degrees": None})
    assert frame_weights(normal)[::10][:4] == pytest.approx(2 * stats.norm.cdf(WORTH[:4]))
    exact = importance.model_copy(update={"std_error": np.zeros(8)})
    assert frame_weights(exact)[::10].tolist() == [2, 0, 0, 2, 1, 2, 0, 2]


def test_progress_rises_by_the_importance_of_the_frames_passed(importance):
    progress = frame_progress(importance).astype(float)
    assert (progress.min(), progress.max()) == (0.0, 1.0)
    per_frame = np.nan_to_num(np.array(WORTH)).repeat(10) / 10
    sums = [np.cumsum(own) - own for own in (per_frame[:40], per_frame[40:])]
    scale = max(np.ptp(own) for own in sums)
    for start in (0, 40):
        own, worth = progress[start : start + 40], per_frame[start : start + 40]
        chunk = 7
        change = own[chunk:] - own[:-chunk]
        total = np.array([worth[t : t + chunk].sum() for t in range(40 - chunk)])
        assert change * scale == pytest.approx(total, abs=1e-5)


def test_the_file_of_weights(demonstrations, importance, tmp_path):
    """Columns and types of LeRobot 0.4.4's sarm_progress.parquet, and `weight`."""
    write_demonstrations(demonstrations, tmp_path / "w.parquet", importance=importance)
    table = pq.read_table(tmp_path / "w.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        "index": "int64", "episode_index": "int64", "frame_index": "int64",
        "weight": "double", "progress_sparse": "float",
    }  # fmt: skip
    assert table["index"].to_pylist() == list(range(80))
    assert table["episode_index"].to_pylist() == [0] * 40 + [1] * 40
    assert table["frame_index"].to_pylist() == [*range(40)] * 2
    assert table["weight"].to_pylist() == frame_weights(importance).tolist()
    assert table["progress_sparse"].to_pylist() == frame_progress(importance).tolist()


def test_trims_join_neighbours_that_hurt(demonstrations, importance, tmp_path):
    assert trims(importance)[0] == [(0, 10, 30), (1, 20, 30)]
    write_demonstrations(demonstrations, tmp_path / "t.json", importance=importance)
    found = json.loads((tmp_path / "t.json").read_text())
    assert found["dataset"] == demonstrations.content_hash
    assert found["delete_episodes"] == []
    assert found["episodes"] == [
        {"episode_index": 0, "length": 40, "cut": [[10, 30]], "keep": [[0, 10], [30, 40]]},
        {"episode_index": 1, "length": 40, "cut": [[20, 30]], "keep": [[0, 20], [30, 40]]},
    ]
    harmful = importance.verdicts.model_copy(update={"verdict": ("hurts",) * 4 + ("helps",) * 4})
    all_of_one = importance.model_copy(update={"verdicts": harmful})
    write_demonstrations(demonstrations, tmp_path / "t.json", importance=all_of_one)
    found = json.loads((tmp_path / "t.json").read_text())
    assert found["delete_episodes"] == [0]
    assert [one["keep"] for one in found["episodes"]] == [[]]


def test_an_order_has_halves_but_no_signs(demonstrations, order_only, tmp_path):
    path = tmp_path / "r.hdf5"
    notes = write_demonstrations(demonstrations, path, format="robomimic", importance=order_only)
    assert notes == ["no_harm: the estimator 'rise' gives an order only, no signs"]
    with h5py.File(path) as file:
        assert set(file["mask"]) == {"top", "bottom"}
    for name in ("w.parquet", "t.json"):
        with pytest.raises(MapError, match="'rise' only ranks segments"):
            write_demonstrations(demonstrations, tmp_path / name, importance=order_only)
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["r.hdf5", "w.parquet", "t.json"])
def test_a_map_of_other_demonstrations(name, importance, tmp_path):
    kind = "robomimic" if name == "r.hdf5" else None
    with pytest.raises(MapError, match="The map is about demonstrations sha256:"):
        write_demonstrations(
            toys.demonstrations(3), tmp_path / name, format=kind, importance=importance
        )
    assert list(tmp_path.iterdir()) == []


def test_a_map_where_none_belongs_and_none_where_one_does(demonstrations, importance, tmp_path):
    with pytest.raises(
        InputError, match="csv does not use an importance map; these formats do: robo"
    ):
        write_demonstrations(demonstrations, tmp_path / "a.csv", importance=importance)
    with pytest.raises(InputError, match="lerobot-weights is written from an importance map"):
        write_demonstrations(demonstrations, tmp_path / "a.parquet")


def curation(importance, outcome: str, *edits) -> Curation:
    """A curation of the map that left some segments out."""
    own = Curation.from_json((DATA / "curation-1.1.json").read_text())
    return own.model_copy(
        update={
            "map_study_hash": importance.study_hash,
            "map_revision": importance.revision,
            "outcome": outcome,
            "edits": tuple(Edit(**edit._asdict(), reason="hurts") for edit in edits),
        }
    )


@pytest.mark.parametrize("outcome", ["gain", "trains_faster"])
def test_what_a_curation_confirmed_is_cut_and_nothing_else(demonstrations, importance, outcome):
    found = curation(importance, outcome, importance.segment(1))
    assert trims(importance, found) == ([(0, 10, 20)], [])
    pieces = Pieces.of_map(demonstrations, importance, found)
    kept = {pieces.segments[number] for number in pieces.sets["no_harm"]}
    assert set(pieces.segments) - kept == {(0, 10, 20)}


@pytest.mark.parametrize("outcome", ["no_gain", "undecided", "fewer_frames_do"])
def test_without_a_gain_nothing_is_cut(importance, outcome):
    cuts, notes = trims(importance, curation(importance, outcome, importance.segment(1)))
    assert cuts == []
    assert [outcome in note for note in notes] == [True]


def test_a_curation_of_another_map_says_nothing(importance):
    other = curation(importance, "gain", importance.segment(1)).model_copy(
        update={"map_revision": importance.revision + 1}
    )
    assert trims(importance, other) == trims(importance)
