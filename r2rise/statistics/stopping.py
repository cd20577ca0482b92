"""When a study stops: a pure function of its ledger, evaluated block by block."""

from typing import NamedTuple

import numpy as np

from r2rise.data.segments import Segments
from r2rise.errors import NotReady
from r2rise.ledger.ledger import Ledger
from r2rise.statistics.baselines import measured_baseline
from r2rise.statistics.estimators import Estimate, MaskedReturns, estimate
from r2rise.statistics.reliability import reliability
from r2rise.statistics.summaries import StopReason
from r2rise.statistics.verdicts import judge
from r2rise.statistics.wording import duration
from r2rise.study.choices import EstimatorName
from r2rise.study.parts import Budget, Until
from r2rise.study.study import Study

_MIN_MASKS = 4
"""Smallest number of successful masks of one block from which a map can be estimated."""


class Stop(NamedTuple):
    """Where a study stopped before its budget was spent.

    Attributes:
        n_retrainings: Design retrainings used for the map.
        reason: `goal` (the goal of the study is reached) or `time`.
        within_block: Whether time ran out within a block. The map leaves this block out, unless
            it is the first.
    """

    n_retrainings: int
    reason: StopReason
    within_block: bool = False


class StoppingRule:
    """Evaluates complete blocks in index order; the study stops at the first that suffices.

    Block b is judged by the map of blocks 0 to b. Decisions are kept, so that each block is
    evaluated once.
    """

    def __init__(self, study: Study, segments: Segments) -> None:
        self._study, self._segments = study, segments
        self._size = study.masking.masks_between_looks
        self._next_block = 0
        self._stop: Stop | None = None

    def decide(self, ledger: Ledger) -> Stop | None:
        """Return where the study stops, or None while it continues."""
        while self._stop is None and self._is_complete(self._next_block, ledger):
            self._stop = self._decide_at(self._next_block, ledger)
            self._next_block += 1
        return self._stop or self._stop_out_of_time(ledger)

    def _stop_out_of_time(self, ledger: Ledger) -> Stop | None:
        seconds, budget = self._study.until.seconds, self._study.budget
        if seconds is None or ledger.work_seconds < seconds or _is_spent(budget, ledger):
            return None
        n_complete = self._next_block * self._size
        return Stop(n_complete or budget.retrainings, "time", within_block=True)

    def _is_complete(self, block: int, ledger: Ledger) -> bool:
        end = (block + 1) * self._size
        return (
            end <= self._study.budget.retrainings
            and ledger.holds("design", range(end - self._size, end))
            and _has_baselines(self._study.budget, ledger)
        )

    def _decide_at(self, block: int, ledger: Ledger) -> Stop | None:
        until, n = self._study.until, (block + 1) * self._size
        if until.has_goal and self._goal_reached(ledger, n):
            return Stop(n, "goal")
        elapsed = ledger.elapsed.get(block)
        has_next_block = n + self._size <= self._study.budget.retrainings
        if until.seconds is not None and elapsed is not None and has_next_block:
            with_next_block = elapsed * (block + 2) / (block + 1)
            if with_next_block > until.seconds:
                return Stop(n, "time")
        return None

    def _goal_reached(self, ledger: Ledger, n: int) -> bool:
        until = self._study.until
        sample = design_sample(ledger, self._study, self._segments, n)
        try:
            map_estimate = estimate(estimator_name(self._study), sample)
        except NotReady:
            return False
        if until.reliability is not None and not self._is_reliable(map_estimate, until.reliability):
            return False
        if not until.verdicts:
            return True
        verdicts = judge(self._study, map_estimate, measured_baseline(ledger, self._study), n)
        return verdicts is not None and verdicts.n_unresolved == 0

    def _is_reliable(self, map_estimate: Estimate, goal: float) -> bool:
        """Return whether the map reaches a reliability, as shown by comparing training seeds.

        A single seed shows nothing about others, and never suffices.
        """
        result = reliability(map_estimate)
        compares_seeds = result.method == "blocks" or not self._study.masking.shares_seeds
        return compares_seeds and result.value is not None and result.value >= goal


def _has_baselines(budget: Budget, ledger: Ledger) -> bool:
    return ledger.holds("random_policy", [0]) and ledger.holds(
        "baseline", range(budget.baseline_retrainings)
    )


def _is_spent(budget: Budget, ledger: Ledger) -> bool:
    return _has_baselines(budget, ledger) and ledger.holds("design", range(budget.retrainings))


def check_time_sufficed(stop: Stop | None, study: Study, ledger: Ledger) -> None:
    """Check that a study that ran out of time has enough successful masks for a map.

    Raises:
        NotReady: When it has too few.
    """
    if stop is None or not stop.within_block:
        return
    masked_records = ledger.records("design", stop.n_retrainings)
    if sum(record.status == "ok" for record in masked_records) >= _MIN_MASKS:
        return
    n_baselines = len(ledger.records("baseline", study.budget.baseline_retrainings))
    raise NotReady(
        f"Time ran out after {duration(ledger.work_seconds)}, before anything could be estimated: "
        f"{n_baselines} of {study.budget.baseline_retrainings} retrainings on all frames were done "
        f"and {len(masked_records)} on masks, of which a map needs at least {_MIN_MASKS} "
        f"successful ones. Give more time (until.seconds, which counts over all runs)."
    )


def shorten_to_stop(study: Study, ledger: Ledger) -> Study:
    """Return a study whose budget is what it used, without a goal or time limit.

    Another estimator then uses the same retrainings.
    """
    segments = Segments.of(np.array(ledger.header.lengths, dtype=np.int64), study.masking)
    stop = StoppingRule(study, segments).decide(ledger)
    if stop is None:
        return study
    budget = study.budget.model_copy(update={"retrainings": stop.n_retrainings})
    return study.model_copy(update={"until": Until(), "budget": budget})


def design_sample(ledger: Ledger, study: Study, segments: Segments, n: int) -> MaskedReturns:
    """Return the masks and returns of the first n retrainings of the design."""
    return MaskedReturns.of(ledger.records("design", n), segments, study.masking)


def estimator_name(study: Study) -> EstimatorName:
    """Return the estimator of a resolved study; `auto` is ridge."""
    return "ridge" if study.estimator == "auto" else study.estimator
