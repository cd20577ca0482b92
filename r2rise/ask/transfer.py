"""Transfer: do the important segments of one algorithm's map matter to another algorithm?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from r2rise.ask.arguments import (
    AnyDemonstrations,
    AnyMap,
    to_demonstrations,
    to_map,
)
from r2rise.ask.certify import certificate
from r2rise.ask.compare import check_comparable
from r2rise.errors import InputError, MapError, suggestion
from r2rise.limits import check_repetitions
from r2rise.results.certificate import Certificate
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import now, versions
from r2rise.results.transfer import Cell, Transfer
from r2rise.run.engines import Engine
from r2rise.run.progress import OnProgress
from r2rise.run.progress_bar import shown
from r2rise.run.runner import Runner, RunsTasks, shared_engine

REPETITIONS = 20


def transfer(
    demonstrations: AnyDemonstrations,
    maps: Mapping[str, AnyMap],
    *,
    repetitions: int = REPETITIONS,
    ledgers: Mapping[str, str | Path] | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    progress: bool | OnProgress = False,
) -> Transfer:
    """Retrain each map's algorithm on the top, the bottom and random segments of every map.

    Args:
        demonstrations: The demonstrations of all maps or their file.
        maps: At least 2 maps over the same segments, or their files or directories, by name.
        repetitions: Number of training seeds.
        ledgers: Ledger files of the maps' studies, by name; records are added to them.
        workers: Worker processes; 0 retrains in this process.
        engine: Where shards run, instead of `workers`. It is closed at the end.
        progress: Whether to show a progress bar, or a function to call after each shard.

    Raises:
        InputError: When an argument cannot be used; nothing has been spent.
        MapError: When there are fewer than 2 maps, or they cannot be compared.
        StudyFailed: When more retrainings fail than a study allows.
    """
    check_repetitions(repetitions)
    if not isinstance(maps, Mapping):
        raise InputError(
            f'maps should be a dict of maps by name, such as {{"bc": first, "bco": second}}, got '
            f"{type(maps).__name__}."
        )
    loaded = {name: to_map(value, f"maps[{name!r}]") for name, value in maps.items()}
    check_maps(loaded)
    if unknown := sorted(set(ledgers or {}) - set(loaded)):
        raise InputError(
            f"ledgers has no map of the name {unknown[0]!r}. {suggestion(unknown[0], loaded)}"
        )
    obs_keys = next(iter(loaded.values())).study.environment.obs_keys
    demonstrations = to_demonstrations(demonstrations, obs_keys=obs_keys)
    cells: list[Cell] = []
    with (
        shown(progress) as on_progress,
        shared_engine(engine, workers) as shared,
    ):
        runners = {
            name: Runner(
                importance_map.study,
                demonstrations,
                ledger=(ledgers or {}).get(name),
                engine=shared,
                on_progress=on_progress,
            )
            for name, importance_map in loaded.items()
        }
        for learner, runner in runners.items():
            with runner:
                cells += row(learner, runner, loaded, repetitions)
    return matrix(tuple(loaded), cells)


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
