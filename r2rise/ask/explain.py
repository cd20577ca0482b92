"""Explanation: from demonstrations and a study to an importance map."""

import logging
from pathlib import Path

from r2rise.ask.arguments import (
    AnyDemonstrations,
    AnyStudy,
    to_demonstrations,
    to_study,
)
from r2rise.ask.check_training import with_training
from r2rise.ask.directory import output_directory
from r2rise.ask.map import importance_map
from r2rise.design.tasks import study_tasks
from r2rise.errors import NotReady
from r2rise.files import to_path
from r2rise.ledger.ledger import read_header
from r2rise.results.importance_map import ImportanceMap
from r2rise.run.clock import Clock
from r2rise.run.engines import Engine
from r2rise.run.progress import OnProgress
from r2rise.run.progress_bar import shown
from r2rise.run.resolve import resolve, with_ledger_design
from r2rise.run.runner import Runner, shared_engine
from r2rise.statistics.stopping import StoppingRule

logger = logging.getLogger(__name__)


def explain(
    demonstrations: AnyDemonstrations,
    study: AnyStudy,
    *,
    out: str | Path | None = None,
    ledger: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    progress: bool | OnProgress = False,
) -> ImportanceMap:
    """Compute an importance map: mask frames at random, retrain, evaluate, estimate.

    If the study does not say how long to train, the training check chooses the amount first; see
    `check_training`. Retrainings in the ledger are not repeated: the same call resumes after any
    crash, and a larger budget extends the study.

    Args:
        demonstrations: The demonstrations or their file.
        study: The study or a dict of its fields; only `environment` has no default.
        out: Directory for study, demonstrations, ledger and map; nothing is written without it.
        ledger: Ledger file, if not `<out>/ledger.npz`.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        progress: Whether to show a progress bar, or a function to call after each shard.

    Raises:
        InputError: When an argument cannot be used; nothing has been spent.
        LedgerError: When the ledger is in use, damaged or of another design.
        StudyFailed: When more retrainings fail than the study allows.
        NotReady: When the time limit came before there were enough retrainings for a map.
    """
    study = to_study(study)
    directory = output_directory(out)
    if directory:
        directory.check()
    ledger = None if ledger is None else to_path(ledger, "ledger")
    demonstrations = to_demonstrations(demonstrations, obs_keys=study.environment.obs_keys)
    if ledger is None and directory:
        ledger = directory.ledger
    header = read_header(ledger) if ledger is not None else None
    resolved = resolve(with_ledger_design(study, header) if header else study, demonstrations)
    if directory:
        directory.check_study(resolved.study)
    if not study.until.may_end_early:
        logger.info("%s", resolved.power.describe())
    for notice in resolved.notices:
        logger.warning("%s", notice.detail)
    clock = Clock(study.until.seconds)
    at_most = study.until.may_end_early
    with (
        shown(progress, at_most=at_most) as on_progress,
        shared_engine(engine, workers) as shared,
    ):
        trained_study = with_training(
            resolved.study,
            demonstrations,
            earlier=directory.study() if directory else None,
            ledger=ledger,
            engine=shared,
            on_progress=on_progress,
            clock=clock,
        )
        runner = Runner(
            trained_study,
            demonstrations,
            ledger=ledger,
            engine=shared,
            on_progress=on_progress,
            clock=clock,
        )
        with runner:
            if directory:
                directory.write_study(trained_study, demonstrations)
            rule = StoppingRule(trained_study, resolved.segments)
            runner.run(
                study_tasks(trained_study, len(resolved.segments)),
                should_stop=lambda: rule.decide(runner.ledger) is not None,
            )
    try:
        result = importance_map(runner.ledger, trained_study, resolved.notices)
    except NotReady as error:
        where_kept = "" if ledger is None else f" Completed retrainings are kept in {ledger}."
        raise NotReady(f"{error}{where_kept}") from None
    if directory:
        directory.write(result)
    return result
