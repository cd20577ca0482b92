"""The planner: from a pilot to a study that can rank its segments, before the budget is spent."""

import math
from collections.abc import Iterator
from pathlib import Path

from r2rise.ask.arguments import (
    AnyDemonstrations,
    AnyStudy,
    check_flag,
    to_demonstrations,
    to_study,
)
from r2rise.ask.check_training import with_training
from r2rise.ask.directory import output_directory
from r2rise.ask.pilot import Pilot, run_pilot
from r2rise.ask.proposal import RANKED, Proposer
from r2rise.data.segments import FINEST_SEGMENT_LENGTH
from r2rise.errors import StudyError
from r2rise.limits import OPEN_BUDGET, check_retrainings
from r2rise.results.plan import Plan
from r2rise.results.result import now, versions
from r2rise.run.engines import Engine
from r2rise.run.progress import OnProgress
from r2rise.run.progress_bar import shown
from r2rise.run.resolve import resolve
from r2rise.run.runner import Runner, shared_engine
from r2rise.statistics.baselines import measured_baseline
from r2rise.statistics.summaries import Baseline
from r2rise.statistics.wording import duration
from r2rise.study.parts import Masking
from r2rise.study.study import Study

GOAL = 0.9
"""Reliability that is planned for if the study names none."""

FLOOR = 0.1
"""Share of the gain of all frames below which half of the frames teach next to nothing."""

GENTLE_KEEP_PROBABILITY = 0.8


def plan(
    demonstrations: AnyDemonstrations,
    study: AnyStudy,
    *,
    maps: bool = False,
    max_retrainings: int = OPEN_BUDGET,
    out: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    progress: bool | OnProgress = False,
) -> Plan:
    """Run a pilot of 16 masks x 4 training seeds and propose a study.

    If the study does not say how long to train, the training check chooses the amount first.

    Args:
        demonstrations: The demonstrations to explain or their file.
        study: The study or a dict of its fields; its `until` names the reliability to plan for (0.9
            by default) and the seconds that may be spent.
        maps: Whether a training check also compares the map at the chosen amount with that at four
            times as much.
        max_retrainings: Largest number of masks.
        out: Directory for `plan.json`, the proposed study `plan.yaml` and the pilot's ledger; a
            refused plan leaves no `plan.yaml`.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        progress: Whether to show a progress bar, or a function to call after each shard.

    Raises:
        InputError: When an argument cannot be used; nothing has been spent.
        NotReady: When there are too few segments, or too many retrainings fail.
    """
    study = to_study(study)
    check_flag("maps", maps)
    check_retrainings("max_retrainings", max_retrainings)
    directory = output_directory(out)
    if directory:
        directory.check()
        directory.check_own(*directory.files_of(Plan), directory.plan_study)
    demonstrations = to_demonstrations(demonstrations, obs_keys=study.environment.obs_keys)
    _check_masking(study.masking)
    study = _with_finest_segments(study)
    resolved = resolve(study, demonstrations).study
    ledger = directory.pilot_ledger if directory else None
    with (
        shown(progress, "Pilot") as on_progress,
        shared_engine(engine, workers) as shared,
    ):
        trained_study = with_training(
            resolved,
            demonstrations,
            maps=maps,
            earlier=directory.study() if directory else None,
            ledger=ledger,
            engine=shared,
            on_progress=on_progress,
        )
        runner = Runner(
            trained_study, demonstrations, ledger=ledger, engine=shared, on_progress=on_progress
        )
        with runner:
            pilot = run_pilot(runner)
            baseline = measured_baseline(runner.ledger, trained_study)
    goal = study.until.reliability or GOAL
    chosen_training = {"algorithm": trained_study.algorithm, "training": trained_study.training}
    study = study.model_copy(update=chosen_training)
    proposer = Proposer(study, demonstrations, pilot, goal, max_retrainings, baseline.gain)
    proposal = _make_plan(proposer, pilot, goal, baseline)
    if directory:
        directory.write(proposal)
        if proposal.outcome == "refused":
            directory.plan_study.unlink(missing_ok=True)
        else:
            proposal.study.save(directory.plan_study)
    return proposal


