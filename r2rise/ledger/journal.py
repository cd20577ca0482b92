"""A ledger that is kept on disk as it grows.

Records are appended to a journal (`<ledger>.journal`, a JSON line each) as they come, and synced
to disk. `ledger.npz` is written from it atomically. Whatever stops the process, what was appended
is there when the ledger is opened again; a line cut off in the middle is dropped.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from r2rise.errors import LedgerError
from r2rise.ledger.ledger import Ledger, LedgerHeader, journal_path, read_journal
from r2rise.ledger.record import Record
from r2rise.study.hashing import completed


class LedgerFile:
    """A ledger that is kept on disk as it grows. Use `open_ledger`."""

    def __init__(self, path: Path, ledger: Ledger) -> None:
        self._path = path
        self.ledger = ledger
        self._consolidate()
        self._journal = journal_path(path).open("ab")
        self._write(ledger.header.to_json())

    def append(self, records: Iterable[Record], *, worked: float | None = None) -> None:
        """Take in records, as `Ledger.add`; they are on disk when this returns.

        Times come first: should the end be cut off, a time without its block does no harm, since
        it is noted again when the block is complete, but a complete block would never get one.
        """
        records = list(records)
        for block, elapsed in self.ledger.add(records, worked=worked).items():
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
        """Write the ledger file and remove the journal that it now holds."""
        self._journal.close()
        self._consolidate()


@contextmanager
def open_ledger(path: Path | None, header: LedgerHeader) -> Iterator["LedgerFile | MemoryLedger"]:
    """Open a ledger for the records of one design; go on with what is there.

    Args:
        path: The `.npz` file, or None to keep the records in memory only.
        header: What the new records have in common.

    Raises:
        LedgerError: When another process uses the ledger, it is damaged, or is of another design;
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
            f"Another process is writing to {path}. Wait for it to end, or choose another --out."
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
    """A ledger that is not kept on disk."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def append(self, records: Iterable[Record], *, worked: float | None = None) -> None:
        """Take in records, as `Ledger.add`."""
        self.ledger.add(records, worked=worked)


def check_same_design(path: Path, held: LedgerHeader, asked: LedgerHeader) -> None:
    """Check that new records belong into a ledger.

    Raises:
        LedgerError: Naming every difference.
    """
    if held.design_hash == asked.design_hash:
        return
    differences = "\n".join(
        f"  {_difference(name, ours, theirs)}"
        for name, ours, theirs in _differences(completed(held.design), completed(asked.design))
    )
    raise LedgerError(
        f"The ledger {path} is of another design:\n{differences}\n"
        f"Ask for the ledger's own values to extend it, or choose another --out."
    )


def _difference(name: str, ours: Any, theirs: Any) -> str:
    part, _, field = name.rpartition(".")
    if field != "identity":
        return f"{name}: the ledger has {ours!r}, asked for {theirs!r}"
    if ours is None:
        return f"{part}: the ledger does not say with what code of yours it was made"
    return f"{part}: its code, or what it holds, is not the ledger's"


def _differences(
    held: dict[str, Any], asked: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(held.keys() | asked.keys()):
        ours, theirs = held.get(name), asked.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from _differences(ours, theirs, f"{prefix}{name}.")
        elif ours != theirs:
            yield f"{prefix}{name}", ours, theirs
