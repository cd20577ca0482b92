"""What a command-line user gets for wrong input: a message that helps, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest
from wrong_input import PAGE, TABLE, run, write_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("wrong")
    write_files(path)
    return path


@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: wrong.what)
def test_message(wrong, folder, monkeypatch):
    monkeypatch.chdir(folder)
    status, output = run(wrong.command)
    assert wrong.message in " ".join(output.split())
    assert status == wrong.status
    assert "Traceback" not in output


def test_a_real_process_prints_the_message_and_no_traceback(folder):
    command = [sys.executable, "-c", "from r2rise_service.cli import main; main()"]
    found = subprocess.run(
        [*command, *TABLE[0].command.split()], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.startswith("Error: There is no file nothing.npz.")
    assert "Traceback" not in found.stderr


def test_the_page_lists_every_row():
    page = PAGE.read_text()
    for wrong in TABLE:
        assert f"| {wrong.what} | `r2rise {wrong.command}` | {wrong.status} |" in page