def _check_masking(masking: Masking) -> None:
    """Check that the study keeps half of the segments, as the masks of a pilot do.

    Raises:
        StudyError: When it does not.
    """
    if masking.keep_probability != 0.5 or masking.design not in ("auto", "foldover"):
        raise StudyError(
            f"A plan is for fold-over masks, which keep half of the segments, but the study has "
            f"design {masking.design!r} and keep_probability {masking.keep_probability}: leave "
            f"them out, or explain without a plan."
        )


def _with_finest_segments(study: Study) -> Study:
    """Use the shortest segments if the length is open: the plan's options have longer ones."""
    if study.masking.segment_length != "auto":
        return study
    masking = study.masking.model_copy(update={"segment_length": FINEST_SEGMENT_LENGTH})
    return study.model_copy(update={"masking": masking})


def _make_plan(proposer: Proposer, pilot: Pilot, goal: float, baseline: Baseline) -> Plan:
    options = proposer.options()
    outcome, chosen = proposer.choose(options)
    return Plan(
        created_at=now(),
        outcome=outcome,
        study=proposer.study(chosen),
        goal=goal,
        variance=pilot.variance,
        baseline=baseline,
        mean_return=pilot.mean_return,
        blur=proposer.blur if math.isfinite(proposer.blur) else None,
        seconds_training=pilot.cost.training,
        seconds_episode=pilot.cost.episode,
        n_retrainings=pilot.n_retrainings,
        options=tuple(options),
        advice=(
            *_missed_effect_advice(pilot, proposer, options[0].n_segments),
            *_general_advice(pilot, baseline, proposer.n_episodes),
        ),
        versions=versions(),
    )


def _missed_effect_advice(pilot: Pilot, proposer: Proposer, n_segments: int) -> Iterator[str]:
    """Yield advice on how large an effect the pilot may have missed, and how to detect it."""
    signal = pilot.largest_signal
    if pilot.sees_effects or signal == 0:
        return
    other_variance = pilot.variance.total - pilot.variance.masks
    yield (
        f"The pilot does not show an effect of the frames. It could miss an effect of up to "
        f"{signal / (signal + other_variance):.0%} of the variance: a standard deviation of "
        f"{math.sqrt(signal):.3g} between masks, whose mean return is {pilot.mean_return:.4g}."
    )
    if math.isfinite(proposer.blur):
        return
    n = proposer.masks_to_see(n_segments)
    yield (
        f"To look closer anyway: explain with {n} retrainings would reach "
        f"reliability {RANKED:g} if the effect is that large. This takes about "
        f"{duration(proposer.seconds(n))} with one worker."
    )


def _general_advice(pilot: Pilot, baseline: Baseline, n_episodes: int) -> Iterator[str]:
    gain, random_policy = baseline.gain, baseline.random_policy
    if n_episodes != pilot.n_episodes:
        yield (
            f"{n_episodes} episodes per retraining instead of {pilot.n_episodes} give the same "
            f"reliability in less time."
        )
    if gain is not None and random_policy is not None and gain > 0:
        gain_share = (pilot.mean_return - random_policy.mean) / gain
        if gain_share < FLOOR:
            yield (
                f"Half of the frames keep only {max(gain_share, 0):.0%} of what all frames gain "
                f"over random actions: masks of half the segments show little about good policies. "
                f"Consider masking.keep_probability {GENTLE_KEEP_PROBABILITY}."
            )
    shares = pilot.variance.shares()
    if shares["masks_by_seeds"] > 0.5:
        yield (
            "Most of the variance comes from masks that matter differently with each training "
            "seed: longer training, or an average of the last weights, helps more than more "
            "episodes."
        )
