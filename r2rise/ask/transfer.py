"""Transfer: does what one algorithm's map calls important matter to another algorithm?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from r2rise.ask.certify import certificate
from r2rise.ask.compare import check_comparable
from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import MapError
from r2rise.results.certificate import Certificate
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import now, versions
from r2rise.results.transfer import Cell, Transfer
from r2rise.run.engines import Engine, SharedEngine
from r2rise.run.progress import OnProgress
from r2rise.run.runner import Runner, RunsTasks, make_engine

REPETITIONS = 20


def transfer(
    demonstrations: Demonstrations,
    maps: Mapping[str, ImportanceMap],
    *,
    repetitions: int = REPETITIONS,
    ledgers: Mapping[str, Path] | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    on_progress: OnProgress | None = None,
) -> Transfer:
    """Retrain each map's algorithm on the top, the bottom and random segments of every map.

    Args:
        demonstrations: What all maps are about.
        maps: At least 2 maps over the same segments, by name.
        repetitions: Training seeds.
        ledgers: Ledger files of the maps' studies, by name, to add to.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.

    Raises:
        MapError: When there are fewer than 2 maps, or they cannot be compared.
        StudyFailed: When more retrainings fail than a study allows.
    """
    check_maps(maps)
    cells: list[Cell] = []
    with SharedEngine(lambda: engine or make_engine(workers)) as shared:
        runners = {
            name: Runner(
                own.study,
                demonstrations,
                ledger=(ledgers or {}).get(name),
                engine=shared,
                on_progress=on_progress,
            )
            for name, own in maps.items()
        }
        for learner, runner in runners.items():
            with runner:
                cells += row(learner, runner, maps, repetitions)
    return matrix(tuple(maps), cells)


def check_maps(maps: Mapping[str, ImportanceMap]) -> None:
    """Check that there can be a transfer between maps.

    Raises:
        MapError: When there are fewer than 2, or they cannot be compared.
    """
    names = tuple(maps)
    if len(names) < 2:
        raise MapError(f"A transfer needs at least 2 maps, got {len(names)}.")
    for name in names[1:]:
        check_comparable(maps[names[0]], maps[name])


def row(
    learner: str, runner: RunsTasks, maps: Mapping[str, ImportanceMap], repetitions: int
) -> list[Cell]:
    """Return what one learner, the algorithm of a runner, says of every map."""
    certificates = {name: certificate(runner, own, repetitions) for name, own in maps.items()}
    return [
        Cell(learner=learner, ranking=name, share=_share(found), certificate=found)
        for name, found in certificates.items()
    ]


def matrix(names: tuple[str, ...], cells: Sequence[Cell]) -> Transfer:
    """Return the rows of all learners as one result."""
    return Transfer(created_at=now(), names=names, cells=tuple(cells), versions=versions())


def _share(found: Certificate) -> float | None:
    gain = found.baseline.gain
    return found.area_top_bottom.mean / gain if gain is not None and gain > 0 else None
