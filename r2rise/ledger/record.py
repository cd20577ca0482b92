"""What came of one retraining."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from r2rise.design.tasks import Task

EMPTY_MASK = "empty_mask"

ADDED: dict[str, Any] = {"amount": 0}
"""Columns that ledgers of before this version lack, and what they mean there."""

Status = Literal["ok", "failed"]


@dataclass(frozen=True, eq=False)
class Record(Task):
    """What came of one retraining.

    Attributes:
        returns: (n_episodes,) float64; empty when it failed.
        status: `ok` or `failed`.
        reason: Why it failed, else empty.
        seconds: How long it took.
        attempts: How often it was tried.
        evaluation_seconds: How much of `seconds` the evaluation took.
    """

    returns: NDArray[np.float64]
    status: Status = "ok"
    reason: str = ""
    seconds: float = 0.0
    attempts: int = 1
    evaluation_seconds: float = 0.0

    @classmethod
    def failed(cls, task: Task, reason: str, attempts: int = 1) -> "Record":
        """Return the record of a task that failed."""
        return cls(*task.key, np.zeros(0), "failed", reason, attempts=attempts)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; the mask as hexadecimal digits, floats to the last bit."""
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
        """Return the record that `to_json` wrote."""
        plain = ADDED | fields
        return cls(
            packed_mask=bytes.fromhex(plain.pop("mask")),
            returns=np.array(plain.pop("returns"), dtype=np.float64),
            **plain,
        )


def packed_masks(records: Sequence[Task], n_segments: int) -> NDArray[np.uint8]:
    """Return the masks of records, (n_records, ceil(n_segments / 8)) uint8."""
    packed = np.frombuffer(b"".join(record.packed_mask for record in records), dtype=np.uint8)
    return packed.reshape(len(records), -(-n_segments // 8))
