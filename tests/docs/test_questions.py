"""The page of questions is run from start to end; what it shows is what comes out."""

import re

import pytest
from pages import PAGES, blocks, without_numbers
from places import ROOT
from typer.testing import CliRunner

from r2rise_service.cli import app

PAGE = PAGES["questions.md"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> str:
    """Everything that the commands of the page print, in their order."""
    folder = tmp_path_factory.mktemp("questions")
    (folder / "examples").symlink_to(ROOT / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TERM", "dumb")
        patch.setenv("R2RISE_CACHE", str(folder / "cache"))
        found = [run(line) for block in blocks(PAGE, "sh") for line in block.splitlines()]
        assert (folder / "better.npz").exists()
        assert (folder / "out" / "report.html").stat().st_size > 50_000
    return "".join(found)


def run(command: str) -> str:
    name, *words = command.split()
    assert name == "r2rise"
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def bare(text: str) -> str:
    """Text without numbers, table lines and breaks, which follow from how long numbers are."""
    return re.sub(r"[\s│]+", " ", without_numbers(text)).strip()


def without_verdict(line: str) -> str:
    """A line without its verdict, which another machine may see differently."""
    return re.sub(r" (helps|hurts|negligible|unresolved)$", "", line)


LINES = [line for block in blocks(PAGE, "text") for line in block.splitlines()]


@pytest.mark.slow
def test_the_page_shows_what_the_commands_print(printed):
    known = bare(printed)
    missing = [line for line in LINES if without_verdict(bare(line)) not in known]
    assert not missing


def test_the_page_runs_every_command_that_answers():
    commands = {line.split()[1] for block in blocks(PAGE, "sh") for line in block.splitlines()}
    assert commands == {
        "check-training", "plan", "explain", "certify", "curate", "compare", "transfer", "report",
    }  # fmt: skip
