"""From a request for a job to one that this server will do."""

from r2rise.algorithms import leaves_amount_open
from r2rise.ask.training_amounts import price_words
from r2rise_service.api.basing import accept_basis
from r2rise_service.api.context import Context
from r2rise_service.api.problems import ProblemError
from r2rise_service.api.studies import (
    Accepted,
    check_study,
    cost_of,
    n_retrainings,
    parse_study,
    refused,
    resolve_within,
)
from r2rise_service.kinds import EXPLAIN, KINDS
from r2rise_service.models import JobRequest, ProblemPart
from r2rise_service.storage import NewJob

_Wrong = tuple[str, str, str]
"""A field, what is wrong with it, and that in a word for programs."""


def accept(context: Context, owner: str, asked: JobRequest) -> Accepted:
    """Return the job of a request whose fields are right.

    Raises:
        ProblemError: When it cannot be done, or is more than this server does for one job.
        InputError: When study and demonstrations do not fit.
    """
    if KINDS[asked.kind].is_based_on_maps:
        return accept_basis(context, owner, asked)
    study = parse_study(asked.study or {})
    check_study(study, context.settings)
    found = context.store.datasets.find(owner, sha256=study.demonstrations)
    if not found:
        raise refused(
            ["demonstrations"],
            f"you have no dataset {study.demonstrations!r}: upload it first (POST /datasets)",
        )
    path = context.files.path(found[0].sha256)
    resolved = resolve_within(study, path, context.settings)
    n_frames = found[0].n_frames
    total = n_retrainings(resolved.study, n_frames)
    new = NewJob(
        owner=owner,
        kind=EXPLAIN.name,
        dataset_id=found[0].id,
        study=resolved.study,
        total=total,
        warnings=resolved.notices,
        name=asked.name,
        labels=asked.labels,
        priority=asked.priority,
    )
    is_open = leaves_amount_open(resolved.study.algorithm)
    check = price_words(resolved.study, n_frames) if is_open else None
    return Accepted(new, cost_of([(resolved.study, total)]), check)


def check_fields(asked: JobRequest) -> None:
    """Check that a request has the fields of its kind and no others.

    Raises:
        ProblemError: With a pointer to each wrong field.
    """
    is_based = KINDS[asked.kind].is_based_on_maps
    wrong = _wrong_basis(asked) if is_based else _wrong_study(asked)
    if wrong:
        details = "; ".join(f"{name}: {detail}" for name, detail, _ in wrong)
        text = f"A job of the kind {asked.kind} cannot be asked for like that. {details}."
        parts = [ProblemPart(pointer=f"#/{name}", detail=d, code=c) for name, d, c in wrong]
        raise ProblemError(422, "invalid", text, parts=parts)


def _wrong_study(asked: JobRequest) -> list[_Wrong]:
    wrong: list[_Wrong] = []
    if asked.study is None:
        wrong.append(("study", "Expected the fields of a study", "missing"))
    for name in ("based_on", "repetitions"):
        if name in asked.model_fields_set and getattr(asked, name) not in ((), None):
            detail = f"A job of the kind {asked.kind} has a study instead"
            wrong.append((name, detail, "extra_forbidden"))
    return wrong


def _wrong_basis(asked: JobRequest) -> list[_Wrong]:
    wrong: list[_Wrong] = []
    n, kind = len(asked.based_on), KINDS[asked.kind]
    if asked.study is not None:
        detail = f"A job of the kind {kind.name} has the study of the job it is based on"
        wrong.append(("study", detail, "extra_forbidden"))
    fewest, most = kind.fewest_bases, kind.most_bases
    if not fewest <= n <= most:
        count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        detail = f"Expected {count} ids of jobs of the kind {EXPLAIN.name}, got {n}"
        wrong.append(("based_on", detail, "missing" if n == 0 else "wrong_number"))
    elif len(set(asked.based_on)) < n:
        wrong.append(("based_on", "Expected each job once", "twice"))
    if kind.repetitions is None and asked.repetitions is not None:
        wrong.append(("repetitions", f"{kind.doing} knows how many it needs", "extra_forbidden"))
    return wrong
