"""The wheel and the sdist: what they contain, and that both give the same wheel."""

import fnmatch
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest
from places import ROOT

PACKAGES = {
    "r2rise": "r2rise",
    "service/r2rise_service": "r2rise_service",
    "envs/r2rise_envs": "r2rise_envs",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LARGEST_WHEEL, LARGEST_SDIST = 1_500_000, 5_000_000
"""Bytes. The sdist also holds the tests and what they read: documentation and benchmark results."""


def build(source: Path, folder: Path, *targets: str) -> None:
    options = [word for target in targets for word in ("--target", target)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", folder, *options],
        cwd=source,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder with the wheel and the sdist of this clone."""
    folder = tmp_path_factory.mktemp("built")
    build(ROOT, folder, "sdist", "wheel")
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    return next(built.glob("r2rise-*.whl"))


@pytest.fixture(scope="module")
def sdist(built) -> Path:
    return next(built.glob("r2rise-*.tar.gz"))


def names_in(sdist: Path) -> set[str]:
    """Return the names of the files, without the folder that holds them all."""
    with tarfile.open(sdist) as archive:
        return {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}


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
    assert {f"{package}/py.typed" for package in PACKAGES.values()} <= inside
    assert {"r2rise/examples/cartpole.npz", "r2rise/examples/cartpole-0-4.npz"} <= inside
    licences = f"r2rise-{PROJECT['version']}.dist-info/licenses"
    assert {f"{licences}/{name}" for name in PROJECT["license-files"]} <= inside


def test_the_wheel_has_nothing_else(wheel):
    inside = ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in inside}
    assert top == {*PACKAGES.values(), f"r2rise-{PROJECT['version']}.dist-info"}
    for pattern in ("*test*", "*__pycache__*", "*.py[co]", "*.nb[ci]", "*/.*"):
        assert not fnmatch.filter(inside, pattern)


def test_the_sdist_has_what_the_tests_and_a_reader_need(sdist):
    inside = names_in(sdist)
    assert {"LICENSE", "THIRD_PARTY.md", "SECURITY.md", "CITATION.cff", "CHANGELOG.md"} <= inside
    for folder in ("tests", "examples", "docs", "benchmarks"):
        assert fnmatch.filter(inside, f"{folder}/*"), folder
    assert "tests/data/compose-spec/LICENSE" in inside
    assert not fnmatch.filter(inside, "*__pycache__*")
    assert not fnmatch.filter(inside, ".venv*")


def test_the_sizes(wheel, sdist):
    for path, largest in ((wheel, LARGEST_WHEEL), (sdist, LARGEST_SDIST)):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
        assert path.stat().st_size < largest


def test_the_sdist_builds_the_same_wheel(wheel, sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    source = next(tmp_path.glob("r2rise-*"))
    build(source, tmp_path / "again", "wheel")
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()


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
