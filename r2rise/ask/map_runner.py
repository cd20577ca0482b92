"""A runner for what is asked of a map: it retrains with the study of the map."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r2rise.ask.arguments import AnyDemonstrations, AnyMap, to_demonstrations, to_map
from r2rise.results.importance_map import ImportanceMap
from r2rise.run.engines import Engine
from r2rise.run.progress import OnProgress
from r2rise.run.progress_bar import shown
from r2rise.run.runner import Runner


@contextmanager
def map_runner(
    demonstrations: AnyDemonstrations,
    importance_map: AnyMap,
    *,
    ledger: str | Path | None,
    workers: int,
    engine: Engine | None,
    progress: bool | OnProgress,
) -> Iterator[tuple[Runner, ImportanceMap]]:
    """Yield a runner of the map's study, and the map; the arguments are those of `certify`.

    Raises:
        InputError: When an argument cannot be used.
        StudyError: When the map is about other demonstrations.
    """
    importance_map = to_map(importance_map)
    study = importance_map.study
    demonstrations = to_demonstrations(demonstrations, obs_keys=study.environment.obs_keys)
    with (
        shown(progress) as on_progress,
        Runner(
            study,
            demonstrations,
            ledger=ledger,
            workers=workers,
            engine=engine,
            on_progress=on_progress,
        ) as runner,
    ):
        yield runner, importance_map
