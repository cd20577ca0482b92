"""Tables that pandas and spreadsheets wrote from ours: the same demonstrations."""

import gzip
import logging
from importlib.util import find_spec

import numpy as np
import pytest
from needs import require
from places import ROOT

import r2rise
from r2rise.environments import Environment
from r2rise.errors import DemonstrationsError
from r2rise.evaluation.fit import fit
from r2rise.formats import read_demonstrations, write_demonstrations
from r2rise.study.specs import EnvironmentSpec

OURS = r2rise.Demonstrations.load(ROOT / "examples" / "cartpole.npz").select(
    keep=[r2rise.Segment(i, 0, 20) for i in range(2)]
)
KEYS = ("obs", "acts", "lengths", "rews", "terminal")

BY_PANDAS = {
    "as it is": ("a.csv", lambda table: table, {"index": False}),
    "with its index": ("a.csv", lambda table: table, {}),
    "whole numbers": ("a.csv", lambda table: table.convert_dtypes(), {"index": False}),
    "times as floats": ("a.csv", lambda table: table.astype({"time": float}), {"index": False}),
    "NaN for empty": ("a.csv", lambda table: table, {"index": False, "na_rep": "NaN"}),
    "for spreadsheets": (
        "a.csv", lambda table: table,
        {"index": False, "encoding": "utf-8-sig", "lineterminator": "\r\n"},
    ),
    "semicolons": ("a.csv", lambda table: table, {"index": False, "sep": ";"}),
    "tabs": ("a.tsv", lambda table: table, {"index": False, "sep": "\t"}),
    "compressed": ("a.csv.gz", lambda table: table, {"index": False}),
    "compressed, without a name": ("table", lambda table: table,
                                   {"index": False, "compression": "gzip", "sep": ";"}),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_PANDAS)
def test_a_table_that_pandas_read_and_wrote_is_the_same(case, tmp_path, caplog):
    require(find_spec("pandas") is not None, "pandas is not installed")
    import pandas

    name, change, options = BY_PANDAS[case]
    write_demonstrations(OURS, tmp_path / "ours.csv")
    change(pandas.read_csv(tmp_path / "ours.csv")).to_csv(tmp_path / name, **options)
    with caplog.at_level(logging.WARNING):
        found = read_demonstrations(tmp_path / name)
    fitted, notices = fit(found, Environment(EnvironmentSpec(id="CartPole-v1")))
    for key in KEYS:
        assert np.array_equal(getattr(fitted, key), getattr(OURS, key)), key
    assert fitted.acts.dtype == np.int64
    is_whole = case == "whole numbers"
    assert [notice.code for notice in notices] == ["converted_to_space"] * (not is_whole)
    assert len(caplog.messages) == (case == "with its index")
    assert all("without a name (an index?) are not read" in text for text in caplog.messages)


def test_names_of_demonstrations_are_numbered_and_said_to_be(tmp_path, caplog):
    (tmp_path / "a.csv").write_text(
        "demonstration,obs,act\nrun_3,1,0\nrun_3,2,\nrun_1,3,1\nrun_1,4,\n"
    )
    found = read_demonstrations(tmp_path / "a.csv")
    assert found.obs.tolist() == [1, 2, 3, 4]
    assert "numbered from 0 in the order of the file; their names in the file (run_3, " in (
        caplog.text
    )


def test_compressed_tables_that_are_cut_off_or_none(tmp_path):
    write_demonstrations(OURS, tmp_path / "ours.csv")
    whole = gzip.compress((tmp_path / "ours.csv").read_bytes())
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DemonstrationsError, match=r"Cannot read .*cut.csv.gz"):
        read_demonstrations(tmp_path / "cut.csv.gz")
    for name, content in {
        "text.gz": gzip.compress(b"hello"),
        "damaged.gz": b"\x1f\x8bhello",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DemonstrationsError, match="none of the known formats"):
            read_demonstrations(tmp_path / name)


def test_segments_of_a_spreadsheet(tmp_path):
    from r2rise.data.segments import read_boundaries

    text = "demonstration,start,stop\n0,0,20\n1,0,20\n"
    (tmp_path / "segments.csv").write_text(text, encoding="utf-8-sig")
    assert read_boundaries(tmp_path / "segments.csv") == ((0,), (0,))
