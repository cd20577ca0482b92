"""One version in every place that names it, and what a release says about itself."""

import re
import tomllib

import yaml
from places import ROOT

PYPROJECT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(PYPROJECT)["project"]
VERSION = PROJECT["version"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_citation_is_of_the_released_version():
    changes = (ROOT / "CHANGELOG.md").read_text()
    released = re.search(rf"^## {re.escape(VERSION)} - ([\d-]{{10}})$", changes, re.MULTILINE)
    assert released, f"CHANGELOG.md has no section of {VERSION} with its date"
    assert CITATION["version"] == VERSION
    assert str(CITATION["date-released"]) == released[1]
    assert CITATION["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)


def test_the_manifests_name_the_image_of_this_version():
    manifest = (ROOT / "examples" / "scale-out" / "kubernetes.yaml").read_text()
    assert set(re.findall(r"r2rise:(\d[\d.]*\d)", manifest)) == {VERSION}


def test_security_fixes_are_for_this_version():
    assert f"at present {VERSION.rpartition('.')[0]}." in (ROOT / "SECURITY.md").read_text()


def test_every_supported_python_is_named_and_tested():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    first, *others = named
    after = int(named[-1].removeprefix("3.")) + 1
    assert PROJECT["requires-python"] == f">={first},<3.{after}"
    tested = re.search(r"^PYTHONS \?= (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert tested[1].split() == others


def test_the_files_of_others_exist():
    text = (ROOT / "THIRD_PARTY.md").read_text()
    files = re.findall(r"`([\w./-]+/[\w./-]+)`", text)
    assert {"examples/cartpole.npz", "tests/data/compose-spec/compose-spec.json"} <= set(files)
    assert all((ROOT / name).is_file() for name in files)
