"""`r2rise jobs`: jobs on a server."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.help import Commands, HelpfulGroup
from r2rise_service.cli.options import ESTIMATORS, Force, Json
from r2rise_service.cli.ready import check_files
from r2rise_service.cli.remote import (
    JobId,
    Url,
    connect,
    parse_label,
    print_json,
    submit,
    watch,
)
from r2rise_service.cli.remote.watch import print_job
from r2rise_service.kinds import KINDS

if TYPE_CHECKING:
    from r2rise_service.models import JobInfo, JobStatus

jobs = Commands(cls=HelpfulGroup, help="Run and manage jobs on a server.", no_args_is_help=True)

jobs.command("submit")(submit.submit)
for _kind in KINDS.values():
    if _kind.is_based_on_maps:
        jobs.command(_kind.name)(getattr(submit, _kind.name))
jobs.command("compare")(submit.compare)
jobs.command("watch")(watch.watch)
jobs.command("wait")(watch.wait)


@jobs.command("list")
def list_jobs(
    status: Annotated[
        str | None,
        typer.Option(metavar="STATUS", help="List only jobs with this status, such as running."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE", help="List only jobs with this label.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Maximum number of jobs.")] = 50,
    url: Url = None,
    json: Json = False,
) -> None:
    """List your jobs, newest first.

    Example: r2rise jobs list --status running
    """
    status_filter = _parse_status(status)
    label_filter = None if label is None else parse_label(label)
    with connect(url) as client:
        matching_jobs = client.jobs.list(
            status=status_filter, label=label_filter, page_size=min(limit, 500)
        )
        infos = [job.info for job in islice(matching_jobs, limit)]
    if json:
        print_json([info.model_dump(mode="json") for info in infos])
        return
    from r2rise_service.cli.output import say_table

    say_table("Jobs", ["id", "kind", "status", "retrainings", "name", "created"], map(_row, infos))


@jobs.command("show")
def show_job(job: JobId, url: Url = None, json: Json = False) -> None:
    """Show the status and the result of a job.

    Example: r2rise jobs show job_123
    """
    with connect(url) as client:
        print_job(client.jobs.get(job), json=json)


@jobs.command("cancel")
def cancel(job: JobId, url: Url = None, json: Json = False) -> None:
    """Cancel a job; completed retrainings are kept.

    Example: r2rise jobs cancel job_123
    """
    with connect(url) as client:
        remote_job = client.jobs.get(job).cancel()
        if remote_job.status == "succeeded":
            typer.echo("There was nothing to cancel: the job has succeeded.", err=True)
        print_job(remote_job, json=json)


@jobs.command("retry")
def retry(job: JobId, url: Url = None, json: Json = False) -> None:
    """Continue a job that failed or was canceled.

    Example: r2rise jobs retry job_123
    """
    with connect(url) as client:
        print_job(client.jobs.get(job).retry(), json=json)


@jobs.command("download")
def download(
    job: JobId,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File to write; its extension selects the content.")
    ],
    estimator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Estimator of a map: one of {ESTIMATORS}."),
    ] = None,
    force: Force = False,
    url: Url = None,
) -> None:
    """Write the result of a job to a file.

    .json is the result and .png or .svg its figure; .html is a report with all related results.
    A map can also be .csv or .npz; .npz of a curation is the curated demonstrations. A map can be
    downloaded while its job is running.

    Example: r2rise jobs download job_123 --out map.json
    """
    check_files(out, force=force)
    with connect(url) as client:
        client.jobs.get(job).download(out, estimator=estimator)
    typer.echo(f"Written: {out}.", err=True)


@jobs.command("delete")
def delete_job(job: JobId, url: Url = None) -> None:
    """Delete an ended job and its retrainings.

    Example: r2rise jobs delete job_123
    """
    with connect(url) as client:
        client.jobs.get(job).delete()
    typer.echo(f"Deleted: {job}.", err=True)


def _parse_status(text: str | None) -> "JobStatus | None":
    from r2rise.errors import InputError, suggestion
    from r2rise_service.models import ENDED, LIVE

    for status in (*LIVE, *ENDED):
        if text == status:
            return status
    if text is None:
        return None
    raise InputError(
        f"--status should be the status of a job, got {text!r}. {suggestion(text, (*LIVE, *ENDED))}"
    )


def _row(info: "JobInfo") -> list[str]:
    progress = f"{info.progress.done}/{info.progress.total}"
    return [info.id, info.kind, info.status, progress, info.name, f"{info.created_at:%m-%d %R}"]
