"""The ledger: a record of every retraining, the single source of truth of a study."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from r2rise.design.seeds import Kind
from r2rise.design.tasks import Task, TaskKey
from r2rise.errors import LedgerError
from r2rise.files import atomic_file
from r2rise.ledger.format import FORMAT, check_format
from r2rise.ledger.record import ADDED_COLUMNS, Record, packed_masks
from r2rise.study.hashing import HASH_VERSION, json_hash, without_first_defaults
from r2rise.study.parts import Masking

WORK_SO_FAR = -1
"""Key, in place of a block's index, of the seconds of work so far."""


@dataclass(frozen=True)
class LedgerHeader:
    """The properties that all records of a ledger share.

    Attributes:
        design: `Study.design_part()` of the records' study.
        lengths: Frames of each demonstration.
        n_segments: Length of a mask.
    """

    design: dict[str, Any]
    lengths: tuple[int, ...]
    n_segments: int

    @property
    def design_hash(self) -> str:
        """Hash of the design part, equal to `Study.design_hash`."""
        return json_hash(without_first_defaults(self.design))

    @cached_property
    def masks_between_looks(self) -> int:
        """Number of masks for which a time is recorded; see `Masking.masks_between_looks`."""
        return Masking.model_validate(self.design["masking"]).masks_between_looks

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {
            "format": FORMAT,
            "hash_version": HASH_VERSION,
            "design_hash": self.design_hash,
            "design": without_first_defaults(self.design),
            "lengths": list(self.lengths),
            "n_segments": self.n_segments,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any], path: Path) -> "LedgerHeader":
        """Build a header from the output of `to_json`.

        Raises:
            LedgerError: When `path` is not a ledger, or of a newer version.
        """
        check_format(fields, path)
        return cls(fields["design"], tuple(fields["lengths"]), fields["n_segments"])


class Ledger:
    """Records by task; a later record of a task replaces an earlier one.

    Attributes:
        header: The properties that all records share.
        elapsed: Seconds of work, over all runs, until each block of the design was complete.
        work_seconds: Seconds of work so far, over all runs, including an incomplete block.
    """

    def __init__(self, header: LedgerHeader, records: Iterable[Record] = ()) -> None:
        self.header = header
        self.elapsed: dict[int, float] = {}
        self.work_seconds = 0.0
        self._n_complete = 0
        self._records: dict[TaskKey, Record] = {}
        self._indices: dict[Kind, set[int]] = {}
        self.add(records)

    def add(
        self, records: Iterable[Record], *, work_seconds: float | None = None
    ) -> dict[int, float]:
        """Add records.

        Args:
            records: Records of finished retrainings.
            work_seconds: Seconds of work so far, over all runs; None leaves the times unchanged.

        Returns:
            The times that were recorded, to be stored by the caller: `WORK_SO_FAR`, and the blocks
            that these records completed. A block is complete only when all blocks before it are.
        """
        complete_before = 0 if work_seconds is None else self._count_complete_blocks()
        for record in records:
            self._records[record.key] = record
            self._indices.setdefault(record.kind, set()).add(record.index)
        if work_seconds is None:
            return {}
        blocks = range(complete_before, self._count_complete_blocks())
        times = {WORK_SO_FAR: work_seconds, **dict.fromkeys(blocks, work_seconds)}
        self.note_times(times)
        return times

    def _count_complete_blocks(self) -> int:
        size = self.header.masks_between_looks
        while self.holds("design", range(self._n_complete * size, (self._n_complete + 1) * size)):
            self._n_complete += 1
        return self._n_complete

    def note_times(self, times: Mapping[int, float]) -> None:
        """Record times that `add` returned; the records of that call must be added as well."""
        for block, seconds in times.items():
            if block != WORK_SO_FAR:
                self.elapsed[block] = seconds
            self.work_seconds = max(self.work_seconds, seconds)

    def get(self, task: Task) -> Record | None:
        """Return the record of a task, or None."""
        return self._records.get(task.key)

    def holds(self, kind: Kind, indices: Iterable[int]) -> bool:
        """Return whether all retrainings of these indices have a record, successful or failed."""
        recorded = self._indices.get(kind, set())
        return all(index in recorded for index in indices)

    def records(self, kind: Kind, count: int | None = None) -> list[Record]:
        """Return the records of a kind, sorted by index; with `count`, only indices below it."""
        return [
            self._records[key]
            for key in sorted(self._records)
            if key[0] == kind and (count is None or key[1] < count)
        ]

    def __len__(self) -> int:
        return len(self._records)

    def save(self, path: Path) -> None:
        """Write all records to a `.npz` file atomically."""
        records = [self._records[key] for key in sorted(self._records)]
        n_returns = np.array([len(record.returns) for record in records], dtype=np.int64)
        columns = {
            name: np.array([getattr(record, name) for record in records], dtype=dtype)
            for name, dtype in _COLUMN_DTYPES.items()
        }
        with atomic_file(path) as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                meta=np.array(json.dumps(self.header.to_json())),
                mask=packed_masks(records, self.header.n_segments),
                n_returns=n_returns,
                returns=np.concatenate([np.zeros(0), *(record.returns for record in records)]),
                elapsed=np.array(
                    [*self.elapsed.items(), (WORK_SO_FAR, self.work_seconds)], dtype=np.float64
                ),
                **columns,
            )

    @classmethod
    def load(cls, path: str | Path) -> "Ledger":
        """Read a ledger: its `.npz` file and its journal, of which either may be missing.

        Raises:
            LedgerError: When both are missing, or one is damaged or of a newer version.
        """
        path = Path(path)
        header = read_header(path)
        if header is None:
            raise LedgerError(f"There is no ledger at {path}.")
        ledger = _read_npz(path, header) if path.exists() else cls(header)
        _add_journal(ledger, path)
        return ledger


