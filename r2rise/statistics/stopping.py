"""When a study has enough: a pure function of its ledger, block by block."""

from typing import Literal, NamedTuple

import numpy as np

from r2rise.data.segments import Segments
from r2rise.errors import NotReady
from r2rise.ledger.ledger import Ledger
from r2rise.statistics.baselines import measured_baseline
from r2rise.statistics.estimators import Estimate, MaskedReturns, estimate
from r2rise.statistics.reliability import reliability
from r2rise.statistics.verdicts import judge
from r2rise.statistics.wording import duration
from r2rise.study.parts import Budget, EstimatorName, Until
from r2rise.study.study import Study

_FEWEST = 4
"""Successful masks of one block that a map can be made of."""


class Stop(NamedTuple):
    """Where a study ended before its budget.

    Attributes:
        n_retrainings: Of the design, used for the map.
        reason: `goal` (what was asked for is reached) or `time`.
        within_block: Whether time ended within a block, which is left out of the map; where it is
            the first, the map is of what there is.
    """

    n_retrainings: int
    reason: Literal["goal", "time"]
    within_block: bool = False


class StoppingRule:
    """Looks at complete blocks 0..b in index order; the first b that satisfies ends the study.

    What was decided about a block is kept, so that each block is looked at once.
    """

    def __init__(self, study: Study, segments: Segments) -> None:
        self._study, self._segments = study, segments
        self._size = study.masking.masks_between_looks
        self._next_block = 0
        self._stop: Stop | None = None

    def decide(self, ledger: Ledger) -> Stop | None:
        """Return where the study ends, or None while it goes on."""
        while self._stop is None and self._is_complete(self._next_block, ledger):
            self._stop = self._look(self._next_block, ledger)
            self._next_block += 1
        return self._stop or self._out_of_time(ledger)

    def _out_of_time(self, ledger: Ledger) -> Stop | None:
        seconds, budget = self._study.until.seconds, self._study.budget
        if seconds is None or ledger.work_seconds < seconds or _is_spent(budget, ledger):
            return None
        complete = self._next_block * self._size
        return Stop(complete or budget.retrainings, "time", within_block=True)

    def _is_complete(self, block: int, ledger: Ledger) -> bool:
        end = (block + 1) * self._size
        return (
            end <= self._study.budget.retrainings
            and ledger.holds("design", range(end - self._size, end))
            and _has_baselines(self._study.budget, ledger)
        )

    def _look(self, block: int, ledger: Ledger) -> Stop | None:
        until, n = self._study.until, (block + 1) * self._size
        if until.has_goal and self._goal_reached(ledger, n):
            return Stop(n, "goal")
        elapsed = ledger.elapsed.get(block)
        more_to_come = n + self._size <= self._study.budget.retrainings
        if until.seconds is not None and elapsed is not None and more_to_come:
            with_next_block = elapsed * (block + 2) / (block + 1)
            if with_next_block > until.seconds:
                return Stop(n, "time")
        return None

    def _goal_reached(self, ledger: Ledger, n: int) -> bool:
        until = self._study.until
        sample = design_sample(ledger, self._study, self._segments, n)
        try:
            found = estimate(estimator_name(self._study), sample)
        except NotReady:
            return False
        if until.reliability is not None and not self._is_reliable(found, until.reliability):
            return False
        if not until.verdicts:
            return True
        verdicts = judge(self._study, found, measured_baseline(ledger, self._study), n)
        return verdicts is not None and verdicts.n_unresolved == 0

    def _is_reliable(self, found: Estimate, goal: float) -> bool:
        """Compare training seeds; one seed alone is taken for nothing."""
        trust = reliability(found)
        compared = trust.method == "blocks" or not self._study.masking.shares_seeds
        return compared and trust.value is not None and trust.value >= goal


def _has_baselines(budget: Budget, ledger: Ledger) -> bool:
    return ledger.holds("random_policy", [0]) and ledger.holds(
        "baseline", range(budget.baseline_retrainings)
    )


def _is_spent(budget: Budget, ledger: Ledger) -> bool:
    return _has_baselines(budget, ledger) and ledger.holds("design", range(budget.retrainings))


def check_time_sufficed(stop: Stop | None, study: Study, ledger: Ledger) -> None:
    """Check that a study that was out of time has what a map is made of.

    Raises:
        NotReady: When it has not.
    """
    if stop is None or not stop.within_block:
        return
    masked = ledger.records("design", stop.n_retrainings)
    if sum(record.status == "ok" for record in masked) >= _FEWEST:
        return
    trained = len(ledger.records("baseline", study.budget.baseline_retrainings))
    raise NotReady(
        f"Time ended after {duration(ledger.work_seconds)}, before anything could be told: "
        f"{trained} of {study.budget.baseline_retrainings} retrainings on all frames were done and "
        f"{len(masked)} on masks, of which a map takes at least {_FEWEST} successful ones. Give "
        f"more time (--max-time, until.seconds; it counts over all runs)."
    )


def ended(study: Study, ledger: Ledger) -> Study:
    """Return a study that asks for just what it used; another estimator then sees the same."""
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
    """Return the estimator of a resolved study."""
    return "ridge" if study.estimator == "auto" else study.estimator
