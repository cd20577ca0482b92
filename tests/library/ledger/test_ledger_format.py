"""The golden ledger, and what is done about ledgers of other formats."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from make_golden_ledger import DEMONSTRATIONS, GOLDEN, N_SAVED, STUDY
from typer.testing import CliRunner

import r2rise
from r2rise import Demonstrations, Ledger, Study
from r2rise.errors import LedgerError
from r2rise.ledger.format import FORMAT
from r2rise.ledger.journal import open_ledger
from r2rise.ledger.ledger import WORK_SO_FAR, LedgerHeader, journal_path, read_header
from r2rise.ledger.record import Record
from r2rise.study.hashing import HASH_VERSION, json_hash
from r2rise_service.cli import app

KINDS = ("random_policy", "baseline", "design")


def plain(ledger: Ledger) -> list[dict]:
    return [record.to_json() for kind in KINDS for record in ledger.records(kind)]


@pytest.fixture
def golden(tmp_path) -> Path:
    """A copy of the golden ledger and its journal."""
    for file in GOLDEN.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / "ledger.npz"


def rewritten(path: Path, **fields: object) -> Path:
    """The ledger file with other fields in its header; those that are None are left out."""
    with np.load(path) as arrays:
        found = dict(arrays)
    header = json.loads(str(found["meta"])) | fields
    found["meta"] = np.array(json.dumps({k: v for k, v in header.items() if v is not None}))
    np.savez_compressed(path, **found)
    return path


def test_the_golden_ledger_is_read_with_its_journal(golden):
    with np.load(golden) as arrays:
        assert len(arrays["index"]) == N_SAVED
    ledger = Ledger.load(golden)
    assert [len(ledger.records(kind)) for kind in KINDS] == [1, 2, 32]
    assert (ledger.elapsed, ledger.work_seconds) == ({0: 7.5}, 7.5)
    study = Study.load(GOLDEN / "study.yaml")
    assert ledger.header == LedgerHeader(ledger.header.design, (40, 40), 8)
    assert ledger.header.design_hash == study.design_hash
    found = r2rise.importance_map(ledger, study)
    pinned = json.loads((GOLDEN / "importance.json").read_text())
    np.testing.assert_allclose(found.importance, pinned, rtol=1e-9)


def test_what_the_golden_ledger_holds_is_what_is_written_today(golden, tmp_path):
    again = tmp_path / "again.npz"
    whole = Ledger.load(golden)
    whole.save(again)
    assert plain(Ledger.load(again)) == plain(whole)
    with np.load(again) as ours, np.load(golden) as theirs:
        raise_number = "say so by a higher FORMAT, and write its golden ledger"
        assert set(ours.files) == set(theirs.files), raise_number
        kinds = {name: (ours[name].dtype.kind, ours[name].ndim) for name in ours.files}
        assert kinds == {n: (theirs[n].dtype.kind, theirs[n].ndim) for n in theirs}, raise_number
        assert str(ours["meta"]) == str(theirs["meta"])
    lines = [json.loads(line) for line in journal_path(golden).read_text().splitlines()[:-1]]
    assert lines[0] == whole.header.to_json()
    assert set(lines[1]) == set(plain(whole)[0]), raise_number
    with open_ledger(tmp_path / "new.npz", whole.header) as book:
        book.append((Record.from_json(line) for line in lines[1:-1]), work_seconds=7.5)
        written = journal_path(tmp_path / "new.npz").read_text()
    worked = {"block": WORK_SO_FAR, "elapsed": 7.5}
    assert [json.loads(line) for line in written.splitlines()] == [lines[0], worked, *lines[1:-1]]
    assert lines[-1] == {"block": 0, "elapsed": 7.5}, raise_number


def test_the_golden_ledger_is_extended_by_its_own_study(golden):
    before = plain(Ledger.load(golden))
    demonstrations = Demonstrations.load(DEMONSTRATIONS)
    study = STUDY.model_copy(
        update={"budget": r2rise.Budget(retrainings=64, baseline_retrainings=2)}
    )
    found = r2rise.explain(demonstrations, study, ledger=golden)
    assert found.retrainings.done == 64
    after = Ledger.load(golden)
    assert not journal_path(golden).exists()
    assert [record for record in plain(after) if record["index"] < 32] == before
    assert len(after) == len(before) + 32


def test_a_golden_hash_is_the_hash_of_what_is_written(golden):
    with np.load(golden) as arrays:
        header = json.loads(str(arrays["meta"]))
    assert header["design_hash"] == json_hash(header["design"])
    assert (header["format"], header["hash_version"]) == (FORMAT, HASH_VERSION)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"format": "r2rise.ledger/2"},
            r"got 'r2rise.ledger/2'\. A newer r2rise wrote it: upgrade",
        ),
        ({"format": "r2rise.ledger/x"}, r"got 'r2rise.ledger/x'\. It is not a ledger"),
        ({"format": "other.ledger/1"}, r"got 'other.ledger/1'\. It is not a ledger"),
        ({"format": None}, r"expected a ledger of format 'r2rise.ledger/1', got None\."),
        ({"hash_version": 2}, r"expected a design hashed by version 1, got 2\. .* upgrade r2rise"),
    ],
)
def test_another_format_is_refused_and_left_as_it_is(golden, fields, words):
    header = Ledger.load(golden).header
    journal_path(golden).unlink()
    before = rewritten(golden, **fields).read_bytes()
    for read in (Ledger.load, read_header, lambda path: open_ledger(path, header).__enter__()):
        with pytest.raises(LedgerError, match=words) as caught:
            read(golden)
        assert str(caught.value).startswith(f"{golden} cannot be read: ")
    assert golden.read_bytes() == before


@pytest.mark.parametrize("fields", [{"format": "r2rise.ledger/2"}, {"hash_version": 2}])
@pytest.mark.parametrize("beside", [True, False])
def test_so_is_a_journal(golden, fields, beside):
    header, journal = Ledger.load(golden).header, journal_path(golden)
    first, *lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([json.dumps(json.loads(first) | fields), "\n", *lines]))
    if not beside:
        golden.unlink()
    before = journal.read_bytes()
    for read in (Ledger.load, lambda path: open_ledger(path, header).__enter__()):
        with pytest.raises(LedgerError, match="upgrade r2rise") as caught:
            read(golden)
        assert str(caught.value).startswith(f"{journal} cannot be read: ")
    assert journal.read_bytes() == before


@pytest.mark.parametrize("first", ["[]", "3", "null", '{"kind": "design"}'])
def test_a_journal_that_begins_otherwise_is_refused(tmp_path, first):
    journal_path(tmp_path / "ledger.npz").write_text(f"{first}\n")
    with pytest.raises(LedgerError, match=r"ledger.npz.journal cannot be read.* got None"):
        Ledger.load(tmp_path / "ledger.npz")


def test_files_of_other_kinds_are_no_ledgers(tmp_path):
    path = tmp_path / "ledger.npz"
    shutil.copy(DEMONSTRATIONS, path)
    with pytest.raises(LedgerError, match="ledger.npz (cannot be read|is not a ledger)"):
        Ledger.load(path)


def test_ledgers_of_before_the_hash_had_a_version_are_read(golden):
    whole = plain(Ledger.load(golden))
    rewritten(golden, hash_version=None)
    assert plain(Ledger.load(golden)) == whole


def test_the_command_line_says_what_to_do(golden):
    rewritten(golden, format="r2rise.ledger/2")
    command = f"explain {DEMONSTRATIONS} --env CartPole-v1 --out {golden.parent / 'out'}"
    result = CliRunner().invoke(app, [*command.split(), "--ledger", str(golden)])
    assert result.exit_code == 1
    assert "A newer r2rise wrote it: upgrade r2rise, or choose another file." in result.stderr
