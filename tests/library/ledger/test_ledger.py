import json

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from r2rise.design.tasks import pack_mask
from r2rise.errors import LedgerError
from r2rise.ledger.journal import open_ledger
from r2rise.ledger.ledger import Ledger, LedgerHeader, journal_path
from r2rise.ledger.record import Record

N_SEGMENTS = 11
HEADER = LedgerHeader(
    {"seed": 0, "masking": {"design": "foldover", "block_size": 32}}, (40, 40), N_SEGMENTS
)

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
RECORDS = st.builds(
    lambda kind, index, mask, seeds, amount, returns, failed, reason: Record(
        kind, index, pack_mask(np.array(mask)), *seeds, amount,
        np.zeros(0) if failed else np.array(returns),
        "failed" if failed else "ok", reason if failed else "", 0.25, 2,
    ),
    st.sampled_from(["design", "baseline", "random_policy"]), st.integers(0, 2**40),
    st.lists(st.booleans(), min_size=N_SEGMENTS, max_size=N_SEGMENTS),
    st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)),
    st.integers(0, 2**40), st.lists(FLOATS, min_size=1),
    st.booleans(), st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
)  # fmt: skip


def plain(ledger: Ledger) -> list[dict]:
    kinds = ("design", "baseline", "random_policy")
    return [record.to_json() for kind in kinds for record in ledger.records(kind)]


def record(index: int, value: float = 1.5) -> Record:
    mask = np.arange(N_SEGMENTS) % 2 == 0
    return Record("design", index, pack_mask(mask), 1, 2, 0, np.array([value, 0.1 + 0.2]))


@given(st.lists(RECORDS, max_size=8))
def test_what_is_saved_is_loaded(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("ledger") / "ledger.npz"
    ledger = Ledger(HEADER, records)
    ledger.save(path)
    again = Ledger.load(path)
    assert again.header == HEADER
    assert plain(again) == plain(ledger)


@given(st.lists(RECORDS, min_size=1, max_size=8))
def test_what_is_appended_is_on_disk_before_the_file_is_closed(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("ledger") / "ledger.npz"
    with open_ledger(path, HEADER) as book:
        for one in records:
            book.append([one])
        assert plain(Ledger.load(path)) == plain(Ledger(HEADER, records))
    assert not journal_path(path).exists()
    assert plain(Ledger.load(path)) == plain(Ledger(HEADER, records))


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_cut_off_in_the_middle_is_dropped(tmp_path, cut):
    path = tmp_path / "ledger.npz"
    lines = [HEADER.to_json(), record(0).to_json(), record(1).to_json()]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    journal_path(path).write_text(text[:-cut])
    with open_ledger(path, HEADER) as book:
        assert [r.index for r in book.ledger.records("design")] == [0]
        book.append([record(7)])
    assert [r.index for r in Ledger.load(path).records("design")] == [0, 7]


def test_a_crash_between_writing_the_file_and_removing_the_journal_loses_nothing(tmp_path):
    path = tmp_path / "ledger.npz"
    Ledger(HEADER, [record(0), record(1)]).save(path)
    lines = [HEADER.to_json(), record(1).to_json(), record(2).to_json()]
    journal_path(path).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [r.index for r in Ledger.load(path).records("design")] == [0, 1, 2]


def test_a_journal_damaged_in_the_middle_is_refused(tmp_path):
    path = tmp_path / "ledger.npz"
    journal_path(path).write_text(json.dumps(HEADER.to_json()) + "\n{damaged\n{}\n")
    with pytest.raises(LedgerError, match="journal .* is damaged"):
        Ledger.load(path)


def test_something_else_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(LedgerError, match="not a ledger"):
        Ledger.load(tmp_path / "a.npz")
    with pytest.raises(LedgerError, match="There is no ledger"):
        Ledger.load(tmp_path / "b.npz")


def test_another_design_is_refused_with_the_difference_named(tmp_path):
    path = tmp_path / "ledger.npz"
    with open_ledger(path, HEADER) as book:
        book.append([record(0)])
    other = LedgerHeader(
        {"seed": 1, "masking": {"design": "balanced", "block_size": 32}}, (40, 40), N_SEGMENTS
    )
    with pytest.raises(LedgerError) as caught, open_ledger(path, other):
        pass
    assert "masking.design: the ledger has 'foldover', but this study has 'balanced'" in str(
        caught.value
    )
    assert "seed: the ledger has 0, but this study has 1" in str(caught.value)
    assert "block_size" not in str(caught.value)


def test_two_writers_are_refused(tmp_path):
    path = tmp_path / "ledger.npz"
    with (
        FileLock(tmp_path / "ledger.npz.lock"),
        pytest.raises(LedgerError, match="Another process"),
        open_ledger(path, HEADER),
    ):
        pass


def test_a_later_record_takes_the_place_of_an_earlier(tmp_path):
    path = tmp_path / "ledger.npz"
    with open_ledger(path, HEADER) as book:
        book.append([record(0, 1.0)])
        book.append([record(0, 2.0)])
    assert Ledger.load(path).get(record(0)).returns.tolist() == [2.0, 0.1 + 0.2]


def test_a_hundred_thousand_masks_of_two_thousand_segments_stay_packed():
    header = LedgerHeader({}, (20_000,), 2000)
    packed = pack_mask(np.ones(2000, bool))
    assert len(packed) == 250
    ledger = Ledger(header, (Record("design", i, packed, 0, 0, 0, np.ones(1)) for i in range(1000)))
    assert all(r.packed_mask is packed for r in ledger.records("design"))
