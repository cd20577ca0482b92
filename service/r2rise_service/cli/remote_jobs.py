"""`r2rise jobs`: work that a server does."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli import asking
from r2rise_service.cli.remote import Json, Url, connect, print_json

if TYPE_CHECKING:
    from r2rise_service.client import Job
    from r2rise_service.models import JobEvent, JobInfo, JobStatus

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, job_...")]

EXIT_INTERRUPTED = 130

jobs = typer.Typer(help="Jobs on a server.", no_args_is_help=True)


@jobs.command("submit")
def submit(
    demonstrations: asking.Demos,
    env: asking.Env = None,
    algorithm: asking.Algorithm = None,
    retrainings: Annotated[int | None, typer.Option(help="Masks to retrain on.")] = None,
    until: asking.Goals = None,
    max_time: asking.MaxTime = None,
    segment_length: asking.SegmentLength = None,
    study: asking.StudyFile = None,
    seed: asking.Seed = None,
    name: Annotated[str, typer.Option(help="Name of the job, for people.")] = "",
    priority: Annotated[int, typer.Option(min=-100, max=100, help="Higher goes first.")] = 0,
    url: Url = None,
    json: Json = False,
) -> None:
    """Upload demonstrations and have the server compute their importance map.

    Example: r2rise jobs submit demos.npz --env CartPole-v1 --retrainings 384
    """
    question = asking.study_of(
        study,
        {
            "environment": asking.environment_fields(env, None),
            "algorithm": {"name": algorithm},
            "masking": asking.masking_fields(segment_length, None),
            "budget": {"retrainings": retrainings},
            "until": asking.until_fields(until or (), max_time),
            "seed": seed,
        },
    )
    with connect(url) as client:
        dataset = client.datasets.upload(demonstrations)
        job = client.jobs.create(dataset, study=question, name=name, priority=priority)
    if json:
        print_json(job.info.model_dump(mode="json"))
    else:
        typer.echo(job.id)
        typer.echo(f"Follow it with `r2rise jobs watch {job.id}`.", err=True)


@jobs.command("list")
def list_jobs(
    status: Annotated[str | None, typer.Option(help="queued, running, succeeded, ...")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    url: Url = None,
    json: Json = False,
) -> None:
    """List your jobs, newest first.

    Example: r2rise jobs list --status running
    """
    with connect(url) as client:
        page_size = min(limit, 500)
        found = client.jobs.list(status=_status(status), page_size=page_size)
        infos = [job.info for job in islice(found, limit)]
    if json:
        print_json([info.model_dump(mode="json") for info in infos])
        return
    from r2rise_service.cli.printing import say_table

    say_table("Jobs", ["id", "status", "retrainings", "name", "created"], map(_row, infos))


@jobs.command("show")
def show_job(job: JobId, url: Url = None, json: Json = False) -> None:
    """Show how a job is.

    Example: r2rise jobs show job_123
    """
    with connect(url) as client:
        _print_job(client.jobs.get(job), json=json)


@jobs.command("watch")
def watch(job: JobId, url: Url = None, json: Json = False) -> None:
    """Follow a job until it has ended.

    Example: r2rise jobs watch job_123
    """
    with connect(url) as client, _going_on(job):
        found = client.jobs.get(job)
        for event in found.events():
            if json:
                typer.echo(event.model_dump_json())
            else:
                typer.echo(_line(event))


@jobs.command("wait")
def wait(
    job: JobId,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="At most: 90, 90s, 5m or 2h.")
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Wait until a job has succeeded; exit with 1 if it fails, 4 if the time is over.

    Example: r2rise jobs wait job_123 --timeout 1h
    """
    from r2rise_service.cli.durations import seconds

    limit = None if timeout is None else seconds(timeout, "--timeout")
    with connect(url) as client, _going_on(job):
        _print_job(client.jobs.get(job).wait(timeout=limit), json=json)


@jobs.command("cancel")
def cancel(job: JobId, url: Url = None, json: Json = False) -> None:
    """Stop a job; what was retrained is kept.

    Example: r2rise jobs cancel job_123
    """
    with connect(url) as client:
        _print_job(client.jobs.get(job).cancel(), json=json)


@jobs.command("retry")
def retry(job: JobId, url: Url = None, json: Json = False) -> None:
    """Go on with a job that failed or was canceled.

    Example: r2rise jobs retry job_123
    """
    with connect(url) as client:
        _print_job(client.jobs.get(job).retry(), json=json)


@jobs.command("download")
def download(
    job: JobId,
    out: Annotated[Path, typer.Option(help="File: .json, .csv, .npz or .png.")],
    estimator: Annotated[
        str | None, typer.Option(help="difference, ridge, rise or rise_normalized.")
    ] = None,
    url: Url = None,
) -> None:
    """Write the importance map of a job to a file, also while the job is running.

    Example: r2rise jobs download job_123 --out map.json
    """
    with connect(url) as client:
        client.jobs.get(job).download(out, estimator=estimator)
    typer.echo(f"Written: {out}.", err=True)


@jobs.command("delete")
def delete_job(job: JobId, url: Url = None) -> None:
    """Delete a job that has ended, with its retrainings.

    Example: r2rise jobs delete job_123
    """
    with connect(url) as client:
        client.jobs.get(job).delete()
    typer.echo(f"Deleted: {job}.", err=True)


@contextmanager
def _going_on(job_id: str) -> Iterator[None]:
    """Say on Ctrl-C that only the waiting has stopped."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"The job goes on. Stop it with `r2rise jobs cancel {job_id}`.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _status(text: str | None) -> "JobStatus | None":
    from r2rise.errors import InputError, suggestion
    from r2rise_service.models import ENDED, LIVE

    for status in (*LIVE, *ENDED):
        if text == status:
            return status
    if text is None:
        return None
    raise InputError(
        f"--status should be a state of a job, got {text!r}. {suggestion(text, (*LIVE, *ENDED))}"
    )


def _print_job(job: "Job", *, json: bool) -> None:
    if json:
        print_json(job.info.model_dump(mode="json"))
        return
    info, progress = job.info, job.progress
    typer.echo(f"{info.id} {info.status}")
    failed = f", {progress.failed} failed" if progress.failed else ""
    typer.echo(f"{progress.done} of {progress.total} retrainings done{failed}")
    for text in (info.status_reason, info.error):
        if text:
            typer.echo(text)


def _row(info: "JobInfo") -> list[str]:
    progress = f"{info.progress.done} of {info.progress.total}"
    return [info.id, info.status, progress, info.name, f"{info.created_at:%F %R}"]


def _line(event: "JobEvent") -> str:
    """Return an event as a line of text."""
    progress = event.progress
    if progress is not None:
        text = f"{progress.done} of {progress.total} retrainings"
    else:
        text = ", ".join(f"{name} {value}" for name, value in event.data.items() if value)
    return f"{event.created_at:%T} {event.type.removeprefix('job.')}: {text}"
