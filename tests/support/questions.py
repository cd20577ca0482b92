"""The commands of the page of questions, and the lines of their output that the page shows."""

import re
from pathlib import Path

import pytest
from pages import without_numbers
from places import EXAMPLES
from typer.testing import CliRunner

from r2rise_service.cli import app

BLOCK = re.compile(r"```(sh|text)\n(.*?)```", flags=re.DOTALL)


def outputs(page: str, folder: Path) -> list[str]:
    """Run the commands of a page in a folder; return what each block of them prints."""
    (folder / "examples").symlink_to(EXAMPLES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TERM", "dumb")
        patch.setenv("R2RISE_CACHE", str(folder / "cache"))
        return [
            "".join(run(line) for line in text.splitlines())
            for language, text in BLOCK.findall(page)
            if language == "sh"
        ]


def run(command: str) -> str:
    """Run a command of R2RISE in this process; return what it prints."""
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
