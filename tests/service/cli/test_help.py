"""Help texts, the version and shell completion."""

import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from commands import run
from imports import loaded_by
from pages import PAGES
from places import child_environment

import r2rise
from r2rise.study.study import Study
from r2rise_service.cli import app
from r2rise_service.cli.exits import EXIT_STATUSES
from r2rise_service.settings import Settings

SUBGROUPS = {group.name: group.typer_instance for group in app.registered_groups}
TOP = [*(command.name for command in app.registered_commands), *SUBGROUPS]
COMMANDS = TOP + [
    f"{name} {command.name}"
    for name, group in SUBGROUPS.items()
    for command in group.registered_commands
]
HEAVY = {"torch", "numpy", "gymnasium", "pydantic", "rich", "httpx2", "yaml", "typer.rich_utils"}


def help_of(command: str) -> str:
    return run(f"{command} --help")[0]


def section(title: str, text: str) -> str:
    """The lines below a heading of a help text, up to the next one."""
    return re.split(r"^\S.*:\n", text.split(f"\n{title}:\n")[1], flags=re.MULTILINE)[0]


def test_the_version_is_that_of_the_installed_package():
    assert r2rise.__version__ == version("r2rise")
    assert "__version__" in dir(r2rise)
    assert run("--version") == (f"r2rise {r2rise.__version__}\n", "")


def test_every_command_has_a_short_option_for_help():
    assert run("-h")[0] == help_of("")
    for command in COMMANDS:
        text = help_of(command)
        assert run(f"{command} -h")[0] == text
        assert "-h, --help" in text


def test_commands_are_listed_in_three_groups():
    found = {
        title: re.findall(r"^  (\S+)", section(title, help_of("")), re.MULTILINE)
        for title in ("Analysis", "Data", "Server")
    }
    assert found == {
        "Analysis": [
            "check-training", "plan", "explain", "certify", "curate", "transfer", "compare", "show",
            "report", "algorithms", "environments",
        ],
        "Data": ["train-expert", "record", "convert"],
        "Server": ["serve", "worker", "keys", "db", "datasets", "jobs"],
    }  # fmt: skip
    assert sorted(TOP) == sorted(name for names in found.values() for name in names)


@pytest.mark.parametrize("group", ["", *SUBGROUPS])
def test_no_summary_in_a_list_of_commands_is_cut(group):
    text = " ".join(help_of(group).split())
    assert "..." not in text.split("[ARGS]...")[1]
    for command in COMMANDS:
        parent, _, name = command.rpartition(" ")
        if parent == group:
            summary = " ".join(help_of(command).split("\n\n")[1].split())
            assert f" {name} {summary}" in text


def test_arguments_and_limits_are_in_words():
    for command in COMMANDS:
        assert not re.search(r"[{}<]|x>=|\[\[|default: \(", help_of(command)), command
    assert "Usage: r2rise environments [OPTIONS] [TEXT]" in help_of("environments")
    assert "[default: 10; at least 1]" in help_of("compare")
    assert "from 0 to 1]" in help_of("record")


def default(option: str, text: str) -> str:
    """The default of an option in a help text."""
    words = " ".join(text.split("\nOptions:\n")[1].split())
    found = re.search(rf"{option} .*?\[default: ([^\]]*)", words)[1]
    return re.sub("; (from|at least) .*", "", found)


def test_defaults_are_shown_as_they_are():
    text, study = help_of("explain"), Study.parse({"environment": "CartPole-v1"})
    goal = Study.parse({"environment": "CartPole-v1", "until": {"verdicts": True}})
    assert default("--algorithm", text) == study.algorithm.name
    assert default("--retrainings", text) == (
        f"{study.budget.retrainings}; {goal.budget.retrainings} with --until or --max-time"
    )
    assert default("--segment-length", text) == study.masking.segment_length
    assert default("--frame-stack", text) == str(study.masking.frame_stack)
    assert default("--estimator", text) == study.estimator
    assert default("--seed", text) == str(study.seed)
    assert default("--workers", text) == "0"
    assert default("--max-retrainings", help_of("plan")) == str(goal.budget.retrainings)


def test_defaults_of_a_server_are_shown_as_they_are():
    text, fields = help_of("serve"), Settings.model_fields
    for name in ("data", "host", "port", "workers"):
        assert default(f"--{name}", text) == str(fields[name].default)


def test_exit_statuses_are_in_the_help_text_and_in_the_docs():
    words = " ".join(section("Exit status", help_of("")).split())
    assert words == " ".join(f"{status} {text}" for status, text in EXIT_STATUSES.items())
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGES["command-line.md"], re.MULTILINE)
    assert {int(status): text for status, text in rows} == EXIT_STATUSES


def test_help_loads_nothing_heavy():
    program = (
        "import contextlib, io, sys\n"
        "from r2rise_service.cli import main\n"
        "sys.argv = ['r2rise', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main()\n"
    )
    assert not HEAVY & loaded_by(program)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("r2rise exp", {"explain"}),
        ("r2rise jobs ca", {"cancel"}),
        ("r2rise explain --seg", {"--segment-length", "--segments"}),
    ],
)
def test_the_shell_completes_commands_and_options(words, completed):
    start = "import sys; sys.argv[0] = 'r2rise'; from r2rise_service.cli import main; main()"
    variables = {
        "_R2RISE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    found = subprocess.run(
        [sys.executable, "-c", start], capture_output=True, text=True, check=True,
        env=child_environment(**variables),
    )  # fmt: skip
    assert set(found.stdout.split()) == completed
