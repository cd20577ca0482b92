"""The training check: trains on all frames for increasing amounts before masks are retrained."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms import (
    amount_of,
    leaves_amount_open,
    with_amount,
    without_amount,
)
from r2rise.ask.arguments import (
    AnyDemonstrations,
    AnyStudy,
    check_flag,
    to_demonstrations,
    to_study,
)
from r2rise.ask.directory import OutputDirectory
from r2rise.ask.training_amounts import amounts_tried, n_seeds, price_words, unit_of
from r2rise.ask.turnover import map_turnover
from r2rise.data.demonstrations import Demonstrations
from r2rise.design.masks import BALANCED_BLOCK_SIZE
from r2rise.design.tasks import Task, baseline_tasks, path_tasks
from r2rise.errors import NotReady
from r2rise.files import to_path
from r2rise.ledger.journal import check_same_design
from r2rise.ledger.ledger import read_header
from r2rise.ledger.record import Record
from r2rise.results.result import now, versions
from r2rise.results.training_check import TrainingCheck, training_words
from r2rise.run.clock import Clock
from r2rise.run.engines import Engine
from r2rise.run.progress import OnProgress
from r2rise.run.progress_bar import shown
from r2rise.run.resolve import SHARD_SIZE, resolve
from r2rise.run.runner import Runner, RunsTasks, shared_engine
from r2rise.statistics.intervals import mean_returns
from r2rise.statistics.training_rule import choose_amount
from r2rise.study.parts import Masking
from r2rise.study.study import Study
from r2rise.study.training import TrainingCurve

logger = logging.getLogger(__name__)


def check_training(
    demonstrations: AnyDemonstrations,
    study: AnyStudy,
    *,
    maps: bool = False,
    ledger: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    progress: bool | OnProgress = False,
) -> TrainingCheck:
    """Train on all frames for increasing amounts, and choose the amount for every mask.

    Args:
        demonstrations: The demonstrations to explain or their file.
        study: The study or a dict of its fields; `training` says how many seeds and amounts are
            tried. An amount in the algorithm's settings is ignored.
        maps: Whether to also compare the map at the chosen amount with that at four times as much.
        ledger: Ledger file of the check's retrainings, from which the check resumes; those of
            `maps` are in `turnover.npz` beside it.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        progress: Whether to show a progress bar, or a function to call after each shard.

    Raises:
        InputError: When an argument cannot be used, or the algorithm does not say how it counts
            its training; nothing has been spent.
        NotReady: When fewer than 2 training seeds succeed at every amount.
        StudyFailed: When more retrainings fail than the study allows.
    """
    study = to_study(study)
    check_flag("maps", maps)
    path = None if ledger is None else to_path(ledger, "ledger")
    demonstrations = to_demonstrations(demonstrations, obs_keys=study.environment.obs_keys)
    open_study = with_open_amount(resolve(study, demonstrations).study)
    with (
        shown(progress, "Training check") as on_progress,
        shared_engine(engine, workers) as shared,
    ):
        return _run_check(
            open_study, demonstrations, path, shared, maps=maps, on_progress=on_progress
        )


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

    The amount is the study's own; or else the one that an earlier run of the same study chose,
    even if a check would choose another now; or else the one that a training check chooses. The
    retrainings of that check are in `training.npz` beside the ledger.

    Args:
        study: The resolved study.
        demonstrations: The demonstrations of the study.
        maps: As for `check_training`.
        earlier: The study that an earlier run wrote, or None.
        ledger: Ledger file of the study, or None.
        engine: Where shards run.
        on_progress: Called after each shard.
        clock: Counts the working time, that of the check included.

    Raises:
        LedgerError: When the ledger is of another design; nothing has been spent.
        NotReady: When the time limit came before an amount was chosen.
    """
    if not leaves_amount_open(study.algorithm):
        return study
    path = Path(ledger) if ledger is not None else None
    resumed = _with_earlier_amount(study, earlier, path)
    if resumed is not None:
        return resumed
    training_ledger = OutputDirectory(path.parent).training_ledger if path is not None else None
    check = _run_check(
        study,
        demonstrations,
        training_ledger,
        engine,
        maps=maps,
        on_progress=on_progress,
        clock=clock,
    )
    return check.study


def _run_check(
    study: Study,
    demonstrations: Demonstrations,
    ledger: Path | None,
    engine: Engine,
    *,
    maps: bool,
    on_progress: OnProgress | None,
    clock: Clock | None = None,
) -> TrainingCheck:
    logger.info("%s", price_words(study, demonstrations.n_frames, maps=maps))
    runner = Runner(
        _without_masking(study), demonstrations, ledger=ledger, engine=engine,
        on_progress=on_progress, clock=clock,
    )  # fmt: skip
    with runner:
        check = training_check(runner, study, demonstrations.n_frames)
    if not maps:
        return check
    turnover_ledger = ledger.with_name("turnover.npz") if ledger is not None else None
    runner = Runner(
        study, demonstrations, ledger=turnover_ledger, engine=engine, on_progress=on_progress,
        clock=clock,
    )  # fmt: skip
    with runner:
        turnover = map_turnover(runner, check.curve.chosen)
    training = check.study.training.model_copy(update={"turnover": turnover})
    return check.model_copy(update={"study": check.study.model_copy(update={"training": training})})


