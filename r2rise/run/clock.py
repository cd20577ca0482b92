"""The working time of a study, over all of its runs."""

import time


class Clock:
    """Counts seconds of work from its creation; successive runners may share one clock.

    Args:
        limit: Seconds after which no more work begins, or None.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit
        self._started = time.monotonic()

    def resume_from(self, seconds: float) -> None:
        """Include `seconds` of work by earlier runs; a clock that already counts more keeps it."""
        self._started = min(self._started, time.monotonic() - seconds)

    @property
    def worked(self) -> float:
        """Seconds of work so far."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float | None:
        """Seconds until the limit, never negative; None without a limit."""
        return None if self.limit is None else max(self.limit - self.worked, 0.0)

    def is_up(self, noted: float) -> bool:
        """Return whether the seconds of work that a ledger has noted reach the limit.

        The ledger decides, not this clock: a later reader of the ledger must come to the same
        decision.
        """
        return self.limit is not None and noted >= self.limit

    def to_note(self, noted: float) -> float | None:
        """Return the seconds of work to note next in a ledger; None once its limit is reached."""
        return None if self.is_up(noted) else self.worked
