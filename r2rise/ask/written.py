"""What a study wrote: in its directory known by what it holds, elsewhere by a record.

Only such files may be replaced without being asked for it.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from r2rise.errors import StudyError
from r2rise.files import atomic_file
from r2rise.study.study import read_yaml

RECORD = ".written.json"
"""Of files elsewhere: their path, seen from the directory, and the SHA-256 of what was written."""

_RESULTS = {
    "map": "r2rise.importance_map",
    "plan": "r2rise.plan",
    "certificate": "r2rise.certificate",
    "curation": "r2rise.curation",
    "training_check": "r2rise.training_check",
    "transfer": "r2rise.transfer",
}
"""Results that lie in a directory and their schemas; tables, figures and `plan.yaml` lie beside."""

_ENDINGS = (".json", ".csv", ".png", ".yaml")

_REPORT_MARK = b'<meta name="generator" content="R2RISE '


def is_there(path: Path) -> bool:
    """Say whether anything is at a path, be it a link that leads nowhere."""
    return path.exists() or path.is_symlink()


@dataclass(frozen=True)
class Written:
    """The files that the study of a directory wrote."""

    directory: Path

    def explained(self) -> str | None:
        """Return the content hash of the demonstrations that `study.yaml` is about.

        None where it is not there, or no resolved study: only r2rise fills the hash in.
        """
        try:
            found = read_yaml(self.directory / "study.yaml").get("demonstrations")
        except StudyError:
            return None
        return None if found is None else str(found)

    def owns(self, name: str) -> bool:
        """Say whether a file of the directory is what the study writes under this name."""
        path = self.directory / name
        if name == "report.html":
            return _starts_as_report(path)
        if name == "study.yaml":
            return self.explained() is not None
        if path.stem not in _RESULTS or path.suffix not in _ENDINGS:
            return False
        schema = _read_json(path.with_suffix(".json")).get("schema")
        return schema == _RESULTS[path.stem] and self._has_begun(path.stem)

    def is_as_written(self, path: Path) -> bool:
        """Say whether a file elsewhere is still what the study wrote there."""
        noted = self._record().get(self._seen_from_here(path))
        return noted is not None and path.is_file() and _sha256(path) == noted

    def remember(self, *paths: Path) -> None:
        """Note what was just written elsewhere."""
        files = self._record() | {self._seen_from_here(path): _sha256(path) for path in paths}
        with atomic_file(self.directory / RECORD) as file:
            file.write((json.dumps(files, indent=2) + "\n").encode())

    def _has_begun(self, result: str) -> bool:
        if result == "plan":
            return (self.directory / "pilot.npz").exists()
        return self.explained() is not None

    def _record(self) -> dict[str, object]:
        return _read_json(self.directory / RECORD)

    def _seen_from_here(self, path: Path) -> str:
        """Return the relative path, so that directory and files can be moved together."""
        return os.path.relpath(path.parent.resolve() / path.name, self.directory.resolve())


def _read_json(path: Path) -> dict[str, object]:
    """Return the fields of a JSON object; none where it is something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _starts_as_report(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _REPORT_MARK in file.read(4096)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
