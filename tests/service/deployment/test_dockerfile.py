"""The image: what the Dockerfile says."""

import re
import tomllib
from pathlib import Path

from deployment import ROOT, check_command, dockerfile, environment, last
from packaging.specifiers import SpecifierSet

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STEPS = dockerfile()
TEXT = (ROOT / "Dockerfile").read_text()


def test_everything_that_is_copied_is_there_and_gets_through_dockerignore():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    copied = [
        source
        for step in STEPS
        if step.name == "COPY" and "from" not in step.options
        for source in step.words[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / source).exists() for source in copied)


def test_the_wheel_of_the_image_is_built_from_all_that_the_project_names():
    sources = tomllib.loads((ROOT / "pyproject.toml").read_text())
    target = sources["tool"]["hatch"]["build"]["targets"]["wheel"]
    named = [
        *target["packages"],
        *target["force-include"],
        PROJECT["readme"],
        *PROJECT["license-files"],
    ]
    copied = [word for step in STEPS if step.name == "COPY" for word in step.words]
    for path in named:
        assert any(path == word or path.startswith(f"{word}/") for word in copied), path


def test_it_is_built_on_one_pinned_python_that_the_project_supports():
    bases = {step.words[0] for step in STEPS if step.name == "FROM"}
    assert len(bases) == 1
    found = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", bases.pop())
    assert found
    assert SpecifierSet(PROJECT["requires-python"]).contains(found[1])


def test_torch_is_the_pinned_one_for_cpus():
    constraints = (ROOT / "constraints.txt").read_text()
    assert re.search(r"^torch==\d+\.\d+\.\d+$", constraints, flags=re.MULTILINE)
    installs = [step.words for step in STEPS if step.name == "RUN" and "install" in step.words]
    pip = [words for words in installs if "pip" in words]
    assert all("constraints.txt" in words for words in pip)
    first = pip[0]
    assert first[first.index("--index-url") + 1] == "https://download.pytorch.org/whl/cpu"
    assert first[-1] == "torch"


def test_every_extra_is_installed_but_the_developers():
    assert re.search(r"\.whl\)\[([\w,]+)\]", TEXT)[1] == "all"
    extras = PROJECT["optional-dependencies"]
    found, left = set(), ["all"]
    while left:
        own = left.pop()
        found.add(own)
        for requirement in extras[own]:
            if inner := re.fullmatch(r"r2rise\[([\w,-]+)\]", requirement):
                left += inner[1].split(",")
    assert found == set(extras) - {"dev", "docs"}


def test_it_runs_as_a_user_of_its_own_who_can_write_where_it_must():
    user = last("USER")[0]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)  # a number: Kubernetes checks that it is not 0
    made = next(step.words for step in STEPS if "useradd" in step.words)
    assert made[made.index("--uid") + 1] == user.split(":")[0]
    writable = made[made.index("r2rise", made.index("--group")) + 1 :]
    variables = environment()
    assert variables["R2RISE_DATA"] in writable
    assert all(
        str(Path(variables[name]).parent) in writable
        for name in ("NUMBA_CACHE_DIR", "R2RISE_CACHE")
    )


def test_its_command_is_one_that_the_program_has():
    assert last("ENTRYPOINT")[0] in PROJECT["scripts"]
    check_command([*last("ENTRYPOINT"), *last("CMD")])


def test_its_health_is_looked_at_with_python():
    command = last("HEALTHCHECK")
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    assert "/api/v1/readyz" in command[2]
