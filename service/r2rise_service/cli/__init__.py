"""The command line `r2rise`. Each command imports what it needs when it runs."""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from r2rise_service.cli import server
from r2rise_service.cli.local import (
    check_training,
    compare,
    convert,
    module_of,
    plan,
    record,
    show,
)
from r2rise_service.cli.remote.datasets import datasets
from r2rise_service.cli.remote.jobs import jobs
from r2rise_service.kinds import KINDS

_STOPPED_MESSAGES = {
    **dict.fromkeys(
        ("check-training", "plan", *KINDS),
        "Stopped. What was retrained is kept; the same command goes on from there.",
    ),
    "train-expert": "Stopped. The best expert so far is kept, once there is one.",
    "jobs": "Stopped. What was asked for may have reached the server: see `r2rise jobs list`.",
}
EXIT_FAILED, EXIT_USAGE, EXIT_CANNOT_REACH, EXIT_TIMEOUT, EXIT_INTERRUPTED = 1, 2, 3, 4, 130


class ReportingGroup(TyperGroup):
    """Prints R2RISE's errors as a message without a traceback, and exits with their status."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            message = _STOPPED_MESSAGES.get(ctx.invoked_subcommand, "Stopped.")
            status = EXIT_INTERRUPTED
        except BrokenPipeError:  # the reader closed the pipe, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_FAILED)
        except Exception as error:
            status = _exit_status(error)
            message = str(error)
        typer.echo(f"Error: {message}" if status != EXIT_INTERRUPTED else message, err=True)
        sys.exit(status)


def _exit_status(error: Exception) -> int:
    """Return the exit status of an expected error; re-raise any other error."""
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
app.command("train-expert")(record.train_expert)
app.command("record")(record.record)
app.command("check-training")(check_training.check_training)
app.command("plan")(plan.plan)
for _kind in KINDS:
    app.command(_kind)(getattr(module_of(_kind), _kind))
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("convert")(convert.convert)
app.command("report")(show.report)
app.command("algorithms")(show.algorithms)
app.command("environments")(show.environments)
app.command("serve")(server.serve)
app.command("worker")(server.worker)
app.add_typer(server.keys, name="keys")
app.add_typer(server.db, name="db")
app.add_typer(datasets, name="datasets")
app.add_typer(jobs, name="jobs")


def main() -> None:
    """Run the command line."""
    app()
