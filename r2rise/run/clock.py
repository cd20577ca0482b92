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

    @property
    def is_up(self) -> bool:
        """Whether the limit has been reached."""
        return self.left == 0.0
