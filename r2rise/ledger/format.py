"""The format version of ledgers, and the errors for other formats."""

from pathlib import Path
from typing import Any

from r2rise.errors import LedgerError
from r2rise.study.hashing import HASH_VERSION

FORMAT = "r2rise.ledger/1"
"""Format of ledgers and journals; a new column or field raises the number."""


def check_format(header: Any, path: Path) -> None:
    """Check that this version can read a ledger or a journal.

    Args:
        header: The parsed header of the file.
        path: The file, for the message.

    Raises:
        LedgerError: When the file is not a ledger, or of a newer version.
    """
    file_format = header.get("format") if isinstance(header, dict) else None
    if file_format != FORMAT:
        raise LedgerError(
            f"{path} cannot be read: expected a ledger of format {FORMAT!r}, got {file_format!r}. "
            + (
                _NEWER
                if _is_newer(file_format)
                else "It is not a ledger, or it is damaged: choose another file."
            )
        )
    version = header.get("hash_version", HASH_VERSION)  # the first ledgers have no such field
    if version != HASH_VERSION:
        raise LedgerError(
            f"{path} cannot be read: expected a design hashed by version {HASH_VERSION}, got "
            f"{version!r}. {_NEWER}"
        )


_NEWER = "A newer r2rise wrote it: upgrade r2rise, or choose another file."


def _is_newer(file_format: object) -> bool:
    name, _, version = str(file_format).rpartition("/")
    ledger_name, _, current_version = FORMAT.rpartition("/")
    return name == ledger_name and version.isdecimal() and int(version) > int(current_version)
