"""The command line `r2rise`. Each command imports what it needs when it runs."""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from r2rise_service.cli import (
    certifying,
    checking,
    comparing,
    converting,
    curating,
    explaining,
    keeping,
    listing,
    planning,
    recording,
    remote,
    remote_jobs,
    reporting,
    serving,
    showing,
    transferring,
    working,
)
from r2rise_service.kinds import KINDS

_STOPPED = {
    **dict.fromkeys(
        ("check-training", "plan", *KINDS),
        "Stopped. What was retrained is kept; the same command goes on from there.",
    ),
    "train-expert": "Stopped. The best expert so far is kept, once there is one.",
    "jobs": "Stopped. What was asked for may have reached the server: see `r2rise jobs list`.",
}
EXIT_FAILED, EXIT_USAGE, EXIT_CANNOT_REACH, EXIT_TIMEOUT, EXIT_INTERRUPTED = 1, 2, 3, 4, 130


class ReportingGroup(TyperGroup):
    """Turns R2RISE's errors into a message and an exit status; never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            message = _STOPPED.get(ctx.invoked_subcommand, "Stopped.")
            status = EXIT_INTERRUPTED
        except BrokenPipeError:  # whoever read has enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_FAILED)
        except Exception as error:
            status = _exit_status(error)
            message = str(error)
        typer.echo(f"Error: {message}" if status != EXIT_INTERRUPTED else message, err=True)
        sys.exit(status)


def _exit_status(error: Exception) -> int:
    """Return the exit status of an error that is not a bug; re-raise others."""
    from r2rise.errors import InputError, MissingExtra, R2RiseError
    from r2rise_service.client.errors import CannotReach, WaitTimeout

    if not isinstance(error, R2RiseError | OSError):
        raise error
    if isinstance(error, CannotReach | WaitTimeout):
        return EXIT_CANNOT_REACH if isinstance(error, CannotReach) else EXIT_TIMEOUT
    return EXIT_USAGE if isinstance(error, InputError | MissingExtra) else EXIT_FAILED


app = typer.Typer(
    name="r2rise",
    cls=ReportingGroup,
    help="Which frames of your demonstrations make the policy good, which make it worse, and how "
    "sure is that?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("train-expert")(recording.train_expert)
app.command("record")(recording.record)
app.command("check-training")(checking.check_training)
app.command("plan")(planning.plan)
app.command("explain")(explaining.explain)
app.command("show")(showing.show)
app.command("certify")(certifying.certify)
app.command("curate")(curating.curate)
app.command("compare")(comparing.compare)
app.command("transfer")(transferring.transfer)
app.command("convert")(converting.convert)
app.command("report")(reporting.report)
app.command("algorithms")(listing.algorithms)
app.command("environments")(listing.environments)
app.command("serve")(serving.serve)
app.command("worker")(working.worker)
app.add_typer(keeping.keys, name="keys")
app.add_typer(keeping.db, name="db")
app.add_typer(remote.datasets, name="datasets")
app.add_typer(remote_jobs.jobs, name="jobs")


def main() -> None:
    """Run the command line."""
    app()
