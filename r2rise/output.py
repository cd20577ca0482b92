"""The directory that `explain` writes: all that is needed to go on, to judge and to repeat."""

from dataclasses import dataclass
from pathlib import Path

from r2rise.algorithms.registry import require
from r2rise.demonstrations import Demonstrations
from r2rise.errors import InputError
from r2rise.importance import ImportanceMap
from r2rise.study import Study, read_yaml


@dataclass(frozen=True)
class OutputDirectory:
    """`study.yaml`, `demonstrations.npz`, `ledger.npz`, `map.json`, `map.csv` and `map.png`."""

    path: Path

    def check(self) -> None:
        """Check, before anything is spent, that everything can be written.

        Raises:
            InputError: When the path is a file.
            MissingExtra: When the picture cannot be drawn.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--out should be a directory, but {self.path} is a file.")
        require("matplotlib", "Drawing a map", "plot")

    @property
    def ledger(self) -> Path:
        """Where the ledger lies."""
        return self.path / "ledger.npz"

    def write_study(self, study: Study, demonstrations: Demonstrations) -> None:
        """Write the resolved study and its demonstrations, unless they are there already."""
        self.path.mkdir(parents=True, exist_ok=True)
        copy, of_study = self.path / "demonstrations.npz", self.path / "study.yaml"
        written_for = read_yaml(of_study).get("demonstrations") if of_study.exists() else None
        if not copy.exists() or written_for != study.demonstrations:
            demonstrations.save(copy)
        study.save(of_study)

    def write_map(self, importance_map: ImportanceMap) -> None:
        """Write the map in every format."""
        for name in ("map.json", "map.csv", "map.png"):
            importance_map.save(self.path / name)
