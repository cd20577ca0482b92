"""What commands do before any expensive work: set up the process, and check output files."""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from r2rise.ask.directory import OutputDirectory
    from r2rise.errors import InputError

_STUDY_FILES = ("study.yaml", "demonstrations.npz", "ledger.npz", "pilot.npz", "map.json")


def get_ready() -> None:
    """Make modules of the working directory importable, and log to standard error.

    The working directory comes last: a `torch.py` that lies beside the data is not imported. Its
    path is absolute, so that worker processes look in the same place.
    """
    working_directory = str(Path.cwd())
    if working_directory not in sys.path:
        sys.path.append(working_directory)
    logger = logging.getLogger("r2rise")
    logger.handlers = [_StandardErrorHandler()]
    logger.setLevel(logging.INFO)


class _StandardErrorHandler(logging.StreamHandler[TextIO]):
    """Logs to what standard error is at the time, such as the lines above a progress bar."""

    @property
    def stream(self) -> TextIO:
        """The current standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        pass


def check_files(
    *paths: Path,
    force: bool,
    study: "OutputDirectory | None" = None,
    default_paths: Iterable[Path] = (),
    option: str = "--out",
) -> None:
    """Check, before any expensive work, that files can be written and replace no foreign files.

    Args:
        paths: Files that the user named, and files that are written beside them.
        force: Whether foreign files may be replaced. Files that a study needs to continue are never
            replaced.
        study: Study that the files belong to. It may replace the files that it wrote itself.
        default_paths: Files under their default names in the directory of the study.
        option: Option that named the files, for error texts.

    Raises:
        InputError: When a file cannot be written, or a foreign file would be replaced.
    """
    from r2rise.ask.written import is_there

    for path in paths:
        check_writable(path, option)
        _check_not_study_file(path, option)
    if force:
        return
    for path in paths:
        if is_there(path) and not (study and study.written.is_as_written(path)):
            raise _exists_error(path, study, "choose another name")
    for path in default_paths:
        if is_there(path) and not (study and study.written.owns(path.name)):
            raise _exists_error(path, study, "move it away")


def _check_not_study_file(path: Path, option: str) -> None:
    """Check that a file is not one that a study needs to continue.

    Raises:
        InputError: When it is such a file.
    """
    from r2rise.ask.written import Written
    from r2rise.errors import InputError

    if path.name in _STUDY_FILES and path.exists() and Written(path.parent).study_dataset_hash():
        raise InputError(f"{option} would overwrite {path} of a study: choose another name.")


def _exists_error(path: Path, study: "OutputDirectory | None", advice: str) -> "InputError":
    from r2rise.errors import InputError

    addition = "" if study is None else ", and not as this study wrote it"
    return InputError(f"{path} already exists{addition}: {advice}, or replace it with --force.")


def check_writable(path: Path, option: str = "--out") -> None:
    """Check, before any expensive work, that a file can be written.

    Raises:
        InputError: When it cannot be written.
    """
    from r2rise.errors import InputError
    from r2rise.files import check_place

    if path.is_dir():
        raise InputError(f"{option} should be a file, but {path} is a directory.")
    check_place(path.parent, option)
