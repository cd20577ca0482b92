"""Seconds of work: noted with the records that make a block complete, and kept with them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from six_segments import SIZE, by_hand, resolved

from r2rise import Ledger
from r2rise.ledger.journal import open_ledger
from r2rise.ledger.ledger import WORK_SO_FAR, journal_path

WHOLE = by_hand(resolved(), n_blocks=3)
DESIGN = WHOLE.records("design")


@given(st.permutations(range(6)))
def test_a_block_is_complete_with_the_last_of_its_records_and_of_those_before(order):
    """Shards of half a block come in any order, the n-th after n seconds."""
    ledger = Ledger(WHOLE.header)
    for second, shard in enumerate(order):
        records = DESIGN[shard * SIZE // 2 : (shard + 1) * SIZE // 2]
        times = ledger.add(records, work_seconds=float(second))
        assert times.pop(WORK_SO_FAR) == second
        assert times == {b: t for b, t in ledger.elapsed.items() if t == second}
    came = [order.index(shard) for shard in range(6)]
    assert ledger.elapsed == {block: max(came[: 2 * block + 2]) for block in range(3)}
    assert ledger.work_seconds == 5.0


def test_what_came_without_a_time_gets_none_later():
    ledger = Ledger(WHOLE.header, DESIGN[:SIZE])
    assert ledger.add(DESIGN[SIZE : SIZE + 3]) == {}
    assert ledger.add(DESIGN[SIZE + 3 : 2 * SIZE], work_seconds=4.0) == {WORK_SO_FAR: 4.0, 1: 4.0}
    assert ledger.add(DESIGN[:3], work_seconds=5.0) == {
        WORK_SO_FAR: 5.0
    }  # again, as after a failure
    assert (ledger.elapsed, ledger.work_seconds) == ({1: 4.0}, 5.0)


def test_times_survive_the_journal_and_the_file(tmp_path):
    path, seconds = tmp_path / "ledger.npz", 0.1 + 0.2
    with open_ledger(path, WHOLE.header) as book:
        book.append(DESIGN[:SIZE], work_seconds=seconds)
        book.append(DESIGN[SIZE : SIZE + 5], work_seconds=1.5)
        assert Ledger.load(path).elapsed == {0: seconds}
        assert Ledger.load(path).work_seconds == 1.5
    assert not journal_path(path).exists()
    with open_ledger(path, WHOLE.header) as book:
        book.append(DESIGN[SIZE + 5 :], work_seconds=7.0)
    again = Ledger.load(path)
    assert (again.elapsed, again.work_seconds) == ({0: seconds, 1: 7.0, 2: 7.0}, 7.0)
    again.save(tmp_path / "copy.npz")
    assert Ledger.load(tmp_path / "copy.npz").elapsed == again.elapsed


@pytest.mark.parametrize("lost", range(1, SIZE + 1))
def test_a_block_that_is_complete_has_its_time_wherever_the_journal_was_cut_off(tmp_path, lost):
    path = tmp_path / "ledger.npz"
    with open_ledger(path, WHOLE.header) as book:
        book.append(DESIGN[:SIZE], work_seconds=2.0)
        lines = journal_path(path).read_bytes().splitlines(keepends=True)
    path.unlink()
    journal_path(path).write_bytes(b"".join(lines[:-lost]))
    with open_ledger(path, WHOLE.header) as book:
        assert len(book.ledger) == SIZE - lost
        book.append(DESIGN[SIZE - lost : SIZE], work_seconds=3.0)
    assert Ledger.load(path).elapsed == {0: 3.0}
