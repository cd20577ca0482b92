"""When a study has enough, and how long its blocks took."""

import time

from r2rise.ledger import Ledger
from r2rise.stopping import StoppingRule


class Ending:
    """Looks at a ledger that grows, and notes when each block of the design is complete.

    Args:
        rule: When the study has enough.
        ledger: Its records; the times of its blocks are written into it.
    """

    def __init__(self, rule: StoppingRule, ledger: Ledger) -> None:
        self._rule, self._ledger = rule, ledger
        self._started = time.monotonic() - max(ledger.elapsed.values(), default=0.0)
        self._marks: list[tuple[int, float]] = []

    def has_enough(self) -> bool:
        """Say whether the study may stop before its budget."""
        return self._rule.decide(self._ledger, self._mark) is not None

    def _mark(self, block: int) -> None:
        elapsed = time.monotonic() - self._started
        self._ledger.elapsed[block] = elapsed  # the rule looks at it next
        self._marks.append((block, elapsed))

    def new_marks(self) -> list[tuple[int, float]]:
        """Return the blocks that got complete since the last call, with their seconds of work."""
        marks, self._marks = self._marks, []
        return marks
