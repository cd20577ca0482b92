"""What a ledger says it is, and what is done about files that say something else."""

from pathlib import Path
from typing import Any

from r2rise.errors import LedgerError
from r2rise.study.hashing import HASH_VERSION

FORMAT = "r2rise.ledger/1"
"""A new column or field of the ledger or its journal raises the number."""


def check_format(header: Any, path: Path) -> None:
    """Check that this version can read a ledger or a journal.

    Args:
        header: What the file has in its first place.
        path: The file, for the message.

    Raises:
        LedgerError: When it is something else, or of a newer version.
    """
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        raise LedgerError(
            f"{path} cannot be read: expected a ledger of format {FORMAT!r}, got {found!r}. "
            + (_NEWER if _is_newer(found) else "It is no ledger, or damaged: choose another file.")
        )
    version = header.get("hash_version", HASH_VERSION)  # what came first did not say
    if version != HASH_VERSION:
        raise LedgerError(
            f"{path} cannot be read: expected a design hashed by version {HASH_VERSION}, got "
            f"{version!r}. {_NEWER}"
        )


_NEWER = "A newer r2rise wrote it: upgrade r2rise, or choose another file."


def _is_newer(found: object) -> bool:
    name, _, number = str(found).rpartition("/")
    ours, _, known = FORMAT.rpartition("/")
    return name == ours and number.isdecimal() and int(number) > int(known)
