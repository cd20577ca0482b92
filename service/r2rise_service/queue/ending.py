"""When a study has enough, and how long its blocks took."""

from r2rise.ledger.ledger import SO_FAR, Ledger
from r2rise.run.clock import Clock
from r2rise.statistics.stopping import StoppingRule, check_time_sufficed
from r2rise.study.study import Study

_SECONDS_BETWEEN_MARKS = 1.0


class Ending:
    """Looks at a ledger that grows, and notes when each block of the design is complete.

    Where the study has a limit, the work until now is noted, too, so that it counts over restarts
    and whoever reads the ledger comes to the same end.

    Args:
        study: The resolved study.
        rule: When it has enough.
        ledger: Its records; the times of its blocks are written into it.
    """

    def __init__(self, study: Study, rule: StoppingRule, ledger: Ledger) -> None:
        self._study, self._rule, self._ledger = study, rule, ledger
        self._clock = Clock(study.until.seconds)
        self._clock.go_on_from(ledger.worked)
        self._stored = ledger.worked
        self._marks: list[tuple[int, float]] = []

    def has_enough(self) -> bool:
        """Say whether the study may stop before its budget.

        Raises:
            NotReady: When it has to, as time is up, and has not enough for a map.
        """
        self._mark_limited_work()
        stop = self._rule.decide(self._ledger, self._mark)
        check_time_sufficed(stop, self._study, self._ledger)
        return stop is not None

    def _mark_limited_work(self) -> None:
        limit = self._clock.limit
        if limit is None or self._ledger.worked >= limit:
            return
        worked = self._clock.worked
        if worked >= min(limit, self._stored + _SECONDS_BETWEEN_MARKS):
            self._mark(SO_FAR)

    def _mark(self, block: int) -> None:
        self._stored = self._clock.worked
        self._ledger.mark(block, self._stored)  # the rule looks at it next
        self._marks.append((block, self._stored))

    def new_marks(self) -> list[tuple[int, float]]:
        """Return the blocks that got complete since the last call, with their seconds of work."""
        marks, self._marks = self._marks, []
        return marks
