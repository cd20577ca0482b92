"""How often the certificate says what, and that the documents state it as measured."""

import json

import certificate_check
import numpy as np
import pytest
from pages import PAGES

MEASURED = json.loads(certificate_check.RESULTS.read_text())
SIMULATED = {name: kinds for name, kinds in MEASURED.items() if name != "real"}


def test_the_committed_rates_are_within_their_limits():
    assert all(rates["certificates"] >= 200 for kinds in SIMULATED.values()
               for rates in kinds.values())  # fmt: skip
    for kinds in MEASURED.values():
        assert kinds["shuffled"]["pass"] <= 0.01
        assert kinds["bottom"]["top"] <= 0.05
    for kinds in SIMULATED.values():
        assert kinds["top"]["bottom"] <= 0.05
        assert kinds["top"]["top"] >= 0.8
    for name, kinds in MEASURED.items():
        if name != "pendulum":
            # a policy that is far from trained takes more repetitions
            enough = "true_40" if name.endswith("short") else "true"
            assert kinds[enough]["pass"] >= 0.9
            assert kinds["bottom"]["bottom"] >= 0.8


def test_where_the_bottom_is_all_the_same_a_true_map_is_right_at_the_top():
    assert MEASURED["pendulum"]["true"]["right_at_top"] >= 0.9


def test_the_table_of_the_method_states_the_measured_rates():
    assert certificate_check.table(MEASURED) in PAGES["method.md"]


@pytest.mark.parametrize("kind", certificate_check.KINDS)
def test_what_a_map_does_not_know_is_shuffled(kind):
    values = np.random.default_rng(0).normal(size=20)
    found = certificate_check.changed(values, kind, 3)
    assert sorted(found) == sorted(values)
    same = {"true": 20, "true_40": 20, "shuffled": 0, "bottom": 6, "lower_half": 10, "top": 6}[kind]
    order = np.argsort(-values if kind == "top" else values)
    assert (found[order[:same]] == values[order[:same]]).all()
    assert (found != values).sum() > (20 - same) / 2 or same == 20


def test_the_world_of_a_bank_gives_back_its_effects():
    generator = np.random.default_rng(1)
    masks = generator.random((40, 4)) < 0.5
    effects = np.array([3.0, -1.0, 0.5, 2.0])
    level, found, noise = certificate_check._least_squares(masks, 10 + (masks - 0.5) @ effects)
    assert level == pytest.approx(10)
    assert found == pytest.approx(effects)
    assert noise == pytest.approx(0, abs=1e-9)
