"""The loop: shards out, records in, progress, the map."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from r2rise.demonstrations import Demonstrations
from r2rise.engines import Engine, InlineEngine
from r2rise.errors import StudyFailed
from r2rise.importance import ImportanceMap
from r2rise.journal import LedgerFile, MemoryLedger, open_ledger
from r2rise.ledger import EMPTY_MASK, Ledger, LedgerHeader, Record
from r2rise.mapping import importance_map
from r2rise.output import OutputDirectory
from r2rise.resolution import resolve
from r2rise.retraining import Shard
from r2rise.seeds import Kind
from r2rise.study import Study

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        done: Retrainings in the ledger, baselines included.
        total: Retrainings asked for, baselines included.
        failed: Failed ones among those done.
        resumed: Those done that an earlier run left in the ledger.
    """

    done: int
    total: int
    failed: int
    resumed: int


OnProgress = Callable[[Progress], None]


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
        demonstrations = Demonstrations.load(demonstrations, obs_keys=keys)
    resolved = resolve(study, demonstrations)
    logger.info("%s", resolved.power.describe())
    for notice in resolved.notices:
        logger.warning("%s", notice.detail)
    path = Path(ledger) if ledger is not None else directory.ledger if directory else None
    header = LedgerHeader(
        resolved.study.design_part(),
        tuple(demonstrations.lengths.tolist()),
        len(resolved.segments),
    )
    with open_ledger(path, header) as book:
        if directory:
            directory.write_study(resolved.study, demonstrations)
        _retrain_missing(
            book,
            resolved.study,
            demonstrations,
            lambda: engine if engine is not None else _engine(workers),
            on_progress,
        )
    result = importance_map(book.ledger, resolved.study, resolved.notices)
    if directory:
        directory.write_map(result)
    return result


def _engine(workers: int) -> Engine:
    if workers == 0:
        return InlineEngine()
    from r2rise.engines.dask import DaskEngine

    return DaskEngine(workers)


def _retrain_missing(
    book: LedgerFile | MemoryLedger,
    study: Study,
    demonstrations: Demonstrations,
    make_engine: Callable[[], Engine],
    on_progress: OnProgress | None,
) -> None:
    """Retrain what the ledger lacks, a window of shards at a time, in whatever order they end."""
    resumed = _progress(book.ledger, study).done
    missing = missing_shards(book.ledger, study)
    first = next(missing, None)
    if first is None:
        return
    with closing(make_engine()) as engine:
        engine.start(study, demonstrations)
        waiting = chain([first], missing)
        for shard in islice(waiting, engine.window):
            engine.submit(shard)
        for records in engine.results():
            book.append(records)
            progress = _progress(book.ledger, study, resumed)
            if on_progress is not None:
                on_progress(progress)
            check_failures(book.ledger, study)
            for shard in islice(waiting, 1):
                engine.submit(shard)


def planned(study: Study) -> dict[Kind, int]:
    """Return how many retrainings of each kind a study asks for, in the order they are done."""
    return {
        "random_policy": 1,
        "baseline": study.budget.baseline_retrainings,
        "design": study.budget.retrainings,
    }


def missing_shards(ledger: Ledger, study: Study) -> Iterator[Shard]:
    """Yield the shards with retrainings that the ledger lacks or that failed, each as a whole."""
    size = study.execution.shard_size or 1
    for kind, count in planned(study).items():
        for start in range(0, count, size):
            indices = tuple(range(start, min(start + size, count)))
            held = [ledger.get(kind, index) for index in indices]
            if any(record is None or _to_retry(record) for record in held):
                attempts = max(record.attempts if record else 0 for record in held)
                yield Shard(kind, indices, attempts)


def _to_retry(record: Record) -> bool:
    return record.status == "failed" and record.reason != EMPTY_MASK


def check_failures(ledger: Ledger, study: Study) -> None:
    """Check that no more retrainings failed than the study allows; empty masks do not count.

    Raises:
        StudyFailed: With the most frequent reason.
    """
    for kind, count in planned(study).items():
        reasons = [r.reason for r in ledger.records(kind, count) if _to_retry(r)]
        if len(reasons) > study.execution.max_failed_share * count:
            reason, times = Counter(reasons).most_common(1)[0]
            raise StudyFailed(
                f"{len(reasons)} of {count} {_NOUNS[kind]} failed (allowed: "
                f"{study.execution.max_failed_share:.0%}), {times} of them with:\n  {reason}\n"
                f"Mend the cause and run the same again: it goes on from the ledger."
            )


_NOUNS: dict[Kind, str] = {
    "random_policy": "evaluations of random actions",
    "baseline": "retrainings on all frames",
    "design": "retrainings",
}


def _progress(ledger: Ledger, study: Study, resumed: int = 0) -> Progress:
    counts = planned(study)
    records = [r for kind, count in counts.items() for r in ledger.records(kind, count)]
    return Progress(
        done=len(records),
        total=sum(counts.values()),
        failed=sum(record.status == "failed" for record in records),
        resumed=resumed,
    )
