"""Ctrl-C at moments when a `KeyboardInterrupt` alone does not end a command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import child_environment

START = "from r2rise_service.cli import main; main()"

SWALLOWED = """
import r2rise_service.cli.commands as commands, time

def swallowing():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except:
        pass
    time.sleep(60)

commands.app.registered_commands[0].callback = swallowing
"""
"""A command whose imports swallow the interrupt."""

CALLBACK = """
import r2rise_service.cli.commands as commands, time

class Last:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(60)

def swallowing():
    Last()
    time.sleep(60)

commands.app.registered_commands[0].callback = swallowing
"""
"""One that is interrupted where Python itself swallows exceptions."""

COMPILED = """
import r2rise_service.cli.commands as commands, ctypes

def compiled():
    print("ready", flush=True)
    ctypes.CDLL(None).poll(None, 0, 60_000)
    while True:
        ctypes.CDLL(None).poll(None, 0, 60_000)

commands.app.registered_commands[0].callback = compiled
"""
"""One in code that is not Python."""

CLOSING = """
import r2rise_service.cli.commands as commands, pathlib, time

def closing():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.4)
        pathlib.Path("closed").touch()

commands.app.registered_commands[0].callback = closing
"""
"""One that takes a moment to end in order."""


def interrupted(program: str, folder: Path, presses: int = 1) -> str:
    """Press Ctrl-C when the program is ready; return what it says."""
    with subprocess.Popen(
        [sys.executable, "-c", program + START, "check-training"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=child_environment(),
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        for _ in range(presses):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.1)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    return err


@pytest.mark.parametrize("program", [SWALLOWED, CALLBACK, COMPILED])
def test_a_command_that_does_not_see_ctrl_c_ends_all_the_same(program, tmp_path):
    assert interrupted(program, tmp_path) == (
        "Stopped. Completed retrainings are kept; run the same command again to continue.\n"
    )


def test_a_second_ctrl_c_does_not_interrupt_the_end(tmp_path):
    assert "Traceback" not in interrupted(CLOSING, tmp_path, presses=2)
    assert (tmp_path / "closed").exists()


EARLY = """
import sys

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "r2rise_service.cli.commands":
            import time
            print("ready", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
"""


def test_a_command_that_is_interrupted_while_it_is_imported(tmp_path):
    assert interrupted(EARLY, tmp_path) == "Stopped.\n"


WORKERS = """
import r2rise.run.engines.cluster as cluster, r2rise_service.cli.commands as commands

def starting():
    inside = cluster._start_errors_explained

    def announced():
        print("ready", flush=True)
        return inside()

    cluster._start_errors_explained = announced
    cluster.start_local(2, allowed_failures=1)

if __name__ == "__main__":
    commands.app.registered_commands[0].callback = starting
"""


def test_workers_that_start_end_with_their_command(tmp_path):
    assert "Traceback" not in interrupted(WORKERS + "if __name__ == '__main__':\n    ", tmp_path)
