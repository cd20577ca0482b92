"""How a command ends that could not do its work: one message, its exit status, nothing lost."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import toys
import typer
from commands import STUDY
from commands import run as run_command
from places import child_environment
from typer.testing import CliRunner

from r2rise import ImportanceMap, Ledger
from r2rise.files import atomic_file, naming
from r2rise_service.cli import app
from r2rise_service.cli.exits import ReportingGroup

KEPT = "Completed retrainings are kept; run the same command again to continue."


def ending(error: Exception, command: str = "explain") -> tuple[int, str]:
    """The exit status and the message of a command line whose command fails."""
    failing = typer.Typer(cls=ReportingGroup)

    @failing.callback()
    def root() -> None: ...

    @failing.command(command)
    def fail() -> None:
        raise error

    result = CliRunner().invoke(failing, [command])
    return result.exit_code, result.stderr.strip()


@pytest.mark.parametrize(
    ("number", "what_to_do"),
    [
        (errno.ENOSPC, "Free some space there, and try again."),
        (errno.EDQUOT, "Free some space there, and try again."),
        (errno.EROFS, "Write to another directory, or make this one writable."),
        (errno.EACCES, "Get the permission, or name another file or directory."),
    ],
)
def test_errors_of_the_file_system_say_where_what_and_what_is_kept(number, what_to_do):
    error = OSError(number, os.strerror(number), "out/ledger.npz")
    words = f"Error: out/ledger.npz: {os.strerror(number)}. {what_to_do}"
    assert ending(error) == (1, f"{words} {KEPT}")
    assert ending(error, "convert") == (1, words)


def test_other_errors_of_the_system_have_no_numbers_in_their_words():
    error = OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), "demos.npz/x")
    assert ending(error) == (1, "Error: demos.npz/x: Not a directory.")


def test_too_little_memory_is_no_traceback():
    message = "Unable to allocate 8.00 TiB"
    words = f"Error: There is not enough memory. {message} {KEPT}"
    assert ending(MemoryError(message)) == (1, words)


def test_a_full_disk_is_named_by_the_file_that_is_written(tmp_path):
    with (
        pytest.raises(OSError, match="No space left") as caught,
        naming(tmp_path / "map.json"),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"map")
    assert (caught.value.errno, caught.value.filename) == (
        errno.ENOSPC, str(tmp_path / "map.json"),
    )  # fmt: skip


def test_a_short_write_of_numpy_is_a_full_disk(tmp_path):
    import numpy as np

    with pytest.raises(OSError, match="No space left"), naming(tmp_path / "obs.npy"):
        np.zeros(100_000).tofile("/dev/full")


def test_a_file_that_cannot_replace_a_folder_is_named_itself(tmp_path):
    (tmp_path / "map.json").mkdir()
    with pytest.raises(IsADirectoryError) as caught, atomic_file(tmp_path / "map.json") as file:
        file.write(b"{}")
    assert caught.value.filename == str(tmp_path / "map.json")
    assert [path.name for path in tmp_path.iterdir()] == ["map.json"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    toys.demonstrations().save(tmp_path / "demos.npz")
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


EXPLAIN = "explain demos.npz --study study.yaml --out"


def run(command: str, most_bytes: int | None = None, **options) -> subprocess.CompletedProcess[str]:
    """Run a command in a process whose files may not become larger than so many bytes."""

    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    start = [sys.executable, "-c", "from r2rise_service.cli import main; main()"]
    return subprocess.run(
        [*start, *command.split()], stderr=subprocess.PIPE, text=True, check=False,
        env=child_environment(), preexec_fn=limit, **options,
    )  # fmt: skip


def test_a_study_that_ran_out_of_space_goes_on_when_there_is_room(folder):
    run_command(f"{EXPLAIN} whole")
    run_command(f"{EXPLAIN} out --retrainings 32")
    most_bytes = Path("out/ledger.npz").stat().st_size
    found = run(f"{EXPLAIN} out", most_bytes)
    assert found.returncode == 1
    assert found.stderr.splitlines()[-1] == (
        "Error: out/ledger.npz: File too large. Allow larger files (`ulimit -f`), and try again. "
        + KEPT
    )
    assert 35 <= len(Ledger.load("out/ledger.npz")) < 67
    run_command(f"{EXPLAIN} out")
    assert ImportanceMap.load("out").importance.tolist() == (
        ImportanceMap.load("whole").importance.tolist()
    )


def test_standard_output_that_is_full(folder):
    with Path("/dev/full").open("w") as full:
        found = run("algorithms --json", stdout=full)
    assert found.returncode == 1
    assert found.stderr == "Error: No space left on device. Free some space there, and try again.\n"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["explain", "demos.npz", "--study", "study.yaml", "--out", ""], "--out"),
        (["explain", "demos.npz", "--study", "study.yaml", "--out="], "--out"),
        (["explain", ""], "An argument"),
        (["show", ""], "An argument"),
        (["serve", "--data", ""], "--data"),
        (["jobs", "list", "--url="], "--url"),
    ],
)
def test_an_empty_argument_is_refused_and_writes_nothing(folder, arguments, name):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: {name} is empty: give a value, or leave it out. Is a shell variable unset?\n"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["demos.npz", "study.yaml"]


def test_a_report_can_be_written_elsewhere(folder):
    run_command(f"{EXPLAIN} out")
    out, _ = run_command("report out")
    assert out == "Written: out/report.html.\n"
    page = Path("out/report.html").read_bytes()
    Path("out/report.html").unlink()
    assert run_command("report out --out pages/mine.html")[0] == "Written: pages/mine.html.\n"
    assert Path("pages/mine.html").read_bytes() == page
    assert not Path("out/report.html").exists()
    run_command("report out --out pages/mine.html", 2)
    run_command("report out --out pages/mine.html --force")
