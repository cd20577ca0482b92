"""How long a study has been worked on, over all runs."""

import time


class Clock:
    """Seconds of work, from when it was made; one clock may go on from runner to runner.

    Args:
        limit: Seconds after which no more work is to begin, or None.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit
        self._started = time.monotonic()

    def go_on_from(self, seconds: float) -> None:
        """Count the work of earlier runs, unless as much was counted already."""
        self._started = min(self._started, time.monotonic() - seconds)

    @property
    def worked(self) -> float:
        """Seconds of work so far."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float | None:
        """Seconds that are left, at least 0; None without a limit."""
        return None if self.limit is None else max(self.limit - self.worked, 0.0)

    @property
    def is_up(self) -> bool:
        """Whether the limit is reached."""
        return self.left == 0.0
