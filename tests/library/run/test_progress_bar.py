"""The progress bar in a program: on a terminal, in a pipe, and a function instead."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import worth
from places import child_environment
from rich.console import Console
from terminals import terminal

import r2rise
from r2rise.run import progress_bar
from r2rise.run.progress import Progress

WORTH = (5.0, -3.0, 1.0, 2.5)
PROGRAM = f"""
import worth, r2rise
r2rise.explain(worth.demonstrations(4), worth.study({WORTH}), progress=True)
"""


def run(**options) -> subprocess.CompletedProcess:
    folder = Path(worth.__file__).parent
    return subprocess.run([sys.executable, "-c", PROGRAM], check=True, cwd=folder, **options)


def test_a_terminal_shows_a_bar():
    with terminal() as (fd, shown):
        run(
            stdout=subprocess.DEVNULL, stderr=fd, env=child_environment(TERM="xterm", COLUMNS="120")
        )
    for piece in ("Retraining", "/s", "left"):
        assert piece in shown[0]


def test_a_pipe_shows_nothing_in_the_first_minute():
    found = run(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (found.stdout, b"Retraining" in found.stderr) == (b"", False)


def test_a_pipe_shows_a_line_whenever_a_minute_has_passed(monkeypatch, capsys):
    monkeypatch.setattr(progress_bar, "_SECONDS_BETWEEN_LINES", 0)
    with progress_bar.progress_bar("Counting") as on_progress:
        on_progress(Progress(done=1, total=3, failed=0, resumed=0))
        on_progress(Progress(done=2, total=3, failed=1, resumed=0, seconds_left=5.0))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Counting 1/3 ")
    assert second.startswith("Counting 2/3 ")
    assert second.rstrip().endswith("1 failed")


def test_a_function_is_called_and_nothing_shown(capsys):
    told = []
    r2rise.explain(worth.demonstrations(4), worth.study(WORTH), progress=told.append)
    assert told[-1].done == told[-1].total
    assert "Retraining" not in capsys.readouterr().err


class Shown:
    """What a notebook shows in place of a cell's output."""

    def __init__(self, first):
        self.pictures = [first]

    def update(self, picture, *, raw=False):
        self.pictures.append(picture)


def test_a_notebook_shows_a_bar_until_the_work_ends(monkeypatch):
    shown = []

    def display(picture, *, display_id):
        shown.append(Shown(picture))
        return shown[-1]

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(progress_bar, "Console", partial(Console, force_jupyter=True))
    monkeypatch.setattr(progress_bar, "_SECONDS_BETWEEN_PICTURES", 0)
    with progress_bar.progress_bar("Counting") as on_progress:
        on_progress(Progress(done=1, total=3, failed=0, resumed=0))
        [handle] = shown
        bar = handle.pictures[-1]
        assert (bar.tasks[0].completed, bar.tasks[0].total) == (1, 3)
    assert handle.pictures == [bar, bar, {"text/plain": ""}]
