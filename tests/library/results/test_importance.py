import csv
import io
import json

import numpy as np
import pytest
from places import DATA

from r2rise import ImportanceMap
from r2rise.errors import InputError, MapError
from r2rise.study.notices import Notice

GOLDEN = DATA / "importance_map-1.1.json"


@pytest.fixture
def golden() -> ImportanceMap:
    return ImportanceMap.load(GOLDEN)


def changed(golden: ImportanceMap, **fields) -> ImportanceMap:
    return golden.model_copy(update=fields)


def test_null_in_json_is_nan_in_python(golden):
    fields = json.loads(GOLDEN.read_text())
    missing = [i for i, value in enumerate(fields["importance"]) if value is None]
    assert missing
    assert np.flatnonzero(np.isnan(golden.importance)).tolist() == missing
    assert "NaN" not in GOLDEN.read_text()


@pytest.mark.parametrize("name", ["map.json", "map.npz"])
def test_what_is_saved_is_loaded(golden, tmp_path, name):
    golden.save(tmp_path / name)
    assert ImportanceMap.load(tmp_path / name).to_json() == golden.to_json()


def test_csv_has_a_row_per_segment_and_empty_cells_for_what_was_not_estimated(golden):
    rows = list(csv.DictReader(io.StringIO(golden.to_csv())))
    assert list(rows[0]) == [
        "demonstration", "start", "stop", "importance", "std_error", "n_kept", "n_masked",
        "lower", "upper", "verdict", "interval_holds_for",
    ]  # fmt: skip
    for i, row in enumerate(rows):
        place = tuple(int(row[name]) for name in ("demonstration", "start", "stop"))
        assert place == golden.segment(i)
        value = golden.importance[i]
        assert row["importance"] == ("" if np.isnan(value) else repr(float(value)))


def test_csv_holds_interval_verdict_and_what_the_interval_holds_for(golden):
    def table(found: ImportanceMap) -> list[dict]:
        return list(csv.DictReader(io.StringIO(found.to_csv())))

    said = golden.verdicts
    over_seeds = changed(golden, verdicts=said.model_copy(update={"covers": "training_seeds"}))
    for i, row in enumerate(table(over_seeds)):
        assert row["verdict"] == (said.verdict[i] or "")
        assert row["lower"] == ("" if np.isnan(said.lower[i]) else repr(float(said.lower[i])))
        assert row["interval_holds_for"] == "any training seed"
    one_seed = changed(golden, verdicts=said.model_copy(update={"covers": "masks"}))
    for row, before in zip(table(one_seed), table(over_seeds), strict=True):
        assert (row["lower"], row["verdict"]) == (before["lower"], "")
        assert row["interval_holds_for"] == "this training seed only"
    for row in table(changed(golden, verdicts=None)):
        assert (row["lower"], row["upper"], row["verdict"], row["interval_holds_for"]) == ("",) * 4


def test_a_dataframe_holds_what_the_csv_holds(golden):
    pd = pytest.importorskip("pandas")
    covers = golden.verdicts.model_copy(update={"covers": "training_seeds"})
    found = changed(golden, verdicts=covers)
    read = pd.read_csv(io.StringIO(found.to_csv()))
    pd.testing.assert_frame_equal(found.to_dataframe(), read, check_dtype=False)
    assert found.to_dataframe()["verdict"].isna().sum() == covers.verdict.count(None) > 0


def test_rows_by_index_and_in_a_loop_are_the_segments_in_their_order(golden):
    rows = list(golden)
    assert [row.segment for row in rows] == [golden.segment(i) for i in range(len(golden))]
    assert len(rows) == len(golden)
    for i, row in enumerate(rows):
        assert str(golden[i]) == str(row)  # NaN is not equal to itself
        assert str(golden[i - len(golden)]) == str(row)
        np.testing.assert_equal(row.importance, golden.importance[i])
        np.testing.assert_equal(row.upper, golden.verdicts.upper[i])
        assert row.verdict == golden.verdicts.verdict[i]
    with pytest.raises(IndexError, match=f"There are {len(golden)} segments"):
        golden[len(golden)]
    with pytest.raises(IndexError, match=r"segments, got the index slice\(0, 2, None\)"):
        golden[0:2]


def test_an_old_map_of_one_training_seed_is_known_by_its_warning(golden):
    notice = Notice(code="one_training_seed", detail="")
    assert not golden.holds_for_one_seed
    assert changed(golden, warnings=(notice,)).holds_for_one_seed
    assert changed(golden, warnings=(notice,)).top(1)[0].verdict is None


def test_npz_holds_the_same_arrays(golden, tmp_path):
    golden.save(tmp_path / "map.npz")
    with np.load(tmp_path / "map.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["importance"], golden.importance)
        np.testing.assert_array_equal(arrays["n_kept"], golden.n_kept)


def test_png_is_a_picture_with_different_colours_for_different_signs(golden, tmp_path):
    from matplotlib.image import imread

    golden.save(tmp_path / "map.png")
    pixels = imread(tmp_path / "map.png")[..., :3].reshape(-1, 3)
    blue = (pixels[:, 2] > pixels[:, 0] + 0.2).sum()
    red = (pixels[:, 0] > pixels[:, 2] + 0.2).sum()
    assert blue > 1000
    assert red > 1000


def test_unknown_endings_and_missing_files(golden, tmp_path):
    with pytest.raises(
        MapError, match="saved as .json, .png, .svg, .csv or .npz, not as 'map.jpeg'"
    ):
        golden.save(tmp_path / "map.jpeg")
    with pytest.raises(MapError, match="Cannot read the importance map"):
        ImportanceMap.load(tmp_path / "nothing.json")


def test_top_and_bottom_leave_out_what_was_not_estimated(golden):
    n = int(np.isfinite(golden.importance).sum())
    ranked = [row.importance for row in golden.top(1000)]
    assert ranked == sorted(ranked, reverse=True)
    assert len(ranked) == n < len(golden)
    assert [row.importance for row in golden.bottom(1000)] == ranked[::-1]
    best, said = int(np.nanargmax(golden.importance)), golden.verdicts
    assert golden.top(1)[0] == (
        golden.segment(best), golden.importance[best], golden.std_error[best],
        said.lower[best], said.upper[best], said.verdict[best],
    )  # fmt: skip
    without = changed(golden, verdicts=None).top(1)[0]
    assert (without.lower, without.upper, without.verdict) == (None, None, None)
    for ranked in (golden.top, golden.bottom):
        assert ranked(0) == []
        for wrong in (-1, 2.5, "2"):
            with pytest.raises(InputError, match=f"k should be .* of at least 0, got {wrong!r}"):
                ranked(wrong)


def array_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(1))
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", array_file()])
def test_a_damaged_map_is_refused_by_name(tmp_path, content):
    (tmp_path / "map.npz").write_bytes(content)
    with pytest.raises(MapError, match="map.npz is not an importance map"):
        ImportanceMap.load(tmp_path / "map.npz")


def test_views_by_demonstration_and_by_frame(golden):
    frames = golden.per_frame()
    assert [len(own) for own in frames] == golden.dataset.lengths.tolist()
    for i in range(len(golden)):
        number, start, stop = golden.segment(i)
        np.testing.assert_array_equal(frames[number][start:stop], golden.importance[i])
    totals = golden.per_demonstration()
    for number, total in enumerate(totals):
        own = golden.importance[golden.segments.demonstration == number]
        np.testing.assert_array_equal(total, own.sum())
