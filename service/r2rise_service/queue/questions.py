"""What each kind of job asks of its runners.

A question is a function without arguments. It returns the result, or raises `Missing` with the
tasks that have to be done before it can be asked again.
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
from r2rise_service.queue.stored import Missing, StoredRunner, Wanted

Question = Callable[[], Result | None]


def map_question(runner: StoredRunner, has_enough: Callable[[], bool]) -> Question:
    """Return the question of `explain`: are all retrainings there, or enough of them?

    Its result is the ledger, from which maps are computed.
    """
    tasks = study_tasks(runner.study, len(runner.segments))

    def ask() -> None:
        if not has_enough():
            runner.run(tasks)

    return ask


def training_question(runner: StoredRunner, n_frames: int) -> Question:
    """Return the question that comes first where a study leaves its amount of training open."""
    return lambda: training_check(runner, runner.study, n_frames)


def question_about_maps(
    kind: JobKind,
    runners: Sequence[StoredRunner],
    maps: Mapping[str, ImportanceMap],
    repetitions: int | None,
) -> Question:
    """Return the question of a job that is based on maps.

    Args:
        kind: One that is based on maps.
        runners: One for the learner of each map.
        maps: By name.
        repetitions: Training seeds, for kinds where they can be chosen.

    Raises:
        MapError: When there cannot be a transfer between the maps.
    """
    first = next(iter(maps.values()))
    match kind:
        case "certify":
            return lambda: certificate(runners[0], first, repetitions or 0)
        case "curate":
            return lambda: curation(runners[0], first)
        case "transfer":
            check_maps(maps)
            by_name = dict(zip(maps, runners, strict=True))
            return lambda: _transfer(by_name, maps, repetitions or 0)
        case _:
            raise ValueError(f"A job of the kind {kind} asks nothing about maps.")


def most_asked_later(kind: JobKind, runner: StoredRunner) -> int:
    """Return how many retrainings can be asked for once those that are missing now are done."""
    if kind != "curate":
        return 0
    return max_judging_evaluations(runner.study, sum(runner.ledger.header.lengths))


def _transfer(
    runners: Mapping[str, StoredRunner], maps: Mapping[str, ImportanceMap], repetitions: int
) -> Transfer:
    """Ask all learners about all maps at once, so that all of it can be done side by side."""
    wanted: list[Wanted] = []
    for runner in runners.values():
        for map_ in maps.values():
            try:
                runner.run(certificate_tasks(runner.study, runner.segments, map_, repetitions))
            except Missing as missing:
                wanted += missing.wanted
    if wanted:
        raise Missing(wanted)
    cells = [cell for name, own in runners.items() for cell in row(name, own, maps, repetitions)]
    return matrix(tuple(maps), cells)