def read_header(path: str | Path) -> LedgerHeader | None:
    """Read the header of a ledger or its journal; return None when both are missing.

    Raises:
        LedgerError: When the file is damaged, or of a newer version.
    """
    path = Path(path)
    try:
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                return LedgerHeader.from_json(json.loads(str(arrays["meta"])), path)
        journal = journal_path(path)
        lines = read_journal(journal)
        return LedgerHeader.from_json(lines[0], journal) if lines else None
    except LedgerError:
        raise
    except Exception as error:  # zipfile, zlib, NumPy and JSON raise different errors
        raise LedgerError(f"{path} is not a ledger, or is damaged: {error!r}.") from None


_COLUMN_DTYPES: dict[str, str] = {
    "kind": "U16",
    "index": "i8",
    "training_seed": "i8",
    "evaluation_seed": "i8",
    "amount": "i8",
    "status": "U8",
    "reason": "U",
    "seconds": "f8",
    "attempts": "i8",
    "evaluation_seconds": "f8",
}


def journal_path(path: Path) -> Path:
    """Return the path of a ledger's journal."""
    return path.with_name(path.name + ".journal")


def _read_npz(path: Path, header: LedgerHeader) -> Ledger:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [name for name in _COLUMN_DTYPES if name in arrays or name not in ADDED_COLUMNS]
            columns = {name: arrays[name].tolist() for name in names}
            masks = [row.tobytes() for row in arrays["mask"]]
            returns = np.split(arrays["returns"], np.cumsum(arrays["n_returns"])[:-1])
            times = {int(block): seconds for block, seconds in arrays["elapsed"].tolist()}
    except Exception as error:  # zipfile, zlib, NumPy and JSON raise different errors
        raise LedgerError(f"{path} is not a ledger, or is damaged: {error!r}.") from None
    rows = zip(*columns.values(), masks, returns, strict=True) if masks else ()
    names = [*columns, "packed_mask", "returns"]
    fields = (ADDED_COLUMNS | dict(zip(names, row, strict=True)) for row in rows)
    ledger = Ledger(header, (Record(**record_fields) for record_fields in fields))
    ledger.note_times(times)
    return ledger


def _add_journal(ledger: Ledger, path: Path) -> None:
    """Add the records and times of a ledger's journal, if it exists."""
    journal = journal_path(path)
    lines = read_journal(journal)
    if not lines:
        return
    try:
        header = LedgerHeader.from_json(lines[0], journal)
        if header.design_hash != ledger.header.design_hash:
            raise LedgerError(
                f"{path} and its journal are of different designs: move one of them away."
            )
        ledger.add(Record.from_json(fields) for fields in lines[1:] if "kind" in fields)
        for fields in lines[1:]:
            if "block" in fields:
                ledger.note_times({fields["block"]: fields["elapsed"]})
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"The journal of {path} is damaged: {error!r}.") from None


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a journal; an incomplete last line is dropped.

    Raises:
        LedgerError: When a complete line is not JSON.
    """
    if not path.exists():
        return []
    complete_lines, _, _ = path.read_bytes().rpartition(b"\n")
    try:
        return [json.loads(line) for line in complete_lines.splitlines()]
    except ValueError as error:
        raise LedgerError(f"The journal {path} is damaged: {error}.") from None
