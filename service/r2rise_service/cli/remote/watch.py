"""`r2rise jobs watch` and `wait`: follow a job until it has ended, and print its result."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.interrupts import EXIT_INTERRUPTED
from r2rise_service.cli.local import module_of
from r2rise_service.cli.options import Json
from r2rise_service.cli.remote import JobId, Url, connect, print_json
from r2rise_service.kinds import EXPLAIN, KINDS

if TYPE_CHECKING:
    from r2rise_service.client import Job
    from r2rise_service.models import JobEvent


def watch(job: JobId, url: Url = None, json: Json = False) -> None:
    """Follow a job until it ends.

    Shows a progress bar on a terminal, and a line for each event elsewhere. The exit status is 1
    unless the job succeeds.

    Example: r2rise jobs watch job_123
    """
    with connect(url) as client, _leaving_job_on_interrupt(job):
        remote_job = client.jobs.get(job)
        if sys.stdout.isatty() and not json:
            _show_bar(remote_job)
            print_job(remote_job.wait(), json=False)
            return
        for event in remote_job.events():
            typer.echo(event.model_dump_json() if json else _event_line(event))
        remote_job.wait()


def wait(
    job: JobId,
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Maximum waiting time: 90, 90s, 5m or 2h.",
            show_default="no limit",
        ),
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Wait until a job ends, and print its result.

    The exit status is 1 unless the job succeeds, and 4 if time is up; then the job continues.

    Example: r2rise jobs wait job_123 --timeout 1h
    """
    from r2rise_service.cli.times import parse_seconds

    limit = None if timeout is None else parse_seconds(timeout, "--timeout")
    with connect(url) as client, _leaving_job_on_interrupt(job):
        print_job(client.jobs.get(job).wait(timeout=limit), json=json)


def print_job(job: "Job", *, json: bool) -> None:
    """Print the state of a job and, unless as JSON, the result of a job that succeeded."""
    if json:
        print_json(job.info.model_dump(mode="json"))
        return
    info, progress = job.info, job.progress
    typer.echo(f"{info.id} {info.status}")
    failed_words = f", {progress.failed} failed" if progress.failed else ""
    typer.echo(f"{progress.done} of {progress.total} retrainings done{failed_words}")
    if info.based_on:
        typer.echo(f"Based on {', '.join(info.based_on)}")
    for text in (info.status_reason, info.error):
        if text:
            typer.echo(text)
    if info.status == "succeeded":
        module_of(job.kind).print_result(job.result())


@contextmanager
def _leaving_job_on_interrupt(job_id: str) -> Iterator[None]:
    """On Ctrl-C, print that the job continues, and exit."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"The job continues. To stop it, run `r2rise jobs cancel {job_id}`.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _show_bar(job: "Job") -> None:
    """Show a progress bar until a job has ended."""
    from r2rise import Progress
    from r2rise.run.progress_bar import progress_bar

    resumed = job.progress.done
    at_most = job.kind == EXPLAIN.name and job.info.study.until.may_end_early
    with progress_bar(KINDS[job.kind].activity, at_most=at_most) as on_progress:
        on_progress(Progress(resumed, job.progress.total, job.progress.failed, resumed))
        for event in job.events():
            progress = event.progress
            if progress is not None and progress.done >= resumed:
                on_progress(Progress(progress.done, progress.total, progress.failed, resumed))


def _event_line(event: "JobEvent") -> str:
    """Return an event as a line of text."""
    progress = event.progress
    if progress is not None:
        failed = f", {progress.failed} failed" if progress.failed else ""
        text = f"{progress.done} of {progress.total} retrainings{failed}"
    elif event.type == "job.importance":
        text = f"a map of {event.data['revision']} retrainings"
    else:
        text = ", ".join(str(value) for value in event.data.values() if value)
    return f"{event.created_at:%T} {event.type.removeprefix('job.')}: {text}"
