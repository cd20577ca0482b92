"""The ledger: the record of every retraining, and the one source of truth."""

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
from r2rise.ledger.record import ADDED, Record, packed_masks
from r2rise.study.hashing import HASH_VERSION, hashed, json_hash
from r2rise.study.parts import Masking

SO_FAR = -1
"""In place of a block's number: seconds of work until now."""


@dataclass(frozen=True)
class LedgerHeader:
    """What all records of a ledger have in common.

    Attributes:
        design: `Study.design_part()` of the study that the records belong to.
        lengths: Frames of each demonstration.
        n_segments: Length of a mask.
    """

    design: dict[str, Any]
    lengths: tuple[int, ...]
    n_segments: int

    @property
    def design_hash(self) -> str:
        """Hash of the design part, as `Study.design_hash`."""
        return json_hash(hashed(self.design))

    @cached_property
    def masks_between_looks(self) -> int:
        """Masks of a block whose time is noted, as `Masking.masks_between_looks`."""
        return Masking.model_validate(self.design["masking"]).masks_between_looks

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "format": FORMAT,
            "hash_version": HASH_VERSION,
            "design_hash": self.design_hash,
            "design": hashed(self.design),
            "lengths": list(self.lengths),
            "n_segments": self.n_segments,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any], path: Path) -> "LedgerHeader":
        """Return the header that `to_json` wrote to a file.

        Raises:
            LedgerError: When the file is something else, or of a newer version.
        """
        check_format(fields, path)
        return cls(fields["design"], tuple(fields["lengths"]), fields["n_segments"])


class Ledger:
    """Records by task; a later record of a task takes the place of an earlier one.

    Attributes:
        header: What all records have in common.
        elapsed: Seconds of work until each block of the design was complete, over all runs.
        worked: Seconds of work so far, over all runs, also within a block.
    """

    def __init__(self, header: LedgerHeader, records: Iterable[Record] = ()) -> None:
        self.header = header
        self.elapsed: dict[int, float] = {}
        self.worked = 0.0
        self._n_complete = 0
        self._records: dict[TaskKey, Record] = {}
        self._indices: dict[Kind, set[int]] = {}
        self.add(records)

    def add(self, records: Iterable[Record], *, worked: float | None = None) -> dict[int, float]:
        """Take in records.

        Args:
            records: What was retrained.
            worked: Seconds of work until they came, over all runs; None leaves the times alone.

        Returns:
            The times that were noted, for whoever keeps this ledger: `SO_FAR`, and the blocks that
            these records made complete. A block counts when all before it are complete, too.
        """
        complete_before = 0 if worked is None else self._count_complete_blocks()
        for record in records:
            self._records[record.key] = record
            self._indices.setdefault(record.kind, set()).add(record.index)
        if worked is None:
            return {}
        blocks = range(complete_before, self._count_complete_blocks())
        times = {SO_FAR: worked, **dict.fromkeys(blocks, worked)}
        self.note_times(times)
        return times

    def _count_complete_blocks(self) -> int:
        size = self.header.masks_between_looks
        while self.holds("design", range(self._n_complete * size, (self._n_complete + 1) * size)):
            self._n_complete += 1
        return self._n_complete

    def note_times(self, times: Mapping[int, float]) -> None:
        """Take in times that `add` returned: the same records have to be here, too."""
        for block, seconds in times.items():
            if block != SO_FAR:
                self.elapsed[block] = seconds
            self.worked = max(self.worked, seconds)

    def get(self, task: Task) -> Record | None:
        """Return the record of a task, or None when there is none yet."""
        return self._records.get(task.key)

    def holds(self, kind: Kind, indices: Iterable[int]) -> bool:
        """Say whether all retrainings of these numbers were done, or tried."""
        held = self._indices.get(kind, set())
        return all(index in held for index in indices)

    def records(self, kind: Kind, count: int | None = None) -> list[Record]:
        """Return the records of a kind by index, only those below `count` where it is given."""
        return [
            self._records[key]
            for key in sorted(self._records)
            if key[0] == kind and (count is None or key[1] < count)
        ]

    def __len__(self) -> int:
        return len(self._records)

    def save(self, path: Path) -> None:
        """Write all records to a `.npz` file, atomically."""
        records = [self._records[key] for key in sorted(self._records)]
        n_returns = np.array([len(record.returns) for record in records], dtype=np.int64)
        columns = {
            name: np.array([getattr(record, name) for record in records], dtype=dtype)
            for name, dtype in _COLUMNS.items()
        }
        with atomic_file(path) as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                meta=np.array(json.dumps(self.header.to_json())),
                mask=packed_masks(records, self.header.n_segments),
                n_returns=n_returns,
                returns=np.concatenate([np.zeros(0), *(record.returns for record in records)]),
                elapsed=np.array([*self.elapsed.items(), (SO_FAR, self.worked)], dtype=np.float64),
                **columns,
            )

    @classmethod
    def load(cls, path: str | Path) -> "Ledger":
        """Read a ledger: its `.npz` file and the journal beside it, where there is one.

        Raises:
            LedgerError: When there is no ledger, it is damaged, or of a newer version.
        """
        path = Path(path)
        header = read_header(path)
        if header is None:
            raise LedgerError(f"There is no ledger at {path}.")
        ledger = _read_npz(path, header) if path.exists() else cls(header)
        _add_journal(ledger, path)
        return ledger


def read_header(path: str | Path) -> LedgerHeader | None:
    """Return what the records of a ledger file have in common, or None when there is no ledger.

    Raises:
        LedgerError: When it is damaged, or of a newer version.
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
    except Exception as error:  # zipfile, zlib, NumPy and JSON each raise their own
        raise LedgerError(f"{path} is not a ledger, or is damaged: {error!r}.") from None


_COLUMNS: dict[str, str] = {
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
    """Return where the journal of a ledger file lies."""
    return path.with_name(path.name + ".journal")


def _read_npz(path: Path, header: LedgerHeader) -> Ledger:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [name for name in _COLUMNS if name in arrays or name not in ADDED]
            columns = {name: arrays[name].tolist() for name in names}
            masks = [row.tobytes() for row in arrays["mask"]]
            returns = np.split(arrays["returns"], np.cumsum(arrays["n_returns"])[:-1])
            times = {int(block): seconds for block, seconds in arrays["elapsed"].tolist()}
    except Exception as error:  # zipfile, zlib, NumPy and JSON each raise their own
        raise LedgerError(f"{path} is not a ledger, or is damaged: {error!r}.") from None
    rows = zip(*columns.values(), masks, returns, strict=True) if masks else ()
    names = [*columns, "packed_mask", "returns"]
    fields = (ADDED | dict(zip(names, row, strict=True)) for row in rows)
    ledger = Ledger(header, (Record(**own) for own in fields))
    ledger.note_times(times)
    return ledger


def _add_journal(ledger: Ledger, path: Path) -> None:
    """Take in what the journal beside a ledger file holds, where there is one."""
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
    """Return the whole lines of a journal; a last line that was cut off is dropped."""
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
        raise LedgerError(f"The journal {path} is damaged: {error}.") from None