def _without_masking(study: Study) -> Study:
    """Return the study with one segment, so that a check's ledger serves studies of any masking."""
    masking = Masking(segment_length="all", design="balanced", block_size=BALANCED_BLOCK_SIZE)
    execution = study.execution.model_copy(update={"shard_size": SHARD_SIZE})
    return study.model_copy(update={"masking": masking, "execution": execution})


def _with_earlier_amount(study: Study, earlier: Study | None, ledger: Path | None) -> Study | None:
    """Return the study with the amount of an earlier run; None without such a run.

    Raises:
        LedgerError: When the ledger's design differs in more than the amount.
    """
    if earlier is not None:
        amount = amount_of(earlier.algorithm)
        resumed = _with_amount(study, amount).model_copy(update={"training": earlier.training})
        if amount is not None and resumed.design_hash == earlier.design_hash:
            return resumed
    header = None if ledger is None else read_header(ledger)
    if ledger is None or header is None:
        return None
    settings = header.design["algorithm"]["settings"]
    amount = amount_of(study.algorithm.model_copy(update={"settings": settings}))
    resumed = _with_amount(study, amount)
    check_same_design(ledger, header, replace(header, design=resumed.design_part()))
    return resumed


def _with_amount(study: Study, amount: int | None) -> Study:
    if amount is None:
        return study
    return study.model_copy(update={"algorithm": with_amount(study.algorithm, amount)})


def training_check(runner: RunsTasks, study: Study, n_frames: int) -> TrainingCheck:
    """Check the training of a study that leaves its amount open.

    Args:
        runner: Its masking does not matter.
        study: The study.
        n_frames: Frames of the demonstrations.

    Raises:
        NotReady: When the time limit came first, or too few retrainings succeeded.
    """
    amounts = amounts_tried(study, n_frames)
    tasks = check_tasks(study, len(runner.segments), n_frames)
    records = runner.run(tasks)
    if len(records) < len(tasks):
        raise NotReady(
            "Time ran out before the training check was complete; completed retrainings are kept. "
            "Run the same command again with more time, or set the amount of training yourself."
        )
    random_policy = [r.returns.mean() for r in records if r.kind == "random_policy"]
    trained = [record for record in records if record.kind == "training_check"]
    if not random_policy:
        raise NotReady("The training check needs the returns of random actions.")
    returns = _complete_returns(trained, len(amounts))
    curve = _curve(study, amounts, returns, float(random_policy[0]))
    logger.info("%s", training_words(curve))
    return TrainingCheck(
        created_at=now(),
        study=with_chosen_amount(study, curve),
        n_retrainings=len(trained),
        n_failed=sum(record.status == "failed" for record in trained),
        versions=versions(),
    )


def check_tasks(study: Study, n_segments: int, n_frames: int) -> list[Task]:
    """Return the tasks of a check: random actions, and all frames per seed and amount."""
    all_segments = np.ones(n_segments, dtype=bool)
    masks = [[all_segments]] * n_seeds(study)
    paths = path_tasks("training_check", study, masks, amounts_tried(study, n_frames))
    return [*baseline_tasks(study, n_segments, 0), *paths]


def with_open_amount(study: Study) -> Study:
    """Return the study without an amount of training or an earlier check."""
    training = study.training.model_copy(update={"curve": None, "turnover": None})
    algorithm = without_amount(study.algorithm)
    return study.model_copy(update={"algorithm": algorithm, "training": training})


def with_chosen_amount(study: Study, curve: TrainingCurve) -> Study:
    """Return the study with the amount of training that its check chose."""
    training = study.training.model_copy(update={"curve": curve})
    return _with_amount(study, curve.chosen).model_copy(update={"training": training})


def _complete_returns(records: Sequence[Record], n_amounts: int) -> NDArray[np.float64]:
    """Return the mean returns of the seeds that succeeded at all amounts, (n_seeds, n_amounts).

    Raises:
        NotReady: When fewer than 2 did.
    """
    table = mean_returns(records).reshape(-1, n_amounts)
    complete: NDArray[np.float64] = table[np.isfinite(table).all(axis=1)]
    if len(complete) < 2:
        raise NotReady(
            f"The training check needs 2 training seeds that succeed at every amount, but there "
            f"are {len(complete)} of {len(table)}."
        )
    return complete


def _curve(
    study: Study, amounts: Sequence[int], returns: NDArray[np.float64], random_policy: float
) -> TrainingCurve:
    choice = choose_amount(returns, random_policy)
    std_error = returns.std(axis=0, ddof=1) / np.sqrt(len(returns))
    return TrainingCurve(
        unit=unit_of(study),
        amounts=tuple(amounts),
        mean_return=tuple(returns.mean(axis=0).tolist()),
        std_error=tuple(std_error.tolist()),
        n_seeds=len(returns),
        random_policy=random_policy,
        chosen=amounts[choice.index],
        finding=choice.finding,
    )
