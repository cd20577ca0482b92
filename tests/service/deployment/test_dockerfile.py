"""The image: what the Dockerfile says, and that the wheel in it has everything."""

import fnmatch
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from deployment import ROOT, check_command, dockerfile, environment, last

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STEPS = dockerfile()
TEXT = (ROOT / "Dockerfile").read_text()
PACKAGES = {"r2rise": "r2rise", "service/r2rise_service": "r2rise_service",
            "envs/r2rise_envs": "r2rise_envs"}  # fmt: skip


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
    assert PROJECT["requires-python"] == f">={found[1]}"


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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of what the image gets."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("r2rise-*.whl"))


def test_the_wheel_has_every_file_of_the_packages(wheel):
    inside = set(ZipFile(wheel).namelist())
    found = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    for name in found:
        package = next(package for package in PACKAGES if name.startswith(f"{package}/"))
        assert name.replace(package, PACKAGES[package], 1) in inside, name
    assert fnmatch.filter(inside, "r2rise/report/*.j2")
    assert fnmatch.filter(inside, "r2rise_service/storage/migrations/versions/*.py")
    assert "r2rise/py.typed" in inside
    assert "r2rise/examples/cartpole.npz" in inside
    assert not fnmatch.filter(inside, "*test*")


PROBE = """
import sys
sys.path += sys.argv[2:]  # what the wheel needs; where the environment has nothing of it
import r2rise, r2rise_envs, r2rise_service
from importlib.resources import files
from r2rise_service.storage import Store
for package in (r2rise, r2rise_service, r2rise_envs):
    assert package.__file__.startswith(sys.prefix), package.__file__
assert files("r2rise").joinpath("report/report.html.j2").is_file()
store = Store("sqlite:///" + sys.argv[1])
store.migrate()
assert store.is_current()
assert r2rise.load_example("cartpole").n_frames == 500
"""


@pytest.mark.slow
def test_the_wheel_works_without_the_sources(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    here = [path for path in sys.path if path.endswith("site-packages")]
    found = subprocess.run(
        [python, "-I", "-c", PROBE, tmp_path / "r2rise.sqlite", *here],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "venv" / "bin" / "r2rise").exists()
