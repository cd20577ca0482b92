"""Checking how long to train: all frames at increasing amounts, before any mask is retrained."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms import (
    CountsTraining,
    TrainsMany,
    amount_of,
    counts_training,
    leaves_amount_open,
    make_algorithm,
    with_amount,
    without_amount,
)
from r2rise.clock import Clock
from r2rise.demonstrations import Demonstrations
from r2rise.engines import Engine
from r2rise.errors import NotReady, StudyError
from r2rise.journal import check_same_design
from r2rise.ledger import Record, read_header
from r2rise.mapping import versions
from r2rise.output import OutputDirectory
from r2rise.resolution import resolve
from r2rise.results import now
from r2rise.runner import OnProgress, Runner, RunsTasks
from r2rise.stopping import block_size
from r2rise.study import Study
from r2rise.study_parts import AlgorithmSpec
from r2rise.tasks import Task, baseline_tasks, path_tasks
from r2rise.training_check import TrainingCheck, training_words
from r2rise.training_parts import MapTurnover, TrainingCurve
from r2rise.training_rule import choose_amount
from r2rise.turnover import LONGER, map_turnover

logger = logging.getLogger(__name__)

_TOGETHER, _ONE_BY_ONE = (16, 6), (4, 4)
"""Training seeds and doublings for learners that train masks together, and for the others."""


def check_training(
    demonstrations: Demonstrations,
    study: Study,
    *,
    maps: bool = False,
    ledger: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    on_progress: OnProgress | None = None,
) -> TrainingCheck:
    """Train on all frames for longer and longer, and choose how long every mask is to train.

    Args:
        demonstrations: What is to be explained.
        study: What is asked; `training` says how many seeds and amounts are tried. An amount that
            the algorithm's settings name is left out of account.
        maps: Also compare the map at the chosen amount with that at four times as much.
        ledger: Ledger file of the check's own retrainings, to go on from.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.

    Raises:
        InputError: When something given cannot be used, or the algorithm does not say how it
            counts its training; nothing has been spent.
        NotReady: When fewer than 2 training seeds succeed at every amount.
        StudyFailed: When more retrainings fail than the study allows.
    """
    resolved = opened(resolve(study, demonstrations).study)
    runner = Runner(
        resolved,
        demonstrations,
        ledger=ledger,
        workers=workers,
        engine=engine,
        on_progress=on_progress,
    )
    with runner:
        return training_check(runner, demonstrations.n_frames, maps=maps)


def with_training(
    study: Study,
    demonstrations: Demonstrations,
    *,
    maps: bool = False,
    earlier: Study | None,
    ledger: str | Path | None,
    engine: Engine,
    on_progress: OnProgress | None = None,
    clock: Clock | None = None,
) -> Study:
    """Return a resolved study with an amount of training.

    That is its own; or what an earlier run chose for the same study, whatever would be chosen now;
    or what a check finds, whose retrainings lie in `training.npz` beside the ledger.

    Args:
        study: The resolved study.
        demonstrations: What it is about.
        maps: As for `check_training`.
        earlier: The study that an earlier run wrote.
        ledger: Ledger file of the study, or None.
        engine: Where shards run.
        on_progress: Called after each shard.
        clock: Counts the work of the check, too.

    Raises:
        LedgerError: When the ledger is of another design; nothing has been spent.
        NotReady: When time ended before an amount was chosen.
    """
    if not leaves_amount_open(study.algorithm):
        return study
    path = Path(ledger) if ledger is not None else None
    chosen = _chosen_before(study, earlier, path)
    if chosen is not None:
        return chosen
    own = OutputDirectory(path.parent).training_ledger if path is not None else None
    runner = Runner(
        study, demonstrations, ledger=own, engine=engine, on_progress=on_progress, clock=clock
    )
    with runner:
        return training_check(runner, demonstrations.n_frames, maps=maps).study


def _chosen_before(study: Study, earlier: Study | None, ledger: Path | None) -> Study | None:
    """Return the study with the amount of an earlier run that differs from it in nothing else."""
    if earlier is not None:
        amount = amount_of(earlier.algorithm)
        chosen = _at(study, amount).model_copy(update={"training": earlier.training})
        if amount is not None and chosen.design_part() == earlier.design_part():
            return chosen
    held = None if ledger is None else read_header(ledger)
    if ledger is None or held is None:
        return None
    chosen = _at(study, amount_of(AlgorithmSpec.model_validate(held.design["algorithm"])))
    check_same_design(ledger, held, replace(held, design=chosen.design_part()))
    return chosen


def _at(study: Study, amount: int | None) -> Study:
    if amount is None:
        return study
    return study.model_copy(update={"algorithm": with_amount(study.algorithm, amount)})


def training_check(runner: RunsTasks, n_frames: int, *, maps: bool = False) -> TrainingCheck:
    """Check the training of a runner's study, which leaves its amount open: see above."""
    study, n_segments = runner.study, len(runner.segments)
    amounts = amounts_tried(study, n_frames)
    logger.info("%s", price_words(study, n_frames, maps=maps))
    tasks = check_tasks(study, n_segments, n_frames)
    records = runner.run(tasks)
    if len(records) < len(tasks):
        raise NotReady(
            "Time ended before the training check was done; what was trained is kept. Run the "
            "same command again with more time, or name the amount of training yourself."
        )
    random_policy = [r.returns.mean() for r in records if r.kind == "random_policy"]
    trained = [record for record in records if record.kind == "training_check"]
    if not random_policy:
        raise NotReady("The training check needs the returns of random actions.")
    curve = _curve(study, amounts, _table(trained, len(amounts)), float(random_policy[0]))
    logger.info("%s", training_words(curve))
    turnover = map_turnover(runner, curve.chosen) if maps else None
    return TrainingCheck(
        created_at=now(),
        study=settled(study, curve, turnover),
        n_retrainings=len(trained),
        n_failed=sum(record.status == "failed" for record in trained),
        versions=versions(),
    )


