"""What an importance map says, in words: the same on the command line and in the report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from r2rise.results.importance_map import HOLDS_FOR, ImportanceMap
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
"""What an interval is called that holds for the one training seed that all masks shared."""


@dataclass(frozen=True)
class Judged:
    """Importance and what is said of it: of the segments of a map, or of its demonstrations.

    Attributes:
        noun: What it is the importance of.
        importance: (n,) in return units.
        std_error: (n,) standard errors.
        verdicts: Of each; None where the map has none.
        one_seed: Whether the intervals hold for one training seed, so that there are no verdicts.
    """

    noun: str
    importance: NDArray[np.float64]
    std_error: NDArray[np.float64]
    verdicts: Verdicts | None
    one_seed: bool

    @classmethod
    def segments(cls, found: ImportanceMap) -> "Judged":
        """Return what a map says of its segments."""
        return cls(
            "segment", found.importance, found.std_error, found.verdicts, found.holds_for_one_seed
        )

    @classmethod
    def demonstrations(cls, found: ImportanceMap) -> "Judged | None":
        """Return what a map says of whole demonstrations.

        None where it says nothing of them, or nothing else than of its segments.
        """
        table = found.demonstrations
        if table is None or len(table.importance) in (1, len(found)) or not found.varies:
            return None
        return cls(
            "demonstration", table.importance, table.std_error, table.verdicts,
            found.holds_for_one_seed,
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
        known = np.isfinite(self.importance[index])
        ends = [signed(float(end[index]), n) for end in (verdicts.lower, verdicts.upper)]
        interval = " to ".join(ends) if known else "-"
        return [importance, interval, *([] if self.one_seed else [self.verdict_words(index)])]

    @property
    def _decimals(self) -> int:
        return decimals(self.importance.tolist())

    def in_order(self) -> list[int]:
        """Return the indices of all that was estimated, the largest importance first."""
        order = np.argsort(-self.importance, kind="stable")
        return [int(i) for i in order if np.isfinite(self.importance[i])]

    def helpful(self) -> list[int]:
        """Return the indices of positive importance, the most helpful first."""
        return [i for i in self.in_order() if self.importance[i] > ROUNDING]

    def harmful(self) -> list[int]:
        """Return the indices of negative importance, the most harmful first."""
        return [i for i in self.in_order()[::-1] if self.importance[i] < -ROUNDING]

    def verdict_words(self, index: int) -> str:
        """Return a verdict, with the reason where it seems to contradict its interval."""
        if self.verdicts is None:
            return "-"
        verdict = self.verdicts.verdict[index]
        if verdict is None:
            return "not estimated"
        reason = self.why_unresolved(index)
        return f"{verdict}: {reason}" if reason else verdict

    def why_unresolved(self, index: int) -> str | None:
        """Return why nothing is said although the interval seems to settle it; None otherwise."""
        verdicts = self.verdicts
        if verdicts is None or verdicts.verdict[index] != "unresolved":
            return None
        lower, upper = float(verdicts.lower[index]), float(verdicts.upper[index])
        margin = verdicts.margin or 0.0
        nearest = max(lower, -upper)
        within = max(-lower, upper) < margin
        if nearest <= 0 and not within:
            return None
        if self.one_seed:
            return ONE_SEED
        if nearest > 0 and nearest <= LEAST_EFFECT * margin and not within:
            return "maybe within a quarter of the margin"
        return f"uncertain among {counted(self._n_judged, self.noun)}"

    @property
    def _n_judged(self) -> int:
        return int(np.isfinite(self.importance).sum())

    def counts(self) -> str:
        """Return how many have each verdict; why there are none, where there are none."""
        verdicts = self.verdicts
        if verdicts is None or self.one_seed:
            return ""
        within = "" if verdicts.margin is None else f" (within +-{in_digits(verdicts.margin, 3)})"
        parts = [
            _verb(verdicts, "helps", "helps", "help"),
            _verb(verdicts, "hurts", "hurts", "hurt"),
            _verb(verdicts, "negligible", "is negligible", "are negligible") + within,
            _verb(verdicts, "unresolved", "is unresolved", "are unresolved"),
        ]
        if missing := verdicts.verdict.count(None):
            parts.append(f"{missing} {'was' if missing == 1 else 'were'} not estimated")
        return f"{', '.join(parts[:-1])} and {parts[-1]}"

    def outlook(self, block_size: int | None) -> str:
        """Return what further retrainings would resolve; empty where nothing is unresolved.

        Args:
            block_size: Retrainings that come together.
        """
        verdicts = self.verdicts
        if verdicts is None or verdicts.more_for_half is None or verdicts.more_for_all is None:
            return ""
        half, whole = (
            max(n, block_size or 1) for n in (verdicts.more_for_half, verdicts.more_for_all)
        )
        open_ = counted(verdicts.n_unresolved, f"unresolved {self.noun}")
        about = f"About {counted(half, 'more retraining')}"
        if self.one_seed:
            return f"Verdicts need another training seed: {about.lower()} at least."
        if half >= BEYOND_ANY_BUDGET:
            return f"No number of retrainings would resolve half of the {open_}."
        if half == whole:
            return f"{about} would resolve the {open_}."
        if whole >= BEYOND_ANY_BUDGET:
            return (
                f"{about} would resolve half of the {open_}; some of them no number of "
                f"retrainings would resolve."
            )
        return f"{about} would resolve half of the {open_}, about {whole} all of them."


def _verb(verdicts: Verdicts, verdict: Verdict, one: str, many: str) -> str:
    n = verdicts.count(verdict)
    return f"{n} {one if n == 1 else many}"


def why_no_verdicts(found: ImportanceMap) -> str:
    """Return why a map gives no verdicts; empty where it gives some."""
    if found.holds_for_one_seed:
        return f"all masks share one training seed, and intervals hold for {ONE_SEED}"
    return found.why_no_verdicts if found.verdicts is None else ""


def budgets_words(found: ImportanceMap) -> str:
    """Return how many retrainings were predicted, allowed and done."""
    counts, predicted = found.retrainings, found.study.prediction
    allowed = found.study.budget.retrainings
    failed = f", {counts.failed} of them failed" if counts.failed else ""
    words = f"{counted(counts.done, 'retraining')} done{failed}"
    if predicted is not None:
        words += f"; {predicted.retrainings} were predicted by the pilot to suffice"
    return f"{words}; the budget of the study is {allowed}{_ended(found)}."


def _ended(found: ImportanceMap) -> str:
    if found.stopped is None:
        return ", which is not spent yet" if found.partial else ", all of it spent"
    reason = {"goal": "what was asked for was reached", "time": "time was up"}
    worked = found.stopped.seconds
    after = "" if worked is None else f" after {duration(worked)} of work"
    return f", but it stopped there, as {reason[found.stopped.reason]}{after}"
