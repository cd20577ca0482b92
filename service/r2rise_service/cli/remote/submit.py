"""`r2rise jobs submit`, `certify`, `curate`, `transfer`, `compare`: new work for a server."""

from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.local.compare import ComparisonFile, present
from r2rise_service.cli.options import (
    Base,
    Demos,
    Force,
    Frames,
    Goals,
    Json,
    Learner,
    Repetitions,
    Retrainings,
    study_of,
    with_option_groups,
)
from r2rise_service.cli.reading import Reading
from r2rise_service.cli.ready import check_files
from r2rise_service.cli.remote import (
    JobId,
    Url,
    connect,
    parse_labels,
    print_json,
    print_warnings,
)
from r2rise_service.kinds import REPETITIONS

if TYPE_CHECKING:
    from r2rise_service.client import Job
    from r2rise_service.models import DryRun

Name = Annotated[str, typer.Option(metavar="TEXT", help="Name of the job.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help="Label of the job; repeatable."),
]
Priority = Annotated[
    int, typer.Option(min=-100, max=100, metavar="N", help="Jobs of higher priority run first.")
]
JobIds = Annotated[
    list[str], typer.Argument(metavar="JOB", help="Ids of two or more jobs that computed a map.")
]


@with_option_groups
def submit(
    *,
    demonstrations: Demos,
    learner: Learner,
    retrainings: Retrainings = None,
    goals: Goals,
    frames: Frames,
    reading: Reading,
    base: Base,
    name: Name = "",
    label: Labels = None,
    priority: Priority = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the maximum cost; create no job.")
    ] = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Upload demonstrations, and compute their importance map on the server.

    Example: r2rise jobs submit demos.npz --env CartPole-v1 --retrainings 384
    """
    budget = {"retrainings": retrainings}
    study = study_of(base, learner, frames, goals, {"budget": budget})
    labels = parse_labels(label)
    with connect(url) as client:
        keys = study.environment.obs_keys
        dataset = client.datasets.upload(demonstrations, obs_keys=keys, **reading.arguments())
        if dry_run:
            _print_estimate(client.jobs.estimate(dataset, study=study), json=json)
            return
        job = client.jobs.create(dataset, study=study, name=name, labels=labels, priority=priority)
    _print_submitted(job, json=json)


def certify(
    job: JobId,
    repetitions: Repetitions = REPETITIONS,
    name: Name = "",
    label: Labels = None,
    priority: Priority = 0,
    url: Url = None,
    json: Json = False,
) -> None:
    """Test the map of a job by retraining on its top, its bottom and random segments.

    Example: r2rise jobs certify job_123
    """
    labels = parse_labels(label)
    with connect(url) as client:
        new_job = client.jobs.certify(
            job, repetitions=repetitions, name=name, labels=labels, priority=priority
        )
    _print_submitted(new_job, json=json)


def curate(
    job: JobId,
    name: Name = "",
    label: Labels = None,
    priority: Priority = 0,
    url: Url = None,
    json: Json = False,
) -> None:
    """Find out which frames to leave out, from the map of a job.

    To get the curated demonstrations, download the result as .npz.

    Example: r2rise jobs curate job_123
    """
    labels = parse_labels(label)
    with connect(url) as client:
        new_job = client.jobs.curate(job, name=name, labels=labels, priority=priority)
    _print_submitted(new_job, json=json)


def transfer(
    jobs: JobIds,
    repetitions: Repetitions = REPETITIONS,
    name: Name = "",
    label: Labels = None,
    priority: Priority = 0,
    url: Url = None,
    json: Json = False,
) -> None:
    """Test whether the segments that matter to one job's algorithm matter to the others.

    Example: r2rise jobs transfer job_123 job_456
    """
    labels = parse_labels(label)
    with connect(url) as client:
        new_job = client.jobs.transfer(
            jobs, repetitions=repetitions, name=name, labels=labels, priority=priority
        )
    _print_submitted(new_job, json=json)


def compare(
    a: JobId,
    b: Annotated[
        str, typer.Argument(metavar="JOB", help="Another job, with a map over the same segments.")
    ],
    out: ComparisonFile = None,
    force: Force = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Compare the maps of two jobs, without retraining.

    Example: r2rise jobs compare job_123 job_456
    """
    if out is not None:
        check_files(out, force=force)
    with connect(url) as client:
        comparison = client.comparisons.create(a, b).comparison
        first, second = (client.jobs.get(job).importance() for job in (a, b))
    present(comparison, first, second, out=out, json=json)


def _print_submitted(job: "Job", *, json: bool) -> None:
    if json:
        print_json(job.info.model_dump(mode="json"))
        return
    typer.echo(job.id)
    print_warnings(job.info.warnings)
    typer.echo(f"Follow it with `r2rise jobs watch {job.id}`.", err=True)


def _print_estimate(estimate: "DryRun", *, json: bool) -> None:
    if json:
        print_json(estimate.model_dump(mode="json"))
        return
    study, cost = estimate.study, estimate.cost
    at_most = "at most " if study.until.may_end_early else ""
    typer.echo(
        f"{study.environment.id}, {study.algorithm.name}: {at_most}{cost.retrainings} retrainings, "
        f"{cost.episodes} episodes, at most {cost.most_steps} steps of the environment"
    )
    if estimate.training_check is not None:
        typer.echo(f"The training check comes first. {estimate.training_check}")
    print_warnings(estimate.warnings)
    typer.echo("No job was created. To create it, leave out --dry-run.", err=True)