def check_tasks(study: Study, n_segments: int, n_frames: int) -> list[Task]:
    """Return random actions, and all frames with each seed at each amount."""
    whole = np.ones(n_segments, dtype=bool)
    masks = [[whole]] * _seeds_and_doublings(study)[0]
    paths = path_tasks("training_check", study, masks, amounts_tried(study, n_frames))
    return [*baseline_tasks(study, n_segments, 0), *paths]


def amounts_tried(study: Study, n_frames: int) -> tuple[int, ...]:
    """Return the amounts of training that are tried: a least one, doubled again and again.

    Raises:
        StudyError: When the algorithm does not say how it counts its training.
    """
    algorithm = make_algorithm(study.algorithm)
    if not isinstance(algorithm, CountsTraining):
        raise StudyError(
            f"The algorithm {study.algorithm.name!r} does not say how it counts its training, so "
            f"that it cannot be checked: give its class `training_amount` and `least_amount` "
            f"(docs/algorithms.md), or explain without a check.",
            field="algorithm.name",
        )
    least = algorithm.least_amount(n_frames)
    return tuple(least * 2**k for k in range(_seeds_and_doublings(study)[1] + 1))


def n_checked(study: Study, n_frames: int) -> int:
    """Return how many policies the check of a study evaluates, random actions not counted."""
    return _seeds_and_doublings(study)[0] * len(amounts_tried(study, n_frames))


def price_words(study: Study, n_frames: int, *, maps: bool = False) -> str:
    """Return what the check of a study takes, before it is spent."""
    amounts, (n_seeds, _) = amounts_tried(study, n_frames), _seeds_and_doublings(study)
    unit = _unit(study)
    return (
        f"Training check: all frames with {n_seeds} training seeds, each for {amounts[-1]} {unit} "
        f"and evaluated {len(amounts)} times on the way, from {amounts[0]} {unit} on."
        f"{_price_of_maps(study) if maps else ''}"
    )


def _price_of_maps(study: Study) -> str:
    return (
        f" Then {block_size(study)} masks, each for {LONGER} times the amount that is chosen and "
        f"evaluated at both."
    )


def opened(study: Study) -> Study:
    """Return a study that leaves its amount of training open."""
    training = study.training.model_copy(update={"curve": None, "turnover": None})
    algorithm = without_amount(study.algorithm)
    return study.model_copy(update={"algorithm": algorithm, "training": training})


def settled(study: Study, curve: TrainingCurve, turnover: MapTurnover | None) -> Study:
    """Return a study with the amount of training that was chosen, and what was found of it."""
    training = study.training.model_copy(update={"curve": curve, "turnover": turnover})
    return _at(study, curve.chosen).model_copy(update={"training": training})


def _unit(study: Study) -> str:
    amount = counts_training(study.algorithm)
    return amount.unit if amount else ""


def _seeds_and_doublings(study: Study) -> tuple[int, int]:
    together = isinstance(make_algorithm(study.algorithm), TrainsMany)
    seeds, doublings = _TOGETHER if together else _ONE_BY_ONE
    asked = study.training
    return asked.check_seeds or seeds, asked.check_doublings or doublings


def _table(records: Sequence[Record], n_amounts: int) -> NDArray[np.float64]:
    """Return the mean returns of the seeds that succeeded at all amounts, (n_seeds, n_amounts)."""
    means = [r.returns.mean() if r.status == "ok" else np.nan for r in records]
    table = np.array(means).reshape(-1, n_amounts)
    complete: NDArray[np.float64] = table[np.isfinite(table).all(axis=1)]
    if len(complete) < 2:
        raise NotReady(
            f"The training check needs 2 training seeds that succeed at every amount, there are "
            f"{len(complete)} of {len(table)}."
        )
    return complete


def _curve(
    study: Study, amounts: Sequence[int], returns: NDArray[np.float64], random_policy: float
) -> TrainingCurve:
    choice = choose_amount(returns, random_policy)
    std_error = returns.std(axis=0, ddof=1) / np.sqrt(len(returns))
    return TrainingCurve(
        unit=_unit(study),
        amounts=tuple(amounts),
        mean_return=tuple(returns.mean(axis=0).tolist()),
        std_error=tuple(std_error.tolist()),
        n_seeds=len(returns),
        random_policy=random_policy,
        chosen=amounts[choice.index],
        finding=choice.finding,
    )
