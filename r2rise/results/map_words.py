"""An importance map as text: the same on the command line and in the report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from r2rise.results.importance_map import ImportanceMap
from r2rise.results.map_table import HOLDS_FOR
from r2rise.statistics.summaries import LEAST_EFFECT, Verdict, Verdicts
from r2rise.statistics.wording import (
    BEYOND_ANY_BUDGET,
    ROUNDING,
    counted,
    decimals,
    duration,
    in_digits,
    signed,
)

ONE_SEED = HOLDS_FOR["masks"]
"""Text for intervals that hold only for the training seed that all masks share."""


@dataclass(frozen=True)
class ImportanceTable:
    """Importance and verdicts of the segments of a map, or of its demonstrations.

    Attributes:
        noun: `segment` or `demonstration`.
        importance: (n,) in return units.
        std_error: (n,) standard errors.
        verdicts: Verdicts and intervals; None if the map has none.
        one_seed: Whether the intervals hold only for one training seed, so that none of the
            verdicts is shown.
    """

    noun: str
    importance: NDArray[np.float64]
    std_error: NDArray[np.float64]
    verdicts: Verdicts | None
    one_seed: bool

    @classmethod
    def segments(cls, importance_map: ImportanceMap) -> "ImportanceTable":
        """Return the table of the segments of a map."""
        return cls(
            "segment",
            importance_map.importance,
            importance_map.std_error,
            importance_map.verdicts,
            importance_map.holds_for_one_seed,
        )

    @classmethod
    def demonstrations(cls, importance_map: ImportanceMap) -> "ImportanceTable | None":
        """Return the table of the demonstrations of a map.

        None if the map has none, if it equals that of the segments, or if there is nothing to rank.
        """
        table = importance_map.demonstrations
        if (
            table is None
            or len(table.importance) in (1, len(importance_map))
            or not importance_map.varies
        ):
            return None
        return cls(
            "demonstration", table.importance, table.std_error, table.verdicts,
            importance_map.holds_for_one_seed,
        )  # fmt: skip

    @property
    def columns(self) -> list[str]:
        """Headings of `cells`."""
        if self.verdicts is None:
            return ["importance", "std error"]
        if self.one_seed:
            return ["importance", f"interval: {ONE_SEED}"]
        return ["importance", f"{100 * self.verdicts.confidence:.4g} % interval", "verdict"]

    def cells(self, index: int) -> list[str]:
        """Return importance, interval and verdict; or importance and standard error."""
        verdicts, n = self.verdicts, self._decimals
        importance = signed(float(self.importance[index]), n)
        if verdicts is None:
            return [importance, in_digits(float(self.std_error[index]), 3)]
        is_estimated = np.isfinite(self.importance[index])
        ends = [signed(float(end[index]), n) for end in (verdicts.lower, verdicts.upper)]
        interval = " to ".join(ends) if is_estimated else "-"
        return [importance, interval, *([] if self.one_seed else [self.verdict_words(index)])]

    @property
    def _decimals(self) -> int:
        return decimals(self.importance.tolist())

    def in_order(self) -> list[int]:
        """Return the indices of all rows with an estimate, the largest importance first."""
        order = np.argsort(-self.importance, kind="stable")
        return [int(i) for i in order if np.isfinite(self.importance[i])]

    def helpful(self) -> list[int]:
        """Return the indices of rows with positive importance, the most helpful first."""
        return [i for i in self.in_order() if self.importance[i] > ROUNDING]

    def harmful(self) -> list[int]:
        """Return the indices of rows with negative importance, the most harmful first."""
        return [i for i in self.in_order()[::-1] if self.importance[i] < -ROUNDING]

    def verdict_words(self, index: int) -> str:
        """Return a verdict, with the reason if it seems to contradict its interval."""
        if self.verdicts is None:
            return "-"
        verdict = self.verdicts.verdict[index]
        if verdict is None:
            return "not estimated"
        reason = self.why_unresolved(index)
        return f"{verdict}: {reason}" if reason else verdict

    def why_unresolved(self, index: int) -> str | None:
        """Return why a verdict is `unresolved` although its interval seems to settle it, or None.

        The interval alone does not account for the number of tests, nor for the smallest effect.
        """
        verdicts = self.verdicts
        if verdicts is None or verdicts.verdict[index] != "unresolved":
            return None
        lower, upper = float(verdicts.lower[index]), float(verdicts.upper[index])
        margin = verdicts.margin or 0.0
        distance = max(lower, -upper)
        is_within = max(-lower, upper) < margin
        if distance <= 0 and not is_within:
            return None
        if self.one_seed:
            return ONE_SEED
        if distance > 0 and distance <= LEAST_EFFECT * margin and not is_within:
            return "maybe within a quarter of the margin"
        return f"uncertain among {counted(self._n_estimated, self.noun)}"

    @property
    def _n_estimated(self) -> int:
        return int(np.isfinite(self.importance).sum())

    def counts(self) -> str:
        """Return the number of each verdict as text; empty if there are no verdicts."""
        verdicts = self.verdicts
        if verdicts is None or self.one_seed:
            return ""
        margin_words = (
            "" if verdicts.margin is None else f" (within +-{in_digits(verdicts.margin, 3)})"
        )
        parts = [
            _count_words(verdicts, "helps", "helps", "help"),
            _count_words(verdicts, "hurts", "hurts", "hurt"),
            _count_words(verdicts, "negligible", "is negligible", "are negligible") + margin_words,
            _count_words(verdicts, "unresolved", "is unresolved", "are unresolved"),
        ]
        if n_missing := verdicts.verdict.count(None):
            parts.append(f"{n_missing} {'was' if n_missing == 1 else 'were'} not estimated")
        return f"{', '.join(parts[:-1])} and {parts[-1]}"

    def outlook(self, block_size: int | None) -> str:
        """Return what further retrainings would resolve; empty if nothing is unresolved.

        Args:
            block_size: Number of retrainings of a block, the smallest that can be added.
        """
        verdicts = self.verdicts
        if verdicts is None or verdicts.more_for_half is None or verdicts.more_for_all is None:
            return ""
        for_half, for_all = (
            max(n, block_size or 1) for n in (verdicts.more_for_half, verdicts.more_for_all)
        )
        unresolved = counted(verdicts.n_unresolved, f"unresolved {self.noun}")
        about = f"About {counted(for_half, 'more retraining')}"
        if self.one_seed:
            return f"Verdicts need another training seed: at least {about.lower()}."
        if for_half >= BEYOND_ANY_BUDGET:
            return f"No number of retrainings would resolve half of the {unresolved}."
        if for_half == for_all:
            return f"{about} would resolve the {unresolved}."
        if for_all >= BEYOND_ANY_BUDGET:
            return (
                f"{about} would resolve half of the {unresolved}; some of them cannot be "
                f"resolved by any number of retrainings."
            )
        return f"{about} would resolve half of the {unresolved}, about {for_all} all of them."


def _count_words(verdicts: Verdicts, verdict: Verdict, singular: str, plural: str) -> str:
    n = verdicts.count(verdict)
    return f"{n} {singular if n == 1 else plural}"


def why_no_verdicts(importance_map: ImportanceMap) -> str:
    """Return why a map shows no verdicts; empty if it shows some."""
    if importance_map.holds_for_one_seed:
        return f"all masks share one training seed, and intervals hold for {ONE_SEED}"
    return importance_map.why_no_verdicts if importance_map.verdicts is None else ""


def budgets_words(importance_map: ImportanceMap) -> str:
    """Return how many retrainings were done, predicted and allowed, as text."""
    retrainings, predicted = importance_map.retrainings, importance_map.study.prediction
    allowed = importance_map.study.budget.retrainings
    failed = f", {retrainings.failed} of them failed" if retrainings.failed else ""
    words = f"{counted(retrainings.done, 'retraining')} done{failed}"
    if predicted is not None:
        words += f"; {predicted.retrainings} were predicted by the pilot to suffice"
    return f"{words}; the budget of the study is {allowed}{_stop_words(importance_map)}."


def _stop_words(importance_map: ImportanceMap) -> str:
    stopped = importance_map.stopped
    if stopped is None:
        return ", which is not spent yet" if importance_map.partial else ", all of it spent"
    after = "" if stopped.seconds is None else f" after {duration(stopped.seconds)} of work"
    return f", but it stopped there, as {stopped.reason_words()}{after}"
