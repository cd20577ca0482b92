"""The question that each kind of job asks its runners.

A question is a function without arguments. It returns the result, or raises `MissingTasks` with
the tasks that must be done before it can be asked again.
"""

from collections.abc import Callable, Mapping, Sequence

from r2rise.ask.certify import certificate, certificate_tasks
from r2rise.ask.check_training import training_check
from r2rise.ask.curate import curation, max_judging_evaluations
from r2rise.ask.transfer import check_maps, matrix, row
from r2rise.design.tasks import study_tasks
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import Result
from r2rise.results.transfer import Transfer
from r2rise_service.kinds import JobKind
from r2rise_service.queue.stored import MissingTasks, StoredRunner, TaskRequest

Question = Callable[[], Result | None]


def map_question(runner: StoredRunner, has_enough: Callable[[], bool]) -> Question:
    """Return the question of `explain`: are all retrainings done, or enough of them?

    It returns None: the result is the ledger, from which maps are computed.
    """
    tasks = study_tasks(runner.study, len(runner.segments))

    def ask() -> None:
        if not has_enough():
            runner.run(tasks)

    return ask


def training_question(runner: StoredRunner, n_frames: int) -> Question:
    """Return the question that comes first when a study leaves its amount of training open."""
    return lambda: training_check(runner, runner.study, n_frames)


def question_about_maps(
    kind: JobKind,
    runners: Sequence[StoredRunner],
    maps: Mapping[str, ImportanceMap],
    repetitions: int | None,
) -> Question:
    """Return the question of a job that is based on maps.

    Args:
        kind: A kind that is based on maps.
        runners: One for the learner of each map, in the order of `maps`.
        maps: Maps by name.
        repetitions: Number of training seeds; None for kinds where it cannot be chosen.

    Raises:
        MapError: When there cannot be a transfer between the maps.
    """
    first_map = next(iter(maps.values()))
    match kind:
        case "certify":
            return lambda: certificate(runners[0], first_map, repetitions or 0)
        case "curate":
            return lambda: curation(runners[0], first_map)
        case "transfer":
            check_maps(maps)
            runners_by_name = dict(zip(maps, runners, strict=True))
            return lambda: _transfer(runners_by_name, maps, repetitions or 0)
        case _:
            raise ValueError(f"A job of the kind {kind} is not based on maps.")


def max_later_tasks(kind: JobKind, runner: StoredRunner) -> int:
    """Return how many more tasks can follow, at most, once those missing now are done."""
    if kind != "curate":
        return 0
    return max_judging_evaluations(runner.study, sum(runner.ledger.header.lengths))


def _transfer(
    runners: Mapping[str, StoredRunner], maps: Mapping[str, ImportanceMap], repetitions: int
) -> Transfer:
    """Ask all learners about all maps at once, so that all tasks can be done in parallel.

    Raises:
        MissingTasks: With the missing tasks of all learners.
    """
    requests: list[TaskRequest] = []
    for runner in runners.values():
        for map_ in maps.values():
            try:
                runner.run(certificate_tasks(runner.study, runner.segments, map_, repetitions))
            except MissingTasks as missing:
                requests += missing.requests
    if requests:
        raise MissingTasks(requests)
    cells = [
        cell for name, runner in runners.items() for cell in row(name, runner, maps, repetitions)
    ]
    return matrix(tuple(maps), cells)
