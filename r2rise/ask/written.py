"""The files that a study wrote: recognized in its directory by content, elsewhere by a record.

Only these files may be replaced without the user's permission.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from r2rise.errors import StudyError
from r2rise.files import atomic_file
from r2rise.results.result import result_classes
from r2rise.study.study import read_yaml

RECORD = ".written.json"
"""For files outside the directory: their paths relative to it, and the SHA-256 of the content."""

_ENDINGS = (".json", ".csv", ".png", ".yaml")

_REPORT_MARK = b'<meta name="generator" content="R2RISE '


def is_there(path: Path) -> bool:
    """Return whether anything exists at a path, even a broken link."""
    return path.exists() or path.is_symlink()


@dataclass(frozen=True)
class Written:
    """The files that the study of a directory wrote."""

    directory: Path

    def study_dataset_hash(self) -> str | None:
        """Return the content hash of the demonstrations that `study.yaml` is about.

        None if the file does not exist or is not a resolved study: only r2rise fills in the hash.
        """
        try:
            content_hash = read_yaml(self.directory / "study.yaml").get("demonstrations")
        except StudyError:
            return None
        return None if content_hash is None else str(content_hash)

    def owns(self, name: str) -> bool:
        """Return whether a file of the directory has the content that the study writes there."""
        path = self.directory / name
        if name == "report.html":
            return _starts_as_report(path)
        if name == "study.yaml":
            return self.study_dataset_hash() is not None
        schemas = _schemas()
        if path.stem not in schemas or path.suffix not in _ENDINGS:
            return False
        schema = _read_json(path.with_suffix(".json")).get("schema")
        return schema == schemas[path.stem] and self._has_started(path.stem)

    def is_as_written(self, path: Path) -> bool:
        """Return whether a file outside the directory is unchanged since the study wrote it."""
        recorded = self._record().get(self._relative_path(path))
        return recorded is not None and path.is_file() and _sha256(path) == recorded

    def remember(self, *paths: Path) -> None:
        """Record files that were just written outside the directory."""
        files = self._record() | {self._relative_path(path): _sha256(path) for path in paths}
        with atomic_file(self.directory / RECORD) as file:
            file.write((json.dumps(files, indent=2) + "\n").encode())

    def _has_started(self, result: str) -> bool:
        """Return whether the retrainings behind a result were started in this directory."""
        if result == "plan":
            return (self.directory / "pilot.npz").exists()
        return self.study_dataset_hash() is not None

    def _record(self) -> dict[str, object]:
        return _read_json(self.directory / RECORD)

    def _relative_path(self, path: Path) -> str:
        """Return the relative path, so that directory and files can be moved together."""
        return os.path.relpath(path.parent.resolve() / path.name, self.directory.resolve())


def _schemas() -> dict[str, str]:
    """Return the schema of each result in a directory by the stem of its file name.

    Tables, figures and `plan.yaml` share these stems.
    """
    return {
        Path(kind.file_name).stem: kind.model_fields["schema_"].default
        for kind in result_classes()
        if kind.belongs_to_study
    }


def _read_json(path: Path) -> dict[str, object]:
    """Return the fields of a JSON object; empty if the file does not hold one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _starts_as_report(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _REPORT_MARK in file.read(4096)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
