"""Explaining: from demonstrations and a study to an importance map."""

import logging
from pathlib import Path

from r2rise.demonstrations import Demonstrations
from r2rise.engines import Engine
from r2rise.formats import read_demonstrations
from r2rise.importance import ImportanceMap
from r2rise.mapping import importance_map
from r2rise.output import OutputDirectory
from r2rise.resolution import resolve
from r2rise.runner import OnProgress, Runner
from r2rise.stopping import StoppingRule
from r2rise.study import Study
from r2rise.tasks import study_tasks

logger = logging.getLogger(__name__)


def explain(
    demonstrations: Demonstrations | str | Path,
    study: Study,
    *,
    out: str | Path | None = None,
    ledger: str | Path | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    on_progress: OnProgress | None = None,
) -> ImportanceMap:
    """Compute an importance map: mask frames at random, retrain, evaluate, estimate.

    What is in the ledger already is not retrained: the same call goes on after any crash, and a
    larger budget extends it.

    Args:
        demonstrations: The demonstrations or their file.
        study: What is asked; only `environment` has no default.
        out: Directory for study, demonstrations, ledger and map; nothing is written without it.
        ledger: Ledger file, if not `<out>/ledger.npz`.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.

    Raises:
        InputError: When something given cannot be used; nothing has been spent.
        LedgerError: When the ledger is in use, damaged or of another design.
        StudyFailed: When more retrainings fail than the study allows.
    """
    directory = OutputDirectory(Path(out)) if out is not None else None
    if directory:
        directory.check()
    if not isinstance(demonstrations, Demonstrations):
        keys = study.environment.obs_keys
        demonstrations = read_demonstrations(demonstrations, obs_keys=keys)
    resolved = resolve(study, demonstrations)
    if directory:
        directory.check_study(resolved.study)
    if not study.until.may_end_early:
        logger.info("%s", resolved.power.describe())
    for notice in resolved.notices:
        logger.warning("%s", notice.detail)
    if ledger is None and directory:
        ledger = directory.ledger
    runner = Runner(
        resolved.study,
        demonstrations,
        ledger=ledger,
        workers=workers,
        engine=engine,
        on_progress=on_progress,
    )
    with runner:
        if directory:
            directory.write_study(resolved.study, demonstrations)
        rule = StoppingRule(resolved.study, resolved.segments)
        runner.run(
            study_tasks(resolved.study, len(resolved.segments)),
            enough=lambda: rule.decide(runner.ledger, runner.mark) is not None,
        )
    result = importance_map(runner.ledger, resolved.study, resolved.notices)
    if directory:
        directory.write(result)
    return result
