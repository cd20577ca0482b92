"""Real server processes for tests."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ports import free_port

from r2rise_service import Client

R2RISE = Path(sys.executable).with_name("r2rise")
ONE = ("--workers", "1")
"""For servers that have nothing to retrain."""


class Server:
    """`r2rise serve` in a process of its own; its data stay when it ends."""

    def __init__(self, data: Path, *options: str, port: int | None = None):
        self.data = data
        port = free_port() if port is None else port
        command = [str(R2RISE), "serve", "--data", str(data), "--port", str(port), *options]
        self.log = data.with_suffix(".log")
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "Keys:" in line:
                break
        else:
            raise AssertionError(self.log.read_text())
        found = re.search(r"http://\S+:(\d+)", self.said)
        assert found, self.said
        self.url, self.port = found[0], int(found[1])

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.log.read_text()
        self.process.stdout.close()

    def kill(self) -> None:
        """End it without any notice."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
        self.process.stdout.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.stop()


def run(*command: str, status: int = 0, **env: str) -> tuple[str, str]:
    """Run `r2rise ...` and return what it said on both outputs."""
    found = subprocess.run(
        [str(R2RISE), *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )
    assert found.returncode == status, found.stdout + found.stderr
    return found.stdout, found.stderr


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running server, for all tests that leave it as it was but for datasets and jobs."""
    with Server(tmp_path_factory.mktemp("server") / "data", port=0) as found:
        yield found


@pytest.fixture(scope="session")
def client(server):
    with Client(url=server.url) as found:
        yield found
