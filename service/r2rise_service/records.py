"""HTTP models of the records of a ledger."""

from typing import Literal

from r2rise_service.models import Answer


class Retraining(Answer):
    """A record of the ledger; `mask` has 8 segments a byte as hexadecimal digits."""

    kind: str
    index: int
    mask: str
    training_seed: int
    evaluation_seed: int
    amount: int = 0
    returns: tuple[float, ...]
    status: Literal["ok", "failed"]
    reason: str
    seconds: float
    attempts: int
    evaluation_seconds: float


class RetrainingPage(Answer):
    """A page of records by index, and the token of the next page."""

    data: tuple[Retraining, ...]
    next_page_token: str | None = None
