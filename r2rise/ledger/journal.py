"""A ledger that is written to disk as it grows.

New records are appended to a journal (`<ledger>.journal`, one JSON line each) and synced to disk.
`ledger.npz` is written atomically from ledger and journal. Appended records survive any crash of
the process; an incomplete last line is dropped when the ledger is next opened.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from r2rise.errors import LedgerError
from r2rise.files import naming
from r2rise.ledger.ledger import Ledger, LedgerHeader, journal_path, read_journal
from r2rise.ledger.record import Record
from r2rise.study.hashing import with_first_defaults


class LedgerFile:
    """A ledger that is written to disk as it grows. Use `open_ledger` to create one."""

    def __init__(self, path: Path, ledger: Ledger) -> None:
        self._path = path
        self.ledger = ledger
        self._consolidate()
        self._journal = journal_path(path).open("ab")
        self._write(ledger.header.to_json())

    def append(self, records: Iterable[Record], *, work_seconds: float | None = None) -> None:
        """Add records as `Ledger.add` does, and sync them to disk.

        Times are written before records. If a crash cuts off the end, a time without its complete
        block is harmless, because it is written again when the block is complete. A complete block
        without its time would never get one.
        """
        records = list(records)
        with naming(self._path):
            for block, elapsed in self.ledger.add(records, work_seconds=work_seconds).items():
                self._write({"block": block, "elapsed": elapsed})
            for record in records:
                self._write(record.to_json())
            self._journal.flush()
            os.fsync(self._journal.fileno())

    def _write(self, fields: dict[str, Any]) -> None:
        self._journal.write(json.dumps(fields).encode() + b"\n")

    def _consolidate(self) -> None:
        self.ledger.save(self._path)
        journal_path(self._path).unlink(missing_ok=True)

    def close(self) -> None:
        """Write the ledger file, and remove the journal, which it now includes."""
        with naming(self._path):
            self._journal.close()
        self._consolidate()


@contextmanager
def open_ledger(path: Path | None, header: LedgerHeader) -> Iterator["LedgerFile | MemoryLedger"]:
    """Open a ledger for records of one design; an existing ledger is extended.

    Args:
        path: The `.npz` file, or None to keep the records in memory only.
        header: Header of the new records.

    Raises:
        LedgerError: When another process uses the ledger, it is damaged, or it has another design;
            the differences are named.
    """
    if path is None:
        yield MemoryLedger(Ledger(header))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LedgerError(
            f"Another process is writing to {path}. Wait for it to end, or choose another place."
        ) from None
    try:
        exists = path.exists() or bool(read_journal(journal_path(path)))
        ledger = Ledger.load(path) if exists else Ledger(header)
        check_same_design(path, ledger.header, header)
        file = LedgerFile(path, ledger)
        try:
            yield file
        finally:
            file.close()
    finally:
        lock.release()


class MemoryLedger:
    """A ledger in memory only, with the interface of `LedgerFile`."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def append(self, records: Iterable[Record], *, work_seconds: float | None = None) -> None:
        """Add records as `Ledger.add` does."""
        self.ledger.add(records, work_seconds=work_seconds)


def check_same_design(path: Path, existing: LedgerHeader, requested: LedgerHeader) -> None:
    """Check that a ledger has the requested design.

    Args:
        path: The ledger, for the message.
        existing: Header of the ledger.
        requested: Header of the new records.

    Raises:
        LedgerError: When the designs differ; every difference is named.
    """
    if existing.design_hash == requested.design_hash:
        return
    existing_design, requested_design = (
        with_first_defaults(existing.design),
        with_first_defaults(requested.design),
    )
    differences = "\n".join(
        f"  {_describe_difference(*difference)}"
        for difference in _find_differences(existing_design, requested_design)
    )
    raise LedgerError(
        f"The ledger {path} is of another design:\n{differences}\n"
        f"Use the values of the ledger to extend it, or choose another place."
    )


def _describe_difference(name: str, existing: Any, requested: Any) -> str:
    part, _, field = name.rpartition(".")
    if field != "identity":
        return f"{name}: the ledger has {existing!r}, but this study has {requested!r}"
    if existing is None:
        return f"{part}: the ledger does not record which code of yours it was made with"
    return f"{part}: its code or its data is not that of the ledger"


def _find_differences(
    existing: dict[str, Any], requested: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, existing value, requested value) of every field that differs."""
    for name in sorted(existing.keys() | requested.keys()):
        existing_value, requested_value = existing.get(name), requested.get(name)
        if isinstance(existing_value, dict) and isinstance(requested_value, dict):
            yield from _find_differences(existing_value, requested_value, f"{prefix}{name}.")
        elif existing_value != requested_value:
            yield f"{prefix}{name}", existing_value, requested_value
