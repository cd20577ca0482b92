"""Files that are there already are never replaced without being asked for it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import toys
from commands import run
from slow import mostly_slow
from small_studies import NO_NEED, STUDY

import r2rise
from r2rise import Demonstrations, ImportanceMap, Study
from r2rise.errors import InputError

FOREIGN = b"not of r2rise\n"

CURATE = "curate a --out new/better.npz"
TRANSFER = "transfer a b --repetitions 2"
RECORD = "record --env toys:OneStep --policy random --demonstrations 1 --max-steps 3 --out r.npz"
NAMED = [
    (RECORD, "r.npz"),
    ("convert demos.npz c.npz", "c.npz"),
    ("convert demos.npz c.csv", "c.csv"),
    ("compare a b --out c.json", "c.json"),
    ("compare a b --out c.png", "c.png"),
    ("report a", "a/report.html"),
    (TRANSFER, "a/transfer.json"),
    (f"{TRANSFER} --out t.json", "t.json"),
    (CURATE, "new/better.npz"),
    (CURATE, "new/better.edits.json"),
    (CURATE, "a/curation.json"),
    (CURATE, "a/curation.png"),
]
"""Commands that write a file of a name that the user gave, or one file in a directory."""

UNANSWERED = [
    ("train-expert --env CartPole-v1 --out e.zip", "e.zip"),
    ("jobs download job_1 --out map.json", "map.json"),
    ("jobs compare job_1 job_2 --out c.json", "c.json"),
]
"""The same of commands that need more than this test has, once the files are free."""

STUDIES = [
    (f"{command} demos.npz --study small.yaml --out new", f"new/{name}")
    for command, names in {
        "explain": ("study.yaml", "demonstrations.npz", "map.json", "map.csv", "map.png"),
        "plan": ("plan.json", "plan.yaml", "plan.png"),
    }.items()
    for name in names
] + [("certify a", "a/certificate.json"), ("certify a", "a/certificate.png")]
"""Commands that write a study's directory."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    toys.demonstrations().save(folder / "demos.npz")
    (folder / "small.yaml").write_text(STUDY)
    for name in "ab":
        run(f"explain {folder}/demos.npz --study {folder}/small.yaml --out {folder}/{name}")
    return folder


@pytest.fixture
def folder(finished, tmp_path, monkeypatch) -> Path:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, content: bytes = FOREIGN) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(content)


def everything() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def refused(command: str, *parts: str) -> None:
    """Check that a command is refused, that the message has these parts, and nothing changes."""
    before = everything()
    _, err = run(command, status=2)
    for part in parts:
        assert part in err
    assert everything() == before


@pytest.mark.parametrize(("command", "name"), NAMED + UNANSWERED)
def test_a_file_of_somebody_else_is_refused_before_anything_is_spent(command, name, folder):
    put(name)
    refused(command, f"Error: {name} already exists", "--force")


@pytest.mark.parametrize(("command", "name"), mostly_slow(NAMED, 3))
def test_it_is_replaced_when_asked_for(command, name, folder):
    put(name)
    run(f"{command} --force")
    assert Path(name).read_bytes() != FOREIGN


@pytest.mark.imitation
def test_an_expert_is_replaced_when_asked_for(folder):
    pytest.importorskip("stable_baselines3")
    put("e.zip")
    run("train-expert --env CartPole-v1 --steps 200 --out e.zip --force")
    assert Path("e.zip").read_bytes().startswith(b"PK")


@pytest.mark.parametrize(("command", "name"), STUDIES)
def test_a_directory_with_files_of_somebody_else_is_refused(command, name, folder):
    put(name)
    refused(command, f"Error: {name} would be replaced", "choose another directory")


@pytest.mark.parametrize(("command", "name"), [("explain", "ledger.npz"), ("plan", "pilot.npz")])
def test_a_ledger_that_is_none_is_refused(command, name, folder):
    put(f"new/{name}")
    run(f"{command} demos.npz --study small.yaml --out new", status=1)
    assert Path(f"new/{name}").read_bytes() == FOREIGN


@pytest.mark.parametrize(
    "command",
    mostly_slow(
        ["explain demos.npz --study small.yaml --out a", CURATE, "report a", TRANSFER,
         "plan demos.npz --study small.yaml --out a", "certify a --repetitions 2",
         f"{TRANSFER} --out t.json"],
        n_fast=3,
    ),
)  # fmt: skip
def test_the_same_command_goes_on(command, folder):
    run(command)
    run(command)


