"""Transfer: do the important segments of one algorithm's map matter to another algorithm?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from r2rise.ask.certify import certificate
from r2rise.ask.compare import check_comparable
from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import MapError
from r2rise.limits import check_repetitions
from r2rise.results.certificate import Certificate
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import now, versions
from r2rise.results.transfer import Cell, Transfer
from r2rise.run.engines import Engine
from r2rise.run.progress import OnProgress
from r2rise.run.runner import Runner, RunsTasks, shared_engine

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
        demonstrations: The demonstrations of all maps.
        maps: At least 2 maps over the same segments, by name.
        repetitions: Number of training seeds.
        ledgers: Ledger files of the maps' studies, by name; records are added to them.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        on_progress: Called after each shard.

    Raises:
        InputError: When repetitions or workers are out of range; nothing has been spent.
        MapError: When there are fewer than 2 maps, or they cannot be compared.
        StudyFailed: When more retrainings fail than a study allows.
    """
    check_repetitions(repetitions)
    check_maps(maps)
    cells: list[Cell] = []
    with shared_engine(engine, workers) as shared:
        runners = {
            name: Runner(
                importance_map.study,
                demonstrations,
                ledger=(ledgers or {}).get(name),
                engine=shared,
                on_progress=on_progress,
            )
            for name, importance_map in maps.items()
        }
        for learner, runner in runners.items():
            with runner:
                cells += row(learner, runner, maps, repetitions)
    return matrix(tuple(maps), cells)


def check_maps(maps: Mapping[str, ImportanceMap]) -> None:
    """Check that a transfer between maps is possible.

    Raises:
        MapError: When there are fewer than 2 maps, or they cannot be compared.
    """
    names = tuple(maps)
    if len(names) < 2:
        raise MapError(f"A transfer needs at least 2 maps, got {len(names)}.")
    for name in names[1:]:
        check_comparable(maps[names[0]], maps[name])


def row(
    learner: str, runner: RunsTasks, maps: Mapping[str, ImportanceMap], repetitions: int
) -> list[Cell]:
    """Return the cells of one learner: the algorithm of the runner's study certifies each map."""
    cells = []
    for name, importance_map in maps.items():
        result = certificate(runner, importance_map, repetitions)
        share = _share_of_gain(result)
        cells.append(Cell(learner=learner, ranking=name, share=share, certificate=result))
    return cells


def matrix(names: tuple[str, ...], cells: Sequence[Cell]) -> Transfer:
    """Return the cells of all learners as one result."""
    return Transfer(created_at=now(), names=names, cells=tuple(cells), versions=versions())


def _share_of_gain(result: Certificate) -> float | None:
    gain = result.baseline.gain
    return result.area_top_bottom.mean / gain if gain is not None and gain > 0 else None
