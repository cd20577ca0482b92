"""Error rates of the answers in simulated worlds, and that the documents state them as measured."""

import json
import re

import answers_check
import pytest
from pages import PAGES

MEASURED = json.loads(answers_check.RESULTS.read_text())
VERDICTS = [
    "verdicts, 192 retrainings",
    "stopped at reliability 0.9",
    "stopped when all verdicts are resolved",
]
NOTHING = ["no segment has an effect", "all segments equal and helpful"]


def check_rates(found: dict[str, dict[str, float]]) -> None:
    for case in VERDICTS:
        rates = found[case]
        assert rates["false_discoveries"] <= 0.05
        assert rates["wrong_signs"] <= 0.01
        assert rates["negligible_wrongly"] <= 0.05
        assert 0.93 <= rates["coverage"] <= 0.97
    assert 0.7 <= found["planner"]["inside"] <= 0.9
    curation = found["curation"]
    assert abs(curation["bias_of_confirmation"]) <= 3 * curation["bias_of_confirmation_std_error"]
    assert curation["bias_of_choice"] > 3 * curation["bias_of_choice_std_error"]
    assert 0.92 <= curation["covered"] <= 0.98
    true = found["certificate, true maps"]
    assert true["passed"] >= 0.75
    assert true["passed"] + true["right_at_one_end"] >= 0.95
    assert found["certificate, shuffled maps"]["passed"] <= 0.005
    for case in NOTHING:
        assert all(found[case][answer] >= 0.9 for answer in ("explain", "certify", "curate"))


def test_the_committed_rates_are_within_their_limits():
    assert all(MEASURED[case]["studies"] >= 500 for case in VERDICTS)
    assert all(MEASURED[case]["studies"] >= 200 for case in NOTHING)
    check_rates(MEASURED)


@pytest.mark.slow
def test_rates_measured_again_are_within_their_limits():
    check_rates(answers_check.check(200, 200, processes=2))


def test_the_table_of_the_method_states_the_measured_rates():
    plain, reliable, resolved = (MEASURED[case] for case in VERDICTS)
    curation, none, equal = MEASURED["curation"], MEASURED[NOTHING[0]], MEASURED[NOTHING[1]]
    answers = ("explain", "certify", "curate")
    wanted = [
        f"{plain['false_discoveries']:.1%}",
        f"{reliable['false_discoveries']:.1%} / {resolved['false_discoveries']:.1%}",
        f"{plain['wrong_signs']:.2%}",
        f"{resolved['negligible_wrongly']:.1%}",
        f"{plain['coverage']:.1%} / {reliable['coverage']:.1%} / {resolved['coverage']:.1%}",
        f"{reliable['reliability_stated']:.2f} / {reliable['reliability_true']:.2f}",
        f"{MEASURED['planner']['inside']:.0%}",
        f"{curation['bias_of_confirmation']:.2f} +- "
        f"{curation['bias_of_confirmation_std_error']:.2f} / {curation['covered']:.1%}",
        "% / ".join(f"{100 * none[answer]:.1f}" for answer in answers)
        + "% and "
        + "% / ".join(f"{100 * equal[answer]:.1f}" for answer in answers)
        + "%",
    ]
    table = PAGES["method.md"].partition("500 studies for each line:")[2]
    rows = re.findall(r"^\|[^|]+\|[^|]*\|([^|]+)\|$", table, flags=re.MULTILINE)[2:]
    assert [row.strip() for row in rows] == wanted
