"""What a command does before anything is spent: it gets ready, and looks where it may write."""

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from r2rise.ask.directory import OutputDirectory
    from r2rise.errors import InputError

_OF_A_STUDY = ("study.yaml", "demonstrations.npz", "ledger.npz", "pilot.npz", "map.json")


def get_ready() -> None:
    """Find the user's own module:object in the working directory; talk on standard error."""
    sys.path.insert(0, "")
    logger = logging.getLogger("r2rise")
    logger.handlers = [logging.StreamHandler()]
    logger.setLevel(logging.INFO)


def check_files(
    *named: Path,
    force: bool,
    study: "OutputDirectory | None" = None,
    usual: Iterable[Path] = (),
    option: str = "--out",
) -> None:
    """Check, before anything is spent, that files can be written and replace nothing of others.

    Args:
        named: Files whose names the user gave, and what is written beside them.
        force: Whether other files may be replaced; those that a study goes on from never are.
        study: Of which the files are: what it wrote itself, it may replace.
        usual: Files under their usual names in the directory of the study.
        option: Which gave the names.

    Raises:
        InputError: When one cannot be written, or something else would be replaced.
    """
    from r2rise.ask.written import is_there

    for path in named:
        check_writable(path, option)
        _check_no_part(path, option)
    if force:
        return
    for path in named:
        if is_there(path) and not (study and study.written.is_as_written(path)):
            raise _taken(path, study, "choose another name")
    for path in usual:
        if is_there(path) and not (study and study.written.owns(path.name)):
            raise _taken(path, study, "move it away")


def _check_no_part(path: Path, option: str) -> None:
    """Check that a file is none that a study goes on from.

    Raises:
        InputError: When it is.
    """
    from r2rise.ask.written import Written
    from r2rise.errors import InputError

    if path.name in _OF_A_STUDY and path.exists() and Written(path.parent).study_dataset_hash():
        raise InputError(f"{option} would overwrite {path} of a study: choose another name.")


def _taken(path: Path, study: "OutputDirectory | None", way_out: str) -> "InputError":
    from r2rise.errors import InputError

    otherwise = "" if study is None else ", and not as this study wrote it"
    return InputError(f"{path} is there already{otherwise}: {way_out}, or replace it with --force.")


def check_writable(path: Path, option: str = "--out") -> None:
    """Check, before anything is spent, that a file can be written.

    Raises:
        InputError: When it cannot.
    """
    from r2rise.errors import InputError

    if path.is_dir():
        raise InputError(f"{option} should be a file, but {path} is a directory.")
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise InputError(f"{option} cannot be written: {above} is no directory, or is read-only.")
