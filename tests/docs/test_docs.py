"""Every example in the documents runs, and the documents know every command."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run
from needs import NEED_IMITATION
from pages import DOCS, PAGES, README, blocks, programs, without_numbers
from places import ROOT
from typer.testing import CliRunner

import r2rise
from r2rise_service.cli import app


def test_the_readmes_program_runs_when_pasted_and_prints_what_it_says(tmp_path):
    program, printed = blocks(README, "python")[0], blocks(README, "text")[0]
    assert program.count("\n") + printed.count("\n") <= 30
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert without_numbers(found.stdout) == without_numbers(printed)
    assert (tmp_path / "map.png").exists()
    assert (tmp_path / "better.npz").exists()
    saved = r2rise.Demonstrations.load(tmp_path / "demos.npz")
    assert saved.content_hash == r2rise.load_example("cartpole").content_hash


@pytest.mark.slow
def test_the_readmes_commands_run_in_the_directory_of_its_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    r2rise.load_example("cartpole").save("demos.npz")
    commands = next(block for block in blocks(README, "sh") if "r2rise certify" in block)
    for line in commands.splitlines():
        run(" ".join(shlex.split(line, comments=True)[1:]))
    assert r2rise.ImportanceMap.load("other").study.algorithm.name == "bco"
    assert Path("out/report.html").exists()


SLOW = {
    "algorithms.md-0", "algorithms.md-1", "algorithms.md-3", "certify-and-curate.md-0",
    "demonstrations.md-1", "environments.md-0", "importance-map.md-0", "index.md-0", "plan.md-0",
    "planted.md-0",
}  # fmt: skip
"""Programs that take more than 5 s."""


def marks(name: str, program: str) -> list[pytest.MarkDecorator]:
    """Whether a program takes long, and what it needs to run: the algorithms that it names."""
    named = set(re.findall(r'"([\w-]+)"', program))
    needs = [pytest.mark.imitation] if named & {*NEED_IMITATION} else []
    return [*needs, pytest.mark.slow] if name in SLOW else needs


PROGRAMS = [
    pytest.param(program, printed, id=f"{name}-{i}", marks=marks(f"{name}-{i}", program))
    for name, text in PAGES.items()
    if name != "README.md"
    for i, (program, printed) in enumerate(programs(text))
]


@pytest.mark.parametrize(("program", "printed"), PROGRAMS)
def test_programs_in_the_docs_run_and_print_what_the_page_shows(program, printed, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "program.py").write_text(program)
    found = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    if printed is not None:
        assert without_numbers(found.stdout) == without_numbers(printed)


def test_the_slow_programs_are_there():
    assert {program.id for program in PROGRAMS} >= SLOW


COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for text in PAGES.values()
        for block in blocks(text, "sh")
        for line in block.splitlines()
        if line.startswith("r2rise ")
    }
)


GROUPS = {group.name: group.typer_instance for group in app.registered_groups}
NAMES = [command.name for command in app.registered_commands] + [
    f"{name} {command.name}"
    for name, group in GROUPS.items()
    for command in group.registered_commands
]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_lines_in_the_docs_name_commands_and_options_that_exist(command):
    words = shlex.split(command)[1:]
    is_option = words[0].startswith("-")  # of r2rise itself
    name = "" if is_option else " ".join(words[: 2 if words[0] in GROUPS else 1])
    help_text = CliRunner().invoke(app, [*name.split(), "--help"]).output
    assert "No such command" not in help_text
    for word in words:
        if word.startswith("--"):
            assert word in help_text, f"{name} has no {word}"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_in_the_docs_and_has_an_example(name):
    assert any(f"{command} ".startswith(f"r2rise {name} ") for command in COMMANDS)
    assert f"Example: r2rise {name} " in " ".join(
        CliRunner().invoke(app, [*name.split(), "--help"]).output.split()
    )


def test_links_between_the_documents_lead_somewhere():
    for name, text in PAGES.items():
        folder = ROOT if name == "README.md" else (DOCS / name).parent
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if "://" not in target:
                assert (folder / target).exists(), f"{name}: {target}"


def test_the_performance_page_is_generated_from_the_results():
    script = ROOT / "benchmarks" / "performance_page.py"
    module = runpy.run_path(str(script))
    assert module["page"]() == PAGES["performance.md"]


def test_the_page_of_peers_is_generated_from_the_results():
    module = runpy.run_path(str(ROOT / "benchmarks" / "peers_page.py"))
    assert module["page"](json.loads(module["RESULTS"].read_text())) == PAGES["peers.md"]


def test_the_table_of_the_method_is_the_benchmarks_result():
    result = json.loads((ROOT / "benchmarks" / "results" / "fidelity.json").read_text())
    rows = re.findall(r"^\| `(.+?)` \|(.+)\|$", PAGES["method.md"], flags=re.MULTILINE)
    assert [recipe for recipe, _ in rows] == list(result["spearman"])
    sizes = ["128", "256", "384", "640", "49152"]
    for recipe, cells in rows:
        found = result["spearman"][recipe]
        want = [f"{found[n]['median']:.2f}" if n in found else "-" for n in sizes]
        assert [cell.strip() for cell in cells.split("|")] == want, recipe


def test_the_tables_of_the_training_page_are_the_benchmarks_results():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        module = runpy.run_path(str(ROOT / "benchmarks" / "longer_training.py"))
    assert module["page"](PAGES["training.md"]) == PAGES["training.md"]
