"""The services of docker-compose.yml as processes: its commands, variables and health checks.

What a container gives each of them (host names, ports, folders) is put in for this machine.
"""

import os
import re
import signal
import subprocess
import sys
import time
from graphlib import TopologicalSorter
from pathlib import Path

from deployment import argv, compose, environment, last, make_secrets
from ports import free_port

HEALTHY_SECONDS = 120.0


class Stack:
    """docker-compose.yml on this machine, with a database that is already there.

    Args:
        folder: Where data and secrets lie.
        database_port: Port of PostgreSQL on 127.0.0.1.
        scale: How many processes of a service, where it is not one.
    """

    def __init__(self, folder: Path, database_port: int, scale: dict[str, int]) -> None:
        self.services = compose()["services"]
        self.secrets = make_secrets(folder)
        self.scale = scale
        self.processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self.log = folder / "log"
        scheduler, status, api = free_port(), free_port(), free_port()
        self.url, self.scheduler_status = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{status}"
        self._here = {
            r"/run/secrets": str(self.secrets),
            r"(?<!\w)/data\b": str(folder / "data"),
            r"(?<!\w)/cache\b": str(folder / "cache"),
            r"\bpostgres:5432\b": f"127.0.0.1:{database_port}",
            r"\bscheduler:8786\b": f"127.0.0.1:{scheduler}",
            r"\b0\.0\.0\.0\b": "127.0.0.1",
            r"\b8786\b": str(scheduler),
            r"\b8787\b": str(status),
            r"\b8000\b": str(api),
        }
        (folder / "cache").mkdir()
        self._outside = {
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "PGPORT": str(database_port),
        }

    def here(self, text: str) -> str:
        """Return what a text of the file means on this machine."""
        for there, here in self._here.items():
            text = re.sub(there, here, text)
        return text

    def variables(self, name: str) -> dict[str, str]:
        """Return the environment of a service, and of its health check."""
        inside = {**environment(), **self.services[name].get("environment", {})}
        return {key: self.here(value) for key, value in inside.items()} | self._outside

    def up(self) -> None:
        """Start every service once what it waits for is as it should be."""
        waits = {name: service.get("depends_on", {}) for name, service in self.services.items()}
        for name in TopologicalSorter(waits).static_order():
            for other, how in waits[name].items():
                if how["condition"] == "service_healthy":
                    self.wait_healthy(other)
                else:
                    status = self.processes[other][0].wait(HEALTHY_SECONDS)
                    assert status == 0, self.log.read_text()
            if "build" in self.services[name]:
                self.processes[name] = [self._start(name) for _ in range(self.scale.get(name, 1))]

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        command = [self.here(word) for word in argv(self.services[name])]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, env=self.variables(name), stdout=log, stderr=log, start_new_session=True
            )

    def wait_healthy(self, name: str) -> None:
        """Wait until the health check of a service succeeds."""
        health = self.services[name].get("healthcheck", {"test": ["CMD", *last("HEALTHCHECK")]})
        kind, *command = [self.here(word) for word in health["test"]]
        assert kind == "CMD"
        give_up = time.monotonic() + HEALTHY_SECONDS
        while subprocess.run(
            command, env=self.variables(name), capture_output=True, check=False
        ).returncode:
            running = self.processes.get(name, [])
            assert all(process.poll() is None for process in running), self.log.read_text()
            assert time.monotonic() < give_up, f"{name} is not healthy\n{self.log.read_text()}"
            time.sleep(0.5)

    def stop(self, name: str) -> list[int]:
        """Stop a service as Compose does; return the exit statuses.

        Raises:
            subprocess.TimeoutExpired: When a process takes more than its grace period.
        """
        grace = int(self.services[name]["stop_grace_period"].removesuffix("s"))
        for process in self.processes[name]:
            process.send_signal(signal.SIGTERM)
        return [process.wait(grace) for process in self.processes[name]]

    def kill(self) -> None:
        """End whatever still runs."""
        for process in [process for found in self.processes.values() for process in found]:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
