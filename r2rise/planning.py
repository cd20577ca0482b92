"""The planner: from a pilot to a study that can rank its segments, before the budget is spent."""

import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from r2rise.baselines import baseline
from r2rise.demonstrations import Demonstrations
from r2rise.engines import Engine
from r2rise.errors import StudyError
from r2rise.map_parts import Baseline, MapPart, VarianceSplit
from r2rise.mapping import versions
from r2rise.masks import foldover_block_size
from r2rise.output import OutputDirectory
from r2rise.pilot import Pilot, run_pilot
from r2rise.resolution import resolve
from r2rise.results import Result, now
from r2rise.runner import OnProgress, Runner
from r2rise.study import MOST_RETRAININGS, Masking, Prediction, Study, Until
from r2rise.wording import duration

GOAL = 0.9
"""Reliability that is planned for where the study names none."""

RANKED = 0.5
"""Reliability below which a map is noise."""

CONFIDENCE = 0.8
"""Of the prediction's interval."""

FLOOR = 0.1
"""Share of what all frames gain, below which half of the frames teach next to nothing."""

GENTLE_KEEP_PROBABILITY = 0.8

_EPISODES = (2, 100)
_LEAST_TRAINING_NOISE = 0.2
"""Share of the noise that is taken for training noise whatever a small pilot says."""

_WORTH_CHANGING = 0.8
"""Cost below which another number of episodes is proposed, over that of the present one."""


class Option(MapPart):
    """What the limits allow with segments of one length.

    Attributes:
        segment_length: Frames, `all`, or null for the user's own segments.
        n_segments: How many there are.
        retrainings: That the goal takes; null where no number would do.
        seconds: What these take with one worker; null likewise.
        reliability: What the limits allow, at most the goal.
    """

    segment_length: int | Literal["all"] | None
    n_segments: int
    retrainings: int | None
    seconds: float | None
    reliability: float


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

    schema_: Literal["r2rise.plan"] = Field(default="r2rise.plan", alias="schema")
    schema_version: str = "1.0"
    created_at: datetime
    outcome: Literal["as_asked", "coarser", "short", "refused"]
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

    def in_words(self) -> str:
        """Return what is proposed, or why nothing can be."""
        masking, predicted = self.study.masking, self.study.prediction
        if predicted is None:
            return "Refused: masks make no difference that other training seeds would repeat."
        length = masking.segment_length
        what = "your own segments" if length is None else f"segments of {length} frames"
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


class _Limits:
    """What may be spent, and what that allows."""

    def __init__(self, pilot: Pilot, goal: float, retrainings: int, seconds: float | None) -> None:
        self.goal, self._pilot = goal, pilot
        self._retrainings, self._seconds = retrainings, seconds

    def most(self, n_episodes: int) -> float:
        """Return the most retrainings within the limits."""
        if self._seconds is None:
            return self._retrainings
        return min(self._retrainings, self._seconds / self._pilot.cost.of(n_episodes))

    def needed(self, n_segments: int, blur: float) -> int | None:
        """Return the retrainings that reach the goal in whole blocks, at least two."""
        exact = n_segments * blur * self.goal / (1 - self.goal)
        if not math.isfinite(exact):
            return None
        block = foldover_block_size(n_segments)
        return max(2, math.ceil(exact / block)) * block


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
    limits = _Limits(pilot, study.until.reliability or GOAL, max_retrainings, study.until.seconds)
    proposed = _propose(study, demonstrations, pilot, limits, against)
    if directory:
        directory.write(proposed)
        proposed.study.save(directory.path / "plan.yaml")
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


def _propose(
    study: Study, demonstrations: Demonstrations, pilot: Pilot, limits: _Limits, against: Baseline
) -> Plan:
    n_episodes = best_episodes(pilot)
    blur = pilot.blur() * _noise_change(pilot, n_episodes)
    cost = pilot.cost.of(n_episodes)
    options = [
        _option(masking, len(demonstrations.segments(masking)), blur, cost, limits, n_episodes)
        for masking in _maskings(study.masking, demonstrations)
    ]
    outcome, chosen = _choose(options, limits, n_episodes)
    advice = list(_advice(pilot, against, n_episodes))
    return Plan(
        created_at=now(),
        outcome=outcome,
        study=_study(study, chosen, pilot, limits, n_episodes),
        goal=limits.goal,
        variance=pilot.variance,
        baseline=against,
        mean_return=pilot.mean_return,
        blur=blur if math.isfinite(blur) else None,
        seconds_training=pilot.cost.training,
        seconds_episode=pilot.cost.episode,
        n_retrainings=pilot.n_retrainings,
        options=tuple(options),
        advice=tuple(advice),
        versions=versions(),
    )


