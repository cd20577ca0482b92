"""`r2rise jobs watch` and `wait`: until a job has ended; and what came of it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.local.certify import print_certificate
from r2rise_service.cli.local.curate import print_curation
from r2rise_service.cli.local.transfer import print_transfer
from r2rise_service.cli.remote import JobId, Json, Url, connect, print_json
from r2rise_service.kinds import EXPLAIN, KINDS

if TYPE_CHECKING:
    from r2rise_service.client import Job
    from r2rise_service.models import JobEvent

EXIT_INTERRUPTED = 130


def watch(job: JobId, url: Url = None, json: Json = False) -> None:
    """Follow a job until it has ended.

    A bar on a terminal, else a line for each event. Exits with 1 unless the job has succeeded.

    Example: r2rise jobs watch job_123
    """
    with connect(url) as client, _going_on(job):
        found = client.jobs.get(job)
        if sys.stdout.isatty() and not json:
            _show_bar(found)
            print_job(found.wait(), json=False)
            return
        for event in found.events():
            typer.echo(event.model_dump_json() if json else _line(event))
        found.wait()


def wait(
    job: JobId,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="At most: 90, 90s, 5m or 2h.")
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Wait until a job has succeeded.

    Exits with 1 if it fails, 4 if the time is over; the job goes on then.

    Example: r2rise jobs wait job_123 --timeout 1h
    """
    from r2rise_service.cli.options import seconds

    limit = None if timeout is None else seconds(timeout, "--timeout")
    with connect(url) as client, _going_on(job):
        print_job(client.jobs.get(job).wait(timeout=limit), json=json)


def print_job(job: "Job", *, json: bool) -> None:
    """Print how a job is and, when it has succeeded, what came of it; as JSON only the former."""
    if json:
        print_json(job.info.model_dump(mode="json"))
        return
    info, progress = job.info, job.progress
    typer.echo(f"{info.id} {info.status}")
    failed = f", {progress.failed} failed" if progress.failed else ""
    typer.echo(f"{progress.done} of {progress.total} retrainings done{failed}")
    if info.based_on:
        typer.echo(f"Based on {', '.join(info.based_on)}")
    for text in (info.status_reason, info.error):
        if text:
            typer.echo(text)
    if info.status == "succeeded":
        _print_result(job)


def _print_result(job: "Job") -> None:
    from r2rise_service.cli.output import print_map

    match job.kind:
        case "explain":
            print_map(job.importance())
        case "certify":
            print_certificate(job.certificate())
        case "curate":
            print_curation(job.curation())
        case "transfer":
            print_transfer(job.transfer())


@contextmanager
def _going_on(job_id: str) -> Iterator[None]:
    """Say on Ctrl-C that only the waiting has stopped."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"The job goes on. Stop it with `r2rise jobs cancel {job_id}`.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _show_bar(job: "Job") -> None:
    """Show how far a job is until it has ended."""
    from r2rise import Progress
    from r2rise_service.cli.progress import progress_bar

    resumed = job.progress.done
    at_most = job.kind == EXPLAIN.name and job.info.study.until.may_end_early
    with progress_bar(KINDS[job.kind].activity, at_most=at_most) as on_progress:
        on_progress(Progress(resumed, job.progress.total, job.progress.failed, resumed))
        for event in job.events():
            told = event.progress
            if told is not None and told.done >= resumed:
                on_progress(Progress(told.done, told.total, told.failed, resumed))


def _line(event: "JobEvent") -> str:
    """Return an event as a line of text."""
    told = event.progress
    if told is not None:
        failed = f", {told.failed} failed" if told.failed else ""
        text = f"{told.done} of {told.total} retrainings{failed}"
    elif event.type == "job.importance":
        text = f"a map of {event.data['revision']} retrainings"
    else:
        text = ", ".join(str(value) for value in event.data.values() if value)
    return f"{event.created_at:%T} {event.type.removeprefix('job.')}: {text}"
