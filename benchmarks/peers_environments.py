"""The peers' own environments, made where they are missing, and talking to what runs in them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".venv-peers"

INSTALLS: dict[str, list[list[str]]] = {
    "shapiq": [
        ["shapiq==1.8.0; python_version >= '3.12'", "shapiq==1.4.1; python_version < '3.12'"]
    ],
    "pydvl": [["pydvl==0.10.0"]],
    "opendataval": [
        [
            "torch", "numpy<1.26", "pandas<2", "scikit-learn", "scipy", "matplotlib", "requests",
            "tqdm", "geomloss~=0.2.6", "pillow",
        ],
        ["--no-deps", "opendataval==1.3.0"],
    ],
}  # fmt: skip
"""What is installed, step by step. OpenDataVal wants a PyTorch of 2023; it gets the current one."""


def environment(library: str, python: str) -> Path:
    """Return the Python of a peer's environment, made with `python` where it is missing."""
    folder = FOLDER / library
    ready = folder / "ready"
    if not ready.exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        for packages in INSTALLS[library]:
            constraints = ["--constraint", str(HERE.parent / "constraints.txt")]
            subprocess.run([*pip, *constraints, *packages], check=True)
        ready.touch()
    return folder / "bin" / "python"


class Values(NamedTuple):
    """What a method made of a game.

    Attributes:
        values: (n_players,) values.
        seconds: CPU seconds of the method itself.
        n_calls: Coalitions that it asked for.
    """

    values: NDArray[np.float64]
    seconds: float
    n_calls: int


class Peer:
    """A library in a process of its own, until it is closed."""

    def __init__(self, library: str, python: str) -> None:
        command = [str(environment(library, python)), str(HERE / "peers_worker.py"), library]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        self.versions: dict[str, str] = self._heard()["versions"]

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"A peer ended by itself; see what {self._process.args!r} says.")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def values(
        self,
        method: str,
        n: int,
        budget: int,
        seed: int,
        worth: Callable[[NDArray[np.bool_]], NDArray[np.float64]],
    ) -> Values:
        """Return what a method makes of a game of n players.

        Args:
            method: Its name in `peers_worker.py`.
            n: Number of players.
            budget: Coalitions that it may ask for.
            seed: Of the method's random numbers.
            worth: From (m, n) coalitions to (m,) values; may be called several times.
        """
        self._say({"method": method, "n": n, "budget": budget, "seed": seed})
        while "coalitions" in (heard := self._heard()):
            coalitions = np.array(heard["coalitions"], dtype=bool)
            self._say({"worth": worth(coalitions).tolist()})
        return Values(np.array(heard["values"]), heard["seconds"], heard["n_calls"])


def python_of(library: str, given: list[str]) -> str:
    """Return the interpreter that `LIBRARY=PATH` names for a library, or the running one."""
    return dict(pair.split("=", 1) for pair in given).get(library, sys.executable)
