"""The directory of a study: all that is needed to go on, to judge and to repeat."""

from dataclasses import dataclass
from pathlib import Path

from r2rise.ask.written import Written, is_there
from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import DemonstrationsError, InputError, ResultError, require
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import Result
from r2rise.study.study import Study


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

    def check_own(self, *paths: Path) -> None:
        """Check, before anything is spent, that no file is replaced that this study did not write.

        Raises:
            InputError: When one would be.
        """
        for path in paths:
            if is_there(path) and not self.written.owns(path.name):
                raise _foreign(path)

    def check_study(self, study: Study) -> None:
        """Check the same of the study, its demonstrations and its map.

        Raises:
            InputError: When something else would be replaced.
        """
        self.check_own(self.path / "study.yaml", *self.files_of(ImportanceMap))
        explained = self.written.explained()
        if not is_there(self._copy) or explained == study.demonstrations:
            return
        copied = self._copied(study)
        if copied is None or copied not in (study.demonstrations, explained):
            raise _foreign(self._copy)

    @property
    def written(self) -> Written:
        """Which files this study wrote, here and elsewhere."""
        return Written(self.path)

    @property
    def _copy(self) -> Path:
        return self.path / "demonstrations.npz"

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

    @property
    def plan_study(self) -> Path:
        """Where the study that a plan proposes lies."""
        return self.path / "plan.yaml"

    def demonstrations(self) -> Demonstrations:
        """Read the demonstrations of the study.

        Raises:
            ResultError: When the directory does not hold a study.
        """
        copy = self._copy
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

    def files_of(self, kind: type[Result]) -> tuple[Path, ...]:
        """Return the files that a result is written as: under its usual name, figure beside it."""
        path = self.path / kind.file_name
        endings = (".json", ".csv", ".png")
        return tuple(path.with_suffix(ending) for ending in endings if ending in kind.endings)

    def write(self, result: Result) -> None:
        """Write a result as all of its files."""
        for path in self.files_of(type(result)):
            result.save(path)

    def write_study(self, study: Study, demonstrations: Demonstrations) -> None:
        """Write the resolved study and its demonstrations, unless they are there already."""
        self.path.mkdir(parents=True, exist_ok=True)
        known = self._copy.exists() and self.written.explained() == study.demonstrations
        if not known and self._copied(study) != study.demonstrations:
            demonstrations.save(self._copy)
        study.save(self.path / "study.yaml")

    def _copied(self, study: Study) -> str | None:
        """Return the content hash of the demonstrations that lie here; None where none do."""
        try:
            found = Demonstrations.load(self._copy, obs_keys=study.environment.obs_keys)
        except DemonstrationsError:
            return None
        return found.content_hash


def _foreign(path: Path) -> InputError:
    return InputError(
        f"{path} would be replaced, but r2rise did not write it for this study: move it away, or "
        f"choose another directory."
    )
