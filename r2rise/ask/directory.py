"""The directory of a study: everything needed to resume, to assess and to repeat it."""

from dataclasses import dataclass
from pathlib import Path

from r2rise.ask.written import Written, is_there
from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import DemonstrationsError, InputError, ResultError, require
from r2rise.files import check_place, to_path
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import Result
from r2rise.study.study import Study


@dataclass(frozen=True)
class OutputDirectory:
    """`study.yaml`, `demonstrations.npz`, `ledger.npz`, `map.json`, `map.csv` and `map.png`.

    Other results are beside them, each under its usual name: `plan.json` (with `plan.yaml` and
    `pilot.npz`), `certificate.json`, `curation.json`, `transfer.json`, `report.html`.
    """

    path: Path

    def check(self) -> None:
        """Check, before anything is spent, that everything can be written.

        Raises:
            InputError: When the path is a file, or in a place that cannot be written to.
            MissingExtra: When the picture cannot be drawn.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"out should be a directory, but {self.path} is a file.")
        check_place(self.path)
        require("matplotlib", "Drawing a map", "plot")

    def check_own(self, *paths: Path) -> None:
        """Check, before anything is spent, that only files of this study would be replaced.

        Raises:
            InputError: When a file that this study did not write would be replaced.
        """
        for path in paths:
            if is_there(path) and not self.written.owns(path.name):
                raise _foreign_file_error(path)

    def check_study(self, study: Study) -> None:
        """Check the same for the files of the study, its demonstrations and its map.

        Raises:
            InputError: When a file that this study did not write would be replaced.
        """
        self.check_own(self.path / "study.yaml", *self.files_of(ImportanceMap))
        study_hash = self.written.study_dataset_hash()
        if not is_there(self._copy) or study_hash == study.demonstrations:
            return
        copy_hash = self._copy_hash(study)
        if copy_hash is None or copy_hash not in (study.demonstrations, study_hash):
            raise _foreign_file_error(self._copy)

    @property
    def written(self) -> Written:
        """The files that this study wrote, in the directory and elsewhere."""
        return Written(self.path)

    @property
    def _copy(self) -> Path:
        return self.path / "demonstrations.npz"

    @property
    def ledger(self) -> Path:
        """Path of the ledger."""
        return self.path / "ledger.npz"

    @property
    def training_ledger(self) -> Path:
        """Path of the training check's ledger; its design leaves the amount of training open."""
        return self.path / "training.npz"

    @property
    def pilot_ledger(self) -> Path:
        """Path of a pilot's ledger; its design may differ from that of the proposed study."""
        return self.path / "pilot.npz"

    @property
    def plan_study(self) -> Path:
        """Path of the study that a plan proposes."""
        return self.path / "plan.yaml"

    def demonstrations(self) -> Demonstrations:
        """Read the demonstrations of the study.

        Raises:
            ResultError: When the directory does not hold a study.
        """
        copy = self._copy
        if not copy.exists():
            missing = "demonstrations.npz is missing."
            if self.path.is_file():
                missing = f"it is a file. Its directory is {self.path.parent}."
            raise ResultError(f"{self.path} is not a directory that `explain` wrote: {missing}")
        study = Study.load(self.path / "study.yaml")
        return Demonstrations.load(copy, obs_keys=study.environment.obs_keys)

    def importance_map(self) -> ImportanceMap:
        """Read the map of the study.

        Raises:
            MapError: When there is none yet.
        """
        return ImportanceMap.load(self.path)

    def study(self) -> Study | None:
        """Read the study that an earlier run wrote; None if there is none yet."""
        path = self.path / "study.yaml"
        return Study.load(path) if path.exists() else None

    def files_of(self, kind: type[Result]) -> tuple[Path, ...]:
        """Return the paths of a result's files: usual name, one path for each file ending."""
        path = self.path / kind.file_name
        endings = (".json", ".csv", ".png")
        return tuple(path.with_suffix(ending) for ending in endings if ending in kind.endings)

    def write(self, result: Result) -> None:
        """Write a result in all of its file formats."""
        for path in self.files_of(type(result)):
            result.save(path)

    def write_study(self, study: Study, demonstrations: Demonstrations) -> None:
        """Write the resolved study, and its demonstrations unless they already exist there."""
        self.path.mkdir(parents=True, exist_ok=True)
        # reading study.yaml is cheaper than hashing the demonstrations
        is_same = self._copy.exists() and (
            self.written.study_dataset_hash() == study.demonstrations
        )
        if not is_same and self._copy_hash(study) != study.demonstrations:
            demonstrations.save(self._copy)
        study.save(self.path / "study.yaml")

    def _copy_hash(self, study: Study) -> str | None:
        """Return the content hash of the demonstrations here; None if they cannot be read."""
        try:
            copy = Demonstrations.load(self._copy, obs_keys=study.environment.obs_keys)
        except DemonstrationsError:
            return None
        return copy.content_hash


def output_directory(out: str | Path | None) -> OutputDirectory | None:
    """Return the directory of a study; None where nothing is to be written.

    Raises:
        InputError: When it is not a path, or empty.
    """
    return None if out is None else OutputDirectory(to_path(out, "out", "directory"))


def _foreign_file_error(path: Path) -> InputError:
    return InputError(
        f"{path} would be replaced, but r2rise did not write it for this study: move it away, or "
        f"choose another directory."
    )