def best_episodes(pilot: Pilot) -> int:
    """Return the episodes of a retraining that give most reliability for the time.

    The product of a mask's noise, a + e / n, and its seconds, c + n s, is least at
    n = sqrt(e c / (a s)). The present number stays unless that saves a fifth.
    """
    cost, e = pilot.cost, pilot.episode_noise
    a = max(pilot.noise - e / pilot.n_episodes, _LEAST_TRAINING_NOISE * pilot.noise)

    def price(n: int) -> float:
        return (a + e / n) * cost.of(n)

    if a <= 0 or cost.episode <= 0:
        return pilot.n_episodes
    best = round(math.sqrt(e * cost.training / (a * cost.episode)))
    best = min(max(best, _EPISODES[0]), _EPISODES[1])
    return best if price(best) < _WORTH_CHANGING * price(pilot.n_episodes) else pilot.n_episodes


def _noise_change(pilot: Pilot, n_episodes: int) -> float:
    """Return the factor by which another number of episodes changes the noise."""
    if pilot.noise <= 0:
        return 1.0
    change = pilot.episode_noise * (1 / n_episodes - 1 / pilot.n_episodes)
    return max(_LEAST_TRAINING_NOISE, 1 + change / pilot.noise)


def _maskings(asked: Masking, demonstrations: Demonstrations) -> Iterator[Masking]:
    """Yield the masking asked for, then longer and longer segments."""
    yield asked
    length = asked.segment_length
    if not isinstance(length, int):
        return
    longest = int(demonstrations.lengths.max())
    while (length := 2 * length) < longest:
        yield asked.model_copy(update={"segment_length": length})
    yield asked.model_copy(update={"segment_length": "all"})


def _option(
    masking: Masking, n: int, blur: float, cost: float, limits: _Limits, n_episodes: int
) -> Option:
    needed = limits.needed(n, blur)
    most = limits.most(n_episodes)
    reachable = most / (most + n * blur) if math.isfinite(blur) else 0.0
    return Option(
        segment_length=masking.segment_length,
        n_segments=n,
        retrainings=needed,
        seconds=None if needed is None else needed * cost,
        reliability=min(reachable, limits.goal),
    )


def _choose(
    options: list[Option], limits: _Limits, n_episodes: int
) -> tuple[Literal["as_asked", "coarser", "short", "refused"], Option]:
    most = limits.most(n_episodes)
    usable = [option for option in options if option.retrainings and option.n_segments > 3]
    for option in usable:
        if option.retrainings is not None and option.retrainings <= most:
            return ("as_asked" if option is options[0] else "coarser"), option
    for option in usable:
        if option.reliability >= RANKED:
            return "short", option
    return "refused", options[0]


def _study(study: Study, option: Option, pilot: Pilot, limits: _Limits, n_episodes: int) -> Study:
    masking = study.masking.model_copy(update={"segment_length": option.segment_length})
    update = {
        "masking": masking,
        "evaluation": study.evaluation.model_copy(update={"n_episodes": n_episodes}),
        "until": Until(
            reliability=limits.goal, verdicts=study.until.verdicts, seconds=study.until.seconds
        ),
    }
    if option.retrainings is None:
        return study.model_copy(update=update)
    block = foldover_block_size(option.n_segments)
    affordable = max(2, int(limits.most(n_episodes) // block)) * block
    n = min(option.retrainings, affordable) if option.reliability >= RANKED else option.retrainings
    low, high = pilot.f_interval(CONFIDENCE)

    def reliability(f: float | None) -> float:
        blur = pilot.blur(f) * _noise_change(pilot, n_episodes)
        return n / (n + option.n_segments * blur)

    prediction = Prediction(
        reliability=reliability(None),
        reliability_low=reliability(low),
        reliability_high=reliability(high),
        retrainings=n,
        seconds=(n + study.budget.baseline_retrainings) * pilot.cost.of(n_episodes),
    )
    budget = study.budget.model_copy(update={"retrainings": max(n, affordable)})
    return study.model_copy(update={**update, "budget": budget, "prediction": prediction})


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
