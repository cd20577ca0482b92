"""The planner: from a pilot to a study that can rank its segments, before the budget is spent."""

import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from r2rise.baselines import baseline
from r2rise.demonstrations import Demonstrations
from r2rise.engines import Engine
from r2rise.errors import StudyError
from r2rise.map_parts import Baseline, VarianceSplit
from r2rise.mapping import versions
from r2rise.output import OutputDirectory
from r2rise.pilot import Pilot, run_pilot
from r2rise.proposal import Option, Outcome, Proposer
from r2rise.resolution import resolve
from r2rise.results import WITH_FIGURE, Result, now
from r2rise.runner import OnProgress, Runner
from r2rise.study import MOST_RETRAININGS, Study
from r2rise.study_parts import Masking
from r2rise.wording import duration

if TYPE_CHECKING:
    from r2rise.figures.canvas import Format

GOAL = 0.9
"""Reliability that is planned for where the study names none."""

FLOOR = 0.1
"""Share of what all frames gain, below which half of the frames teach next to nothing."""

GENTLE_KEEP_PROBABILITY = 0.8


class Plan(Result):
    """A proposed study, what it was concluded from, and what it is expected to find.

    Attributes:
        outcome: `as_asked` (the goal is within the limits), `coarser` (with longer segments),
            `short` (a ranking, but not as reliable as asked), `refused` (no ranking).
        study: The proposed study; for `refused` the one that would reach the goal.
        goal: Reliability planned for.
        variance: Where the variance of the returns comes from.
        mean_return: Of the pilot's masks, which keep half of the segments.
        blur: Noise over signal of one mask: reliability = N / (N + segments * blur).
        seconds_training: Of one retraining with one worker.
        seconds_episode: Of one evaluation episode.
        n_retrainings: Of the pilot.
        options: What other segment lengths would take.
        advice: What else the pilot suggests.
    """

    title: ClassVar[str] = "plan"
    file_name: ClassVar[str] = "plan.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE

    schema_: Literal["r2rise.plan"] = Field(default="r2rise.plan", alias="schema")
    schema_version: str = "1.0"
    created_at: datetime
    outcome: Outcome
    study: Study
    goal: float
    variance: VarianceSplit
    baseline: Baseline
    mean_return: float
    blur: float | None
    seconds_training: float
    seconds_episode: float
    n_retrainings: int
    options: tuple[Option, ...]
    advice: tuple[str, ...]
    versions: dict[str, str]

    def draw(self, file: IO[bytes], *, format: "Format" = "png") -> None:  # noqa: A002
        """Draw where the variance of the returns comes from."""
        from r2rise.figures import draw_variance

        draw_variance(self.variance, file, format=format)

    def in_words(self) -> str:
        """Return what is proposed, or why nothing can be."""
        masking, predicted = self.study.masking, self.study.prediction
        if predicted is None:
            return "Refused: masks make no difference that other training seeds would repeat."
        length = masking.segment_length
        words = {"None": "your own segments", "all": "whole demonstrations"}
        what = words.get(str(length), f"segments of {length} frames")
        expected = (
            f"{predicted.retrainings} retrainings of {what} are expected to reach reliability "
            f"{predicted.reliability:.2f} ({predicted.reliability_low:.2f} to "
            f"{predicted.reliability_high:.2f}) in {duration(predicted.seconds)} with one worker."
        )
        return {
            "as_asked": f"Within the limits: {expected}",
            "coarser": f"Only with longer segments: {expected}",
            "short": f"Not as reliable as asked ({self.goal:.2f}): {expected}",
            "refused": f"Refused: the limits allow no ranking of these segments. {expected}",
        }[self.outcome]


def plan(
    demonstrations: Demonstrations,
    study: Study,
    *,
    max_retrainings: int = MOST_RETRAININGS,
    out: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    on_progress: OnProgress | None = None,
) -> Plan:
    """Run a pilot of 16 masks x 4 training seeds and propose a study.

    Args:
        demonstrations: What is to be explained.
        study: What is asked; its `until` names the reliability to plan for (0.9 where it does
            not) and the seconds that may be spent.
        max_retrainings: What may be spent.
        out: Directory for `plan.json`, the proposed study `plan.yaml` and the pilot's ledger.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.

    Raises:
        InputError: When something given cannot be used; nothing has been spent.
        NotReady: When there are too few segments, or too many retrainings fail.
    """
    directory = OutputDirectory(Path(out)) if out is not None else None
    if directory:
        directory.check()
        directory.check_own(*directory.files_of(Plan), directory.plan_study)
    _check_masking(study.masking)
    resolved = resolve(study, demonstrations).study
    runner = Runner(
        resolved,
        demonstrations,
        ledger=directory.pilot_ledger if directory else None,
        workers=workers,
        engine=engine,
        on_progress=on_progress,
    )
    with runner:
        pilot = run_pilot(runner)
        against = baseline(runner.ledger, resolved)
    goal = study.until.reliability or GOAL
    proposer = Proposer(study, demonstrations, pilot, goal, max_retrainings)
    proposed = _concluded(proposer, pilot, goal, against)
    if directory:
        directory.write(proposed)
        proposed.study.save(directory.plan_study)
    return proposed


def _check_masking(masking: Masking) -> None:
    """Check that the study keeps half of the segments, which is what a pilot measures.

    Raises:
        StudyError: When it does not.
    """
    if masking.keep_probability != 0.5 or masking.design not in ("auto", "foldover"):
        raise StudyError(
            f"A plan is for fold-over masks, which keep half of the segments, but the study has "
            f"design {masking.design!r} and keep_probability {masking.keep_probability}: leave "
            f"them out, or explain without a plan."
        )


def _concluded(proposer: Proposer, pilot: Pilot, goal: float, against: Baseline) -> Plan:
    options = proposer.options()
    outcome, chosen = proposer.choose(options)
    return Plan(
        created_at=now(),
        outcome=outcome,
        study=proposer.study(chosen),
        goal=goal,
        variance=pilot.variance,
        baseline=against,
        mean_return=pilot.mean_return,
        blur=proposer.blur if math.isfinite(proposer.blur) else None,
        seconds_training=pilot.cost.training,
        seconds_episode=pilot.cost.episode,
        n_retrainings=pilot.n_retrainings,
        options=tuple(options),
        advice=tuple(_advice(pilot, against, proposer.n_episodes)),
        versions=versions(),
    )


def _advice(pilot: Pilot, against: Baseline, n_episodes: int) -> Iterator[str]:
    gain, random_policy = against.gain, against.random_policy
    if n_episodes != pilot.n_episodes:
        yield (
            f"{n_episodes} episodes a retraining instead of {pilot.n_episodes}: as reliable for "
            f"less time."
        )
    if gain is not None and random_policy is not None and gain > 0:
        left = (pilot.mean_return - random_policy.mean) / gain
        if left < FLOOR:
            yield (
                f"Half of the frames keep only {max(left, 0):.0%} of what all frames gain over "
                f"random actions: masks of half the segments say little about good policies. "
                f"Consider masking.keep_probability {GENTLE_KEEP_PROBABILITY}."
            )
    shares = pilot.variance.shares()
    if shares["masks_by_seeds"] > 0.5:
        yield (
            "Most of the variance is masks mattering differently with each training seed: longer "
            "training, or an average of the last weights, would help more than more episodes."
        )
