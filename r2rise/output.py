"""The directory of a study: all that is needed to go on, to judge and to repeat."""

from dataclasses import dataclass
from pathlib import Path

from r2rise.demonstrations import Demonstrations
from r2rise.errors import InputError, ResultError
from r2rise.extras import require
from r2rise.importance import ImportanceMap
from r2rise.results import Result
from r2rise.study import Study, read_yaml


@dataclass(frozen=True)
class OutputDirectory:
    """`study.yaml`, `demonstrations.npz`, `ledger.npz`, `map.json`, `map.csv` and `map.png`.

    Other results lie beside them, each under its own name: `plan.json` (with `plan.yaml` and
    `pilot.npz`), `certificate.json`, `curation.json`, `transfer.json`, `report.html`.
    """

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

    @property
    def training_ledger(self) -> Path:
        """Where the ledger of the training check lies, in whose design no amount is chosen."""
        return self.path / "training.npz"

    @property
    def pilot_ledger(self) -> Path:
        """Where the ledger of a pilot lies, whose design may differ from the study it proposes."""
        return self.path / "pilot.npz"

    def demonstrations(self) -> Demonstrations:
        """Read the demonstrations of the study.

        Raises:
            ResultError: When the directory does not hold a study.
        """
        copy = self.path / "demonstrations.npz"
        if not copy.exists():
            raise ResultError(
                f"{self.path} is not a directory that `r2rise explain ... --out` wrote: "
                f"demonstrations.npz is missing."
            )
        study = Study.load(self.path / "study.yaml")
        return Demonstrations.load(copy, obs_keys=study.environment.obs_keys)

    def importance_map(self) -> ImportanceMap:
        """Read the map of the study.

        Raises:
            MapError: When there is none yet.
        """
        return ImportanceMap.load(self.path)

    def study(self) -> Study | None:
        """Read the study that an earlier run wrote, or return None when there is none yet."""
        path = self.path / "study.yaml"
        return Study.load(path) if path.exists() else None

    def write(self, result: Result) -> None:
        """Write a result under its usual name, and its figure beside it."""
        path = self.path / result.file_name
        result.save(path)
        if ".png" in result.endings:
            result.save(path.with_suffix(".png"))

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
