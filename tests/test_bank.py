"""Intervals, verdicts and reliability on blocks of real retrainings, and in simulated worlds."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))

import bank_check
import blocks
import worlds_check

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
    assert abs(found.reliability - found.between) <= 0.05
    if (name, size) == ("cartpole-0", 3):
        assert found.verdicts >= 20


def test_the_bank_is_there():
    assert list(blocks.CASES) == BANKED


def test_three_blocks_of_trained_policies():
    check_bank("cartpole-0", 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", BANKED)
@pytest.mark.parametrize("size", bank_check.SIZES)
def test_every_case_of_the_bank(name, size):
    check_bank(name, size)


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
