"""The training check: how returns change with the amount of training, and the chosen amount."""

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from r2rise.errors import MissingExtra, UnknownName
from r2rise.results.result import WITH_FIGURE, Result
from r2rise.statistics.wording import counted
from r2rise.study.notices import Notice
from r2rise.study.study import Study
from r2rise.study.training import MapTurnover, TrainingCurve

MIN_CORRELATION = 0.5
"""Rank correlation below which a map depends on the amount of training."""

_FINDINGS = {
    "still_rising": "the return still rises with the last doubling",
    "falls_with_training": "the return is lower at the end than with less training",
    "not_monotone": "the return falls and rises again",
    "undecided": "the returns are too noisy to say where it settles",
}


class TrainingCheck(Result):
    """Returns of all frames at increasing amounts of training.

    Attributes:
        study: The study with the amount that was chosen; `study.training.curve` has the returns.
        n_retrainings: Evaluated policies, random actions not counted.
        n_failed: Those that failed; a training seed counts only where it succeeded at all amounts.
    """

    title: ClassVar[str] = "training check"
    file_name: ClassVar[str] = "training_check.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE
    figure: ClassVar[str] = "training:draw_training_check"

    schema_: Literal["r2rise.training_check"] = Field(
        default="r2rise.training_check", alias="schema"
    )
    schema_version: str = "1.1"
    created_at: datetime
    study: Study
    n_retrainings: int
    n_failed: int
    versions: dict[str, str]

    @property
    def curve(self) -> TrainingCurve:
        """The curve: amounts, returns and the chosen amount."""
        curve = self.study.training.curve
        if curve is None:
            raise self.error("This training check has no curve.")
        return curve

    @property
    def summary(self) -> str:
        """The result in a few words."""
        curve = self.curve
        return f"{curve.chosen} {curve.unit}, {curve.finding.replace('_', ' ')}"

    def in_words(self) -> str:
        """Return the chosen amount with its reason, and how the map changes, as text."""
        turnover = self.study.training.turnover
        words = training_words(self.curve)
        return words if turnover is None else f"{words} {turnover_words(turnover)}"

    def notices(self) -> list[Notice]:
        """Return the warnings of the check."""
        notices = list(training_notices(self.study))
        if self.curve.beats_random:
            return notices
        detail = (
            f"Trained on all frames the policy is no better than random actions "
            f"({self.curve.random_policy:.4g}) at any amount of training: {_returns(self.curve)}."
        )
        return [Notice(code="weak_policy", detail=detail), *notices]


def training_words(curve: TrainingCurve) -> str:
    """Return the chosen amount of training and its reason as text."""
    seeds = counted(curve.n_seeds, "training seed")
    if curve.finding == "settled":
        return (
            f"Trained for {curve.chosen} {curve.unit}: the return of all frames is "
            f"{_mean_at(curve, curve.chosen)} there and stays within 15 % of its gain over random "
            f"actions up to {curve.amounts[-1]} {curve.unit} ({seeds})."
        )
    return (
        f"Trained for {curve.chosen} {curve.unit}, the largest amount tried: "
        f"{_FINDINGS[curve.finding]} ({seeds})."
    )


def turnover_words(turnover: MapTurnover) -> str:
    """Return how similar the maps at two amounts of training are, as text."""
    amount, longer = turnover.amounts
    subject = f"The maps of one block at {amount} and at {longer}"
    if turnover.spearman is None:
        return f"{subject} cannot be compared: at least one of them is noise."
    interval = ""
    if turnover.lower is not None and turnover.upper is not None:
        interval = f" ({turnover.lower:.2f} to {turnover.upper:.2f})"
    return f"{subject} have a rank correlation of {turnover.spearman:.2f}{interval} without noise."


def training_notices(study: Study) -> Iterator[Notice]:
    """Yield warnings if no amount of training is settled, or none was checked."""
    curve, turnover = study.training.curve, study.training.turnover
    yield from _amount_notices(study)
    if (
        turnover is not None
        and turnover.spearman is not None
        and turnover.spearman < MIN_CORRELATION
    ):
        yield Notice(code="map_depends_on_training", detail=turnover_words(turnover))
    if curve is not None and curve.finding != "settled":
        detail = (
            f"The map is about a policy after {curve.chosen} {curve.unit}, and "
            f"{_FINDINGS[curve.finding]}: {_returns(curve)}. Another amount of training may have "
            f"another map."
        )
        yield Notice(code=curve.finding, detail=detail)


def _amount_notices(study: Study) -> Iterator[Notice]:
    """Yield warnings if masks are trained for different amounts, or for an unchecked one.

    Without the algorithm there are none: maps can be computed where it is not installed.
    """
    from r2rise.algorithms import counts_training, has_no_amount

    algorithm = study.algorithm
    try:
        amount = counts_training(algorithm)
        if has_no_amount(algorithm):
            return
    except (UnknownName, MissingExtra):
        return
    if amount is not None and amount.instead and algorithm.settings.get(amount.instead):
        detail = (
            f"{amount.instead} trains masks that keep more frames for longer, so that a segment "
            f"may help because it adds training. {amount.setting} trains all masks alike."
        )
        yield Notice(code="epochs_mix_training", detail=detail)
    elif study.training.curve is None and not (amount is not None and amount.automatic):
        detail = (
            f"It is unknown whether {algorithm.name!r} trains for long enough: the map may be "
            f"about a policy that nobody would deploy."
        )
        if amount is not None:
            detail += " To check it, run `r2rise check-training`."
        yield Notice(code="training_unchecked", detail=detail)


def _returns(curve: TrainingCurve) -> str:
    returns = ", ".join(f"{_mean_at(curve, amount)} at {amount}" for amount in curve.amounts)
    return f"mean return {returns} {curve.unit}"


def _mean_at(curve: TrainingCurve, amount: int) -> str:
    return f"{curve.mean_return[curve.amounts.index(amount)]:.4g}"
