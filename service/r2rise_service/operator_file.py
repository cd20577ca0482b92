"""`operator.json`: how commands on the same machine reach a server that runs on SQLite.

Only the server's user can read the file. It exists while the server runs. A file that a crash left
behind is recognized by the lock of the data folder: no process holds it then.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

_NAME = "operator.json"


@dataclass(frozen=True)
class OperatorAccess:
    """URL of the server, and a token for everyone who can read its data folder."""

    url: str
    token: str = field(repr=False)


@contextmanager
def publish_operator_access(folder: Path, url: str) -> Iterator[OperatorAccess]:
    """Write the file with a new random token; it is removed when the block ends."""
    access = OperatorAccess(url, secrets.token_urlsafe(32))
    handle, path = tempfile.mkstemp(dir=folder, prefix=_NAME)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(access), file)
    Path(path).replace(folder / _NAME)
    try:
        yield access
    finally:
        remove_operator_access(folder)


def read_operator_access(folder: Path) -> OperatorAccess | None:
    """Return the content of the file; None if there is no valid file."""
    with suppress(OSError, ValueError, TypeError):
        return OperatorAccess(**json.loads((folder / _NAME).read_text(encoding="utf-8")))
    return None


def remove_operator_access(folder: Path) -> None:
    """Remove the file, if it exists."""
    (folder / _NAME).unlink(missing_ok=True)
