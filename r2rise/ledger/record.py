"""Records: the results of single retrainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from r2rise.design.tasks import Task

EMPTY_MASK = "empty_mask"

ADDED_COLUMNS: dict[str, Any] = {"amount": 0}
"""Columns that ledgers of older versions lack, and the value that they stand for there."""

Status = Literal["ok", "failed"]


@dataclass(frozen=True, eq=False)
class Record(Task):
    """A task and its result.

    Attributes:
        returns: (n_episodes,) float64; empty when the retraining failed.
        status: `ok` or `failed`.
        reason: Reason of the failure, else empty.
        seconds: Duration, evaluation included.
        attempts: Number of attempts.
        evaluation_seconds: Duration of the evaluation alone.
    """

    returns: NDArray[np.float64]
    status: Status = "ok"
    reason: str = ""
    seconds: float = 0.0
    attempts: int = 1
    evaluation_seconds: float = 0.0

    @classmethod
    def failed(cls, task: Task, reason: str, attempts: int = 1) -> "Record":
        """Build the record of a failed task."""
        return cls(*task.key, np.zeros(0), "failed", reason, attempts=attempts)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready data: the mask in hexadecimal digits, floats without loss."""
        return {
            "kind": self.kind,
            "index": self.index,
            "mask": self.packed_mask.hex(),
            "training_seed": self.training_seed,
            "evaluation_seed": self.evaluation_seed,
            "amount": self.amount,
            "returns": self.returns.tolist(),
            "status": self.status,
            "reason": self.reason,
            "seconds": self.seconds,
            "attempts": self.attempts,
            "evaluation_seconds": self.evaluation_seconds,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Record":
        """Build a record from the output of `to_json`, perhaps of an older version."""
        remaining = ADDED_COLUMNS | fields
        return cls(
            packed_mask=bytes.fromhex(remaining.pop("mask")),
            returns=np.array(remaining.pop("returns"), dtype=np.float64),
            **remaining,
        )


def packed_masks(records: Sequence[Task], n_segments: int) -> NDArray[np.uint8]:
    """Return the packed masks of records, (n_records, ceil(n_segments / 8)) uint8."""
    packed = np.frombuffer(b"".join(record.packed_mask for record in records), dtype=np.uint8)
    return packed.reshape(len(records), -(-n_segments // 8))
