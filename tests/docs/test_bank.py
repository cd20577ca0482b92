"""Intervals, verdicts and reliability on blocks of real retrainings, and in simulated worlds."""

import json

import bank_check
import blocks
import negligible_check
import pytest
import seeds_per_block
import worlds_check
from places import ROOT

WIDEST = {2: 1.6, 3: 1.3, 6: 1.2}
"""Half widths over 1.96 true standard errors."""

BANKED = [name for name in blocks.CASES if (blocks.DATA / f"blocks_{name}.npz").exists()]


def check_bank(name: str, size: int) -> None:
    found = bank_check.check(blocks.load(name), size)
    assert found.coverage_high >= 0.93
    assert found.coverage_low <= 0.98
    assert found.n_segments_below == 0
    assert found.largest >= 0.9
    assert found.width <= WIDEST[size]
    assert found.withheld == 0.0
    assert found.wrong <= 0.05
    assert found.reliability <= found.between + 0.05
    # 25 segments of which few differ: what two or three blocks say of them is understated
    assert found.reliability >= found.between - (0.2 if name == "pendulum" else 0.05)
    if (name, size) == ("cartpole-0", 3):
        assert found.verdicts >= 20


def test_the_bank_is_there():
    assert list(blocks.CASES) == BANKED


def test_the_table_of_the_method_is_the_benchmarks_result():
    known = json.loads(bank_check.RESULTS.read_text())
    assert list(known) == list(blocks.CASES)
    method = (ROOT / "docs" / "method.md").read_text()
    for row in bank_check.table(known):
        assert row in method


@pytest.mark.parametrize("benchmark", [negligible_check, seeds_per_block, worlds_check])
def test_the_other_tables_are_their_benchmarks_results(benchmark):
    known = json.loads(benchmark.RESULTS.read_text())
    method = (ROOT / "docs" / "method.md").read_text()
    rows = list(benchmark.table(known["worlds"] if benchmark is worlds_check else known))
    assert rows
    for row in rows:
        assert row in method


def test_nothing_decisive_is_called_negligible():
    """What is kept of 42 studies; two sizes again, one of which withholds its verdicts."""
    known = json.loads(negligible_check.RESULTS.read_text())
    rows = [*known["sizes"], known["three_errors"]]
    assert sum(row["n_decisive"] for row in rows) >= 300
    assert all(row["called_negligible"] == 0 for row in rows)
    assert known["three_errors"]["zeros_negligible"] >= known["three_errors"]["n_zeros"] / 2
    for size in (negligible_check.Size(50, 128, "pair"), negligible_check.Size(200, 128)):
        found = negligible_check.check(size, 2)
        assert found.called_negligible == 0
        assert found.called_helpful == (20 if size.training_seeds == "pair" else 0)


def test_three_blocks_of_trained_policies():
    check_bank("cartpole-0", 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", BANKED)
@pytest.mark.parametrize("size", bank_check.SIZES)
def test_every_case_of_the_bank(name, size):
    check_bank(name, size)


@pytest.mark.slow
def test_one_block_of_pairs_covers_other_seeds_and_episodes():
    """At 10 epochs, where much hangs on both: 90 % where all pairs share their episodes."""
    found = seeds_per_block.check("cartpole-0-short", 64, 30)
    assert 0.93 <= found["coverage"] <= 0.98
    assert found["128"] >= 0.8


def check_world(name: str, n_blocks: int, n_studies: int) -> None:
    found = worlds_check.check(worlds_check.WORLDS[name](), n_blocks, n_studies)
    if found.coverage is None:
        assert found.verdicts is None
        return
    assert found.false_discoveries <= 0.06
    assert found.coverage >= 0.93


@pytest.mark.parametrize("name", ["4 of 8 null segments, sd 12 over seeds", "unequal lengths"])
def test_false_discoveries_where_effects_are_not_alike(name):
    check_world(name, 3, 100)


@pytest.mark.slow
@pytest.mark.parametrize("name", worlds_check.WORLDS)
@pytest.mark.parametrize("n_blocks", worlds_check.SIZES)
def test_false_discoveries_in_every_world(name, n_blocks):
    check_world(name, n_blocks, 200)


@pytest.mark.slow
@pytest.mark.parametrize("n_blocks", worlds_check.SIZES)
def test_noise_is_hardly_ever_called_reliable(n_blocks):
    found = worlds_check.check(worlds_check.WORLDS["nothing matters"](), n_blocks, 200)
    assert found.called_reliable <= 0.25
