"""Real Dask schedulers and `r2rise worker` processes for tests."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from places import ROOT, child_environment
from ports import free_port
from servers import R2RISE

DASK = Path(sys.executable).with_name("dask")


def certificate(folder: Path) -> Path:
    """Make a certificate with the command of the docs; return the folder of the files."""
    page = (ROOT / "docs" / "scale-out.md").read_text().replace("\\\n", " ")
    command = next(line for line in page.splitlines() if line.startswith("openssl req"))
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    return folder


def tls_options(folder: Path | None) -> list[str]:
    """The options of `r2rise serve` and `r2rise worker` for a certificate."""
    if folder is None:
        return []
    cert, key = str(folder / "cluster_certificate"), str(folder / "cluster_key")
    return ["--tls-ca", cert, "--tls-cert", cert, "--tls-key", key]


class Process:
    """A process that says something on standard error before it is ready."""

    def __init__(self, command: list[str], log: Path, ready: str) -> None:
        self.log = log
        begin = log.stat().st_size if log.exists() else 0
        with log.open("a") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, start_new_session=True,
                env=child_environment(),
            )  # fmt: skip
        self.found = self.wait_for(ready, begin)

    def wait_for(self, pattern: str, begin: int = 0) -> re.Match[str]:
        """Wait until it has said something; return where."""
        deadline = time.monotonic() + 60
        while (found := re.search(pattern, self.log.read_text()[begin:])) is None:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return found

    def kill(self) -> None:
        """End it without any notice."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        """End it as an operator would, and leave nothing of it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class SchedulerProcess(Process):
    """`dask scheduler`, with TLS where there is a certificate."""

    def __init__(self, folder: Path, tls: Path | None, port: int | None = None) -> None:
        self.folder, self.tls, self.port = folder, tls, free_port() if port is None else port
        folder.mkdir(parents=True, exist_ok=True)
        kind = "tcp" if tls is None else "tls"
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--protocol", kind]
        if tls is not None:
            options += ["--tls-ca-file" if o == "--tls-ca" else o for o in tls_options(tls)]
        command = [str(DASK), "scheduler", *options, "--dashboard-address", "127.0.0.1:0"]
        super().__init__(command, folder / "scheduler.log", r"Scheduler at:\s+(\S+)")
        self.address = self.found[1]

    def restarted(self) -> "SchedulerProcess":
        """Kill it and start another at the same address, as `restart: always` does."""
        self.kill()
        return SchedulerProcess(self.folder, self.tls, self.port)


class WorkerProcesses(Process):
    """`r2rise worker`."""

    def __init__(
        self, folder: Path, address: str, tls: Path | None, n: int = 2, ready: str = "ready, at"
    ) -> None:
        command = [str(R2RISE), "worker", "--scheduler", address, "--workers", str(n)]
        super().__init__([*command, *tls_options(tls)], folder / "worker.log", ready)
