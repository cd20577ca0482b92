"""Write again what is generated in the documentation: pictures, printed output, pages, schemas.

    python tests/support/regenerate_docs.py

Tables of measurements are written from the stored results of the benchmarks; nothing is measured.
A line of `docs/questions.md` that its command does not print any more is named, and stays.
"""

import difflib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

from make_golden import write_schemas
from pages import DOCS, PAGES, programs
from places import ROOT, child_environment
from questions import BLOCK, bare, outputs, run, without_verdict

import r2rise
from r2rise_envs.planted import planted

QUESTIONS = DOCS / "questions.md"
IMAGES = DOCS / "images"
SCRIPTS = (
    "tests/support/make_openapi.py",
    "tests/support/wrong_input.py",
    "benchmarks/performance_page.py",
    "benchmarks/peers_page.py",
    "benchmarks/longer_training.py --page",
    "benchmarks/algorithms.py --environments",  # of none: only the page is written
    "benchmarks/planted.py --only nothing",  # likewise
)
"""What writes openapi.json and whole pages or tables."""


def write_pages() -> None:
    """Run the scripts that write files of docs/."""
    write_schemas()
    for script in SCRIPTS:
        print(script, flush=True)
        command = [sys.executable, *script.split()]
        subprocess.run(command, cwd=ROOT, env=child_environment(), check=True, capture_output=True)


def write_outputs() -> None:
    """Run the programs whose output a page shows, and write what they print now."""
    for name in PAGES:
        path = ROOT / name if name == "README.md" else DOCS / name
        for program, printed in programs(path.read_text()):
            if printed is not None:
                print("program of", name, flush=True)
                now = output(program, picture=name == "index.md")
                path.write_text(path.read_text().replace(printed, now))


def output(program: str, *, picture: bool) -> str:
    """Return what a program prints; keep the map that it draws."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        command = [sys.executable, "-c", program]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        if picture:
            shutil.copy(Path(folder) / "map.png", IMAGES / "cartpole.png")
    return found.stdout


def write_questions() -> list[str]:
    """Write what the commands of the page of questions print; return the lines not found."""
    page = QUESTIONS.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print("questions.md", flush=True)
        printed = outputs(page, folder)
        with chdir(folder):
            run("r2rise compare out shorter --out turnover.png")
        for picture in ("out/plan.png", "turnover.png"):
            shutil.copy(folder / picture, IMAGES)
    page, missing = with_output(page, printed)
    QUESTIONS.write_text(page)
    return missing


def with_output(page: str, printed: list[str]) -> tuple[str, list[str]]:
    """Return a page with the lines that it shows as they are printed now, and those not found.

    Args:
        page: A page of commands, each followed by some of the lines that it prints.
        printed: What each block of commands prints.
    """
    left = iter(printed)
    lines: list[str] = []
    missing: list[str] = []

    def renewed(block: re.Match[str]) -> str:
        if block[1] == "sh":
            lines[:] = map(str.rstrip, next(left).splitlines())
            return block[0]
        now = [closest(line, lines) for line in block[2].splitlines()]
        missing.extend(old for old, new in zip(block[2].splitlines(), now, strict=True) if not new)
        shown = [new or old for old, new in zip(block[2].splitlines(), now, strict=True)]
        return "```text\n" + "\n".join(shown) + "\n```"

    return BLOCK.sub(renewed, page), missing


def closest(line: str, printed: list[str]) -> str | None:
    """Return the printed line that differs in numbers alone, or the verdict; the most similar one.

    Rows of a table are the more similar, the more of their first cells are the same.
    """

    def similarity(other: str) -> tuple[int, float]:
        same = [a == b for a, b in zip(cells(line), cells(other), strict=False)]
        n_same = [*same, False].index(False)
        return n_same, difflib.SequenceMatcher(None, line, other).ratio()

    wanted = without_verdict(bare(line))
    found = [other for other in printed if without_verdict(bare(other)) == wanted]
    return max(found, key=similarity, default=None)


def cells(line: str) -> list[str]:
    """Return the cells of a row of a printed table."""
    return [cell.strip() for cell in line.strip("│ ").split("│")]


def draw_planted() -> None:
    """Draw the map of a planted environment by the defaults."""
    name = "r2rise/PlantedRounds-v0"
    print(name, flush=True)
    found = r2rise.explain(planted(name).demonstrations, r2rise.Study(environment=name))
    found.save(IMAGES / "planted.png")


if __name__ == "__main__":
    write_pages()
    write_outputs()
    draw_planted()
    not_found = write_questions()
    print(json.dumps({"no longer printed": not_found}, indent=1, ensure_ascii=False))
    sys.exit(bool(not_found))