def test_what_the_study_wrote_is_replaced_until_somebody_changes_it(folder):
    run(CURATE)
    written = Path("new/better.npz").read_bytes()
    Path("new/better.edits.json").unlink()
    run(CURATE)
    for name, content in {
        "new/better.npz": written + b"\n",
        "new/better.edits.json": Path("new/better.edits.json").read_bytes() + b"\n",
    }.items():
        own = Path(name).read_bytes()
        put(name, content)
        refused(CURATE, f"{name} already exists, and not as this study wrote it", "--force")
        put(name, own)
    refused(CURATE.replace("curate a", "curate b"), "not as this study wrote it")
    refused("compare a b --out new/better.edits.json", "already exists: choose another name")


def test_a_copy_of_what_the_study_wrote_is_somebody_elses(folder):
    run(CURATE)
    shutil.copy("new/better.npz", "kept.npz")
    refused("curate a --out kept.npz", "kept.npz already exists")


def test_a_study_and_what_it_wrote_can_be_moved_together(folder):
    run(CURATE)
    Path("moved").mkdir()
    for name in ("a", "new"):
        Path(name).rename(f"moved/{name}")
    run("curate moved/a --out moved/new/better.npz")


def test_a_link_that_leads_nowhere_is_somebody_elses(folder):
    Path("c.json").symlink_to("nowhere.json")
    refused("compare a b --out c.json", "c.json already exists")


def test_the_demonstrations_that_were_read_are_refused(folder):
    refused("curate a --out demos.npz", "demos.npz already exists")
    refused("convert demos.npz ./demos.npz --force", "is what is read")


def test_force_does_not_take_the_ground_from_under_a_study(folder):
    refused("convert demos.npz a/demonstrations.npz --force", "OUT would overwrite a/demonstr")
    refused("jobs download job_1 --out a/map.json --force", "--out would overwrite a/map.json")
    refused(f"{RECORD.replace('r.npz', 'a/ledger.npz')} --force", "--out would overwrite a/ledger")


def test_force_does_not_replace_a_folder(folder):
    put("kept/notes.txt")
    refused("convert demos.npz kept --to csv --force", "is a folder")
    refused("convert demos.npz kept --to minari --force", "kept already exists")


def test_a_study_of_ones_own_is_not_replaced_by_the_resolved_one(folder):
    text = f"# why these settings\n{STUDY}"
    Path("mine").mkdir()
    Path("mine/study.yaml").write_text(text)
    refused("explain demos.npz --study mine/study.yaml --out mine", "mine/study.yaml would be")
    assert Path("mine/study.yaml").read_text() == text


def test_demonstrations_that_are_the_studys_own_are_left_as_they_are(folder):
    """With arrays that r2rise does not read: these are not lost."""
    with np.load("demos.npz") as arrays:
        own = dict(arrays)
    Path("new").mkdir()
    np.savez("new/demonstrations.npz", **own, notes=np.arange(3))
    before = Path("new/demonstrations.npz").read_bytes()
    run("explain new/demonstrations.npz --study small.yaml --out new")
    assert Path("new/demonstrations.npz").read_bytes() == before
    assert Study.load("new/study.yaml").demonstrations == toys.demonstrations().content_hash


def test_other_demonstrations_are_taken_where_the_ledger_was_removed(folder):
    """As ever; but not where the copy is no more the one that the study was about."""
    fewer = toys.demonstrations(n_demos=1)
    fewer.save("fewer.npz")
    command = "explain fewer.npz --study small.yaml --segment-length 5 --out"
    for name in "ab":
        Path(f"{name}/ledger.npz").unlink()
    run(f"{command} a")
    assert Demonstrations.load("a/demonstrations.npz").content_hash == fewer.content_hash
    toys.demonstrations(length=30).save("b/demonstrations.npz")
    refused(f"{command} b", "b/demonstrations.npz would be replaced")


def test_a_map_from_elsewhere_is_not_replaced(folder):
    Path("new").mkdir()
    shutil.copy("a/map.json", "new/map.json")
    refused("explain demos.npz --study small.yaml --out new", "new/map.json would be replaced")


def test_python_is_told_the_same(folder):
    put("new/map.csv")
    study = Study.load("small.yaml")
    with pytest.raises(InputError, match=r"new/map\.csv would be replaced"):
        r2rise.explain("demos.npz", study, out="new")
    put("new/plan.png")
    with pytest.raises(InputError, match=r"new/plan\.png would be replaced"):
        r2rise.plan(toys.demonstrations(), study, out="new")
    assert everything()[Path("new/map.csv")] == FOREIGN
    ImportanceMap.load("a").save("new/map.csv")  # what is saved by name is saved


def test_nothing_better_leaves_what_is_there(folder):
    Path("good.yaml").write_text(NO_NEED)
    run("explain demos.npz --study good.yaml --out good")
    put("better.npz")
    out, _ = run("curate good --out better.npz --force")
    assert "better.npz is not written" in out
    assert Path("better.npz").read_bytes() == FOREIGN
