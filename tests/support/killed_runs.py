"""Runs of `r2rise explain` that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from places import child_environment

from r2rise import Ledger
from r2rise.errors import LedgerError

COMMAND = [
    sys.executable, "-c", "from r2rise_service.cli import main; main()",
    "explain", "demos.npz", "--study", "study.yaml",
]  # fmt: skip


def start(folder: Path, out: str, workers: int) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, "--workers", str(workers), "--out", out],
        cwd=folder,
        env=child_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def run_whole(folder: Path, out: str, workers: int) -> None:
    with start(folder, out, workers) as process:
        assert process.wait() == 0


def run_killed_twice(folder: Path, out: str, workers: int, marks: tuple[int, int]) -> None:
    ledger = folder / out / "ledger.npz"
    for mark in marks:
        with start(folder, out, workers) as process:
            wait_for(lambda n=mark: n_kept(ledger) >= n, process)
            os.killpg(process.pid, signal.SIGKILL)
        assert (folder / out / "ledger.npz.journal").exists()
    run_whole(folder, out, workers)


def n_kept(path: Path) -> int:
    try:
        return len(Ledger.load(path))
    except LedgerError:
        return 0


def wait_for(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
