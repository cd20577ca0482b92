import csv
import io
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from r2rise import ImportanceMap, compare
from r2rise.errors import MapError
from r2rise.importance import CSV_COLUMNS

GOLDEN = Path(__file__).parent / "data" / "importance_map-1.1.json"
SCHEMA = Path(__file__).parent.parent / "docs" / "importance_map.schema.json"


@pytest.fixture
def golden() -> ImportanceMap:
    return ImportanceMap.load(GOLDEN)


def changed(golden: ImportanceMap, **fields) -> ImportanceMap:
    return golden.model_copy(update=fields)


def test_the_golden_file_loads_and_is_written_back_the_same(golden):
    assert golden.to_json() == GOLDEN.read_text()


def test_the_committed_schema_is_the_models_and_accepts_the_golden_file():
    schema = json.loads(SCHEMA.read_text())
    assert schema == ImportanceMap.model_json_schema(by_alias=True, mode="serialization")
    jsonschema.validate(json.loads(GOLDEN.read_text()), schema)


def test_null_in_json_is_nan_in_python(golden):
    fields = json.loads(GOLDEN.read_text())
    missing = [i for i, value in enumerate(fields["importance"]) if value is None]
    assert missing
    assert np.flatnonzero(np.isnan(golden.importance)).tolist() == missing
    assert "NaN" not in GOLDEN.read_text()


def test_fields_of_later_minor_versions_are_ignored():
    fields = json.loads(GOLDEN.read_text())
    fields["schema_version"] = "1.7"
    fields["of_a_later_version"] = ["new"]
    fields["study"]["stopping"] = {"reliability": 0.9}
    assert ImportanceMap.from_json(json.dumps(fields)).revision == fields["revision"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "expected JSON"),
        ("[]", '"schema": "r2rise.importance_map"'),
        ('{"schema": "other"}', '"schema": "r2rise.importance_map"'),
        ('{"schema": "r2rise.importance_map", "schema_version": "2.0"}', "upgrade r2rise"),
        ('{"schema": "r2rise.importance_map", "schema_version": "1.0"}', "revision: is missing"),
    ],
)
def test_something_else_is_refused(text, reason):
    with pytest.raises(MapError, match=reason):
        ImportanceMap.from_json(text)


@pytest.mark.parametrize("name", ["map.json", "map.npz"])
def test_what_is_saved_is_loaded(golden, tmp_path, name):
    golden.save(tmp_path / name)
    assert ImportanceMap.load(tmp_path / name).to_json() == golden.to_json()


def test_csv_has_a_row_per_segment_and_empty_cells_for_what_was_not_estimated(golden):
    rows = list(csv.DictReader(io.StringIO(golden.to_csv())))
    assert tuple(rows[0]) == CSV_COLUMNS
    for i, row in enumerate(rows):
        place = tuple(int(row[name]) for name in ("demonstration", "start", "stop"))
        assert place == golden.segment(i)
        value = golden.importance[i]
        assert row["importance"] == ("" if np.isnan(value) else repr(float(value)))


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
    with pytest.raises(MapError, match="saved as .json, .csv, .npz or .png"):
        golden.save(tmp_path / "map.jpeg")
    with pytest.raises(MapError, match="Cannot read the importance map"):
        ImportanceMap.load(tmp_path / "nothing.json")


def test_top_and_bottom_leave_out_what_was_not_estimated(golden):
    n = int(np.isfinite(golden.importance).sum())
    ranked = [row.importance for row in golden.top(1000)]
    assert ranked == sorted(ranked, reverse=True)
    assert len(ranked) == n < len(golden)
    assert [row.importance for row in golden.bottom(1000)] == ranked[::-1]
    best = int(np.nanargmax(golden.importance))
    assert golden.top(1)[0] == (golden.segment(best), golden.importance[best],
                                golden.std_error[best])  # fmt: skip


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


def test_a_map_compared_with_itself_and_with_its_opposite(golden):
    n = int(np.isfinite(golden.importance).sum())
    same = compare(golden, golden, k=3)
    assert (same.spearman, same.top_overlap) == (1.0, 1.0)
    assert same.kendall == pytest.approx(1.0)
    assert same.n_segments == n
    opposite = compare(golden, changed(golden, importance=-golden.importance), k=3)
    assert opposite.spearman == -1.0
    assert opposite.kendall == pytest.approx(-1.0)
    assert opposite.top_overlap == 0.0
    assert opposite.top_overlap_by_chance == 3 / n


def test_a_constant_map_has_no_rank_correlation(golden):
    constant = changed(golden, importance=np.ones(len(golden)))
    assert compare(golden, constant).spearman is None


def test_maps_of_other_demonstrations_or_segments_are_not_compared(golden):
    other = golden.dataset.model_copy(update={"sha256": "sha256:0"})
    with pytest.raises(MapError, match="different demonstrations"):
        compare(golden, changed(golden, dataset=other))
    table = golden.segments.model_copy(update={"stop": golden.segments.stop - 1})
    with pytest.raises(MapError, match="different segments"):
        compare(golden, changed(golden, segments=table))
