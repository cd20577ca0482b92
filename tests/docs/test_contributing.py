"""The table of common changes in CONTRIBUTING.md names the files that hold what a change adds."""

import re
from pathlib import Path

import pytest
from places import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
ROWS = {
    cells[2].split("`")[1]: set(re.findall(r"`([\w./]+/[\w./]+|pyproject\.toml)`", cells[1]))
    for line in PAGE.split("## Ten common changes")[1].split("##")[0].splitlines()
    if len(cells := line.strip("|").split("|")) == 3 and "`" in line
}
CODE = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for folder in ("r2rise", "service", "envs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".j2")
} | {"pyproject.toml": (ROOT / "pyproject.toml").read_text()}

MENTIONS = {
    "rise_normalized": r"rise_normalized",
    "balanced": r"\bBalanced\b|\"balanced\"",
    "sqil": r"\bsqil\b",
    "envpool": r"\"envpool\"|^envpool = |pool\.refusal",
    "csv": r"\bcsv_table\b|\"csv\"|: csv cannot hold",
    "transfer": r"\bTransfer\b|\bTRANSFER\b|def transfer\(|figure\(\"transfer\"\)",
    "verdicts": r"until\.verdicts|^    verdicts: bool|\"verdicts\": True",
    "priority": r"[(\s]-(\w+\.)?priority\b|order_key",
    "frame_stack": r"\bframe_stack\b",
    "training": r"draw_training\b|figure\(\"training\"\)",
}
"""What finds an example in code."""

NEW = {
    "rise_normalized": ["r2rise/statistics/estimators/rise.py"],
    "sqil": ["r2rise/algorithms/sqil.py"],
    "envpool": ["r2rise/evaluation/pool.py"],
    "csv": ["r2rise/formats/csv_table.py"],
    "transfer": [
        "r2rise/results/transfer.py", "r2rise/ask/transfer.py",
        "r2rise/report/figures/transfer.py", "service/r2rise_service/cli/local/transfer.py",
    ],
    "training": ["r2rise/report/figures/training.py"],
}  # fmt: skip
"""The files of an example that were new."""

USES = {
    "balanced": [  # what `auto` falls back to; the masks of the training check
        "r2rise/design/choice.py", "r2rise/ask/check_training.py",
    ],
    "transfer": [
        "r2rise/report/tables.py",  # its row in the report counts passes
        "service/r2rise_service/client/results.py",  # the convenience `job.transfer()`
    ],
    "verdicts": [  # a plan predicts when this goal is reached
        "r2rise/ask/proposal.py", "r2rise/results/plan.py", "r2rise/run/resolve.py",
        "service/r2rise_service/cli/local/plan.py",
    ],
    "frame_stack": [
        "r2rise/data/demonstrations.py",
        "r2rise/design/choice.py",
        "r2rise/run/retraining.py",
    ],
}  # fmt: skip
"""Files that use an example but need no change for another."""


def test_there_are_ten_changes():
    assert list(ROWS) == list(MENTIONS)


@pytest.mark.parametrize("example", MENTIONS)
def test_all_files_that_an_example_stands_in_are_listed(example):
    pattern = re.compile(MENTIONS[example], re.MULTILINE)
    mentioning = {path for path, text in CODE.items() if pattern.search(text)}
    others = {*NEW.get(example, ()), *USES.get(example, ())}
    assert mentioning <= ROWS[example] | others
    assert others <= mentioning


@pytest.mark.parametrize("example", MENTIONS)
def test_the_files_of_the_table_exist(example):
    new = {path for path in ROWS[example] if Path(path).stem == "NEW"}
    assert {Path(path).parent for path in new} == {
        Path(path).parent for path in NEW.get(example, ())
    }
    assert ROWS[example] - new <= CODE.keys()


def test_a_change_touches_few_files():
    n_files = [len(files) for files in ROWS.values()]
    optional, unlisted = 1, 1  # pyproject.toml of a backend; the file that uses a new field
    assert sum(n_files) - optional + unlisted <= 3.6 * len(n_files)
    assert max(n_files) <= 11
