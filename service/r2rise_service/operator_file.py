"""`operator.json`: how commands on the server's own machine reach a server that runs on SQLite.

Only the server's user can read it. It is there while the server runs; one that a crash left behind
is recognised by the lock of the data folder, which nobody holds then.
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
class Operator:
    """Where the server is, and what opens it to whoever may read its data folder."""

    url: str
    token: str = field(repr=False)


@contextmanager
def announced(folder: Path, url: str) -> Iterator[Operator]:
    """Write the file with a new random token; it is removed when the block ends."""
    operator = Operator(url, secrets.token_urlsafe(32))
    handle, path = tempfile.mkstemp(dir=folder, prefix=_NAME)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(operator), file)
    Path(path).replace(folder / _NAME)
    try:
        yield operator
    finally:
        forget_operator(folder)


def read_operator(folder: Path) -> Operator | None:
    """Return what the file says, or None where there is none."""
    with suppress(OSError, ValueError, TypeError):
        return Operator(**json.loads((folder / _NAME).read_text(encoding="utf-8")))
    return None


def forget_operator(folder: Path) -> None:
    """Remove the file, where there is one."""
    (folder / _NAME).unlink(missing_ok=True)
