"""What several commands share: options, and what is done before anything is spent."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory that `r2rise explain --out` wrote.")
]
Repetitions = Annotated[int, typer.Option(min=2, help="Training seeds to compare.")]
Workers = Annotated[int, typer.Option(min=0, help="Worker processes; 0: this one.")]

_OF_A_STUDY = ("study.yaml", "demonstrations.npz", "ledger.npz", "pilot.npz", "map.json")


def get_ready() -> None:
    """Find the user's own module:object in the working directory; talk on standard error."""
    sys.path.insert(0, "")
    logger = logging.getLogger("r2rise")
    logger.handlers = [logging.StreamHandler()]
    logger.setLevel(logging.INFO)


def check_file(path: Path, option: str = "--out") -> None:
    """Check, before anything is spent, that a file can be written and is no part of a study.

    Raises:
        InputError: When it cannot, or is.
    """
    from r2rise.errors import InputError

    check_writable(path, option)
    if path.name in _OF_A_STUDY and (path.parent / "study.yaml").exists():
        raise InputError(f"{option} would overwrite {path} of a study: choose another name.")


def check_new_file(path: Path, option: str = "--out") -> None:
    """Check, before anything is spent, that a file can be written and that none is replaced.

    For what can be no more made anew once it is gone: demonstrations and experts.

    Raises:
        InputError: When it cannot, or something is there.
    """
    from r2rise.errors import InputError

    check_writable(path, option)
    if path.exists():
        raise InputError(f"{path} is there already: choose another name, or remove it.")


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
