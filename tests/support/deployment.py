"""What the files of a deployment say: Compose file, Dockerfile, manifests, command lines."""

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml
from places import ROOT

from r2rise_service.cli import app


def compose() -> dict[str, Any]:
    """Return docker-compose.yml with its variables at their defaults."""
    text = (ROOT / "docker-compose.yml").read_text()
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile; `words` without its options, `stage` it stands in."""

    name: str
    words: list[str]
    options: dict[str, str]
    stage: int


def dockerfile() -> list[Instruction]:
    """Return the instructions of the Dockerfile in their order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found, stage = [], -1
    for line in lines:
        name, rest = line.split(maxsplit=1)
        stage += name == "FROM"
        options = dict(re.findall(r"^--([\w-]+)=(\S+)", rest)) if name == "COPY" else {}
        rest = re.sub(r"^(--[\w-]+=\S+\s+)*", "", rest)
        exec_form = re.search(r"\[.*\]$", rest)
        words = json.loads(exec_form[0]) if exec_form and name != "RUN" else shlex.split(rest)
        found.append(Instruction(name, words, options, stage))
    return found


def last(name: str) -> list[str]:
    """Return the words of the last instruction of a name, which is the one that counts."""
    return [found for found in dockerfile() if found.name == name][-1].words


def environment() -> dict[str, str]:
    """Return the environment variables of the image."""
    pairs = [
        word.split("=", 1)
        for found in dockerfile()
        if found.name == "ENV" and found.stage == dockerfile()[-1].stage
        for word in found.words
    ]
    return dict(pairs)


def argv(service: dict[str, Any]) -> list[str]:
    """Return what a service of our image runs."""
    command = service.get("command", last("CMD"))
    return [*service.get("entrypoint", last("ENTRYPOINT")), *command]


def check_command(words: list[str]) -> None:
    """Parse a command line as the program does: `r2rise ...` or `dask scheduler ...`.

    Raises:
        KeyError: When there is no such command.
        Exception: When it has no such option, or an option cannot have such a value.
    """
    program, *rest = words
    if program == "dask":
        from distributed.cli.dask_scheduler import main

        assert rest.pop(0) == "scheduler"
        main.make_context("scheduler", rest)
        return
    assert program == "r2rise"
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context("r2rise", rest)


def make_secrets(folder: Path) -> Path:
    """Run `make secrets` in a folder and return where they lie."""
    subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), "secrets"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "secrets"
