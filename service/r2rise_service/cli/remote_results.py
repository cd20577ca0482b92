"""A job and what came of it, printed as the local commands print their results."""

from typing import TYPE_CHECKING

import typer

from r2rise_service.cli.certifying import print_certificate
from r2rise_service.cli.curating import print_curation
from r2rise_service.cli.remote import print_json
from r2rise_service.cli.transferring import print_transfer

if TYPE_CHECKING:
    from r2rise_service.client import Job


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
    from r2rise_service.cli.summary import print_map

    match job.kind:
        case "explain":
            print_map(job.importance())
        case "certify":
            print_certificate(job.certificate())
        case "curate":
            print_curation(job.curation())
        case "transfer":
            print_transfer(job.transfer())
