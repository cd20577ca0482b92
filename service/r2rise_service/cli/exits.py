"""How the command line ends: its exit statuses, and what it prints about errors."""

import errno
import os
import sys
from itertools import pairwise
from typing import Any, NoReturn

import typer

from r2rise.files import NO_SPACE
from r2rise_service.cli.help import HelpfulGroup
from r2rise_service.cli.interrupts import EXIT_INTERRUPTED
from r2rise_service.kinds import KINDS

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_CANNOT_REACH, EXIT_TIMEOUT = range(5)

EXIT_STATUSES = {
    EXIT_DONE: "success",
    EXIT_FAILED: (
        "the command failed, and completed retrainings are kept; or the answer is no: a plan was "
        "refused, a job failed or was canceled, or `certify --check` or `db check` did not pass"
    ),
    EXIT_USAGE: "the input cannot be used, or a package is missing; nothing was retrained",
    EXIT_CANNOT_REACH: "the server cannot be reached",
    EXIT_TIMEOUT: "the job took longer than --timeout; it continues",
    EXIT_INTERRUPTED: "stopped with Ctrl-C; completed retrainings are kept",
}
"""The meaning of each exit status."""

_KEPT: dict[str | None, str] = {
    **dict.fromkeys(
        ("check-training", "plan", *KINDS),
        "Completed retrainings are kept; run the same command again to continue.",
    ),
    "train-expert": "The best expert so far is kept, once there is one.",
}
"""What is kept of a command that did not end by itself."""

_STOPPED: dict[str | None, str] = _KEPT | {
    "jobs": "The request may have reached the server: check with `r2rise jobs list`.",
}
_WHAT_TO_DO = {
    **dict.fromkeys(NO_SPACE, "Free some space there, and try again."),
    errno.EFBIG: "Allow larger files (`ulimit -f`), and try again.",
    errno.EROFS: "Write to another directory, or make this one writable.",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM), "Get the permission, or name another file or directory."
    ),
}
"""What to do about errors of the file system, by their numbers."""


class ReportingGroup(HelpfulGroup):
    """Prints R2RISE's errors as a message without a traceback, and exits with their status."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, none of which may be empty: as a path, that is the working directory."""
        if not ctx.resilient_parsing and (name := _empty_argument(args)):
            _exit(
                EXIT_USAGE,
                f"{name} is empty: give a value, or leave it out. Is a shell variable unset?",
            )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo(stopped_words(ctx.invoked_subcommand), err=True)
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:  # the reader closed the pipe, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_FAILED)
        except Exception as error:
            _exit(*_status_and_message(error, _KEPT.get(ctx.invoked_subcommand)))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  (Typer's signature)
        """Write what the exit statuses mean."""
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), text) for status, text in EXIT_STATUSES.items()])


def stopped_words(command: str | None = None) -> str:
    """Return what to print when a command was stopped with Ctrl-C."""
    return _joined("Stopped.", _STOPPED.get(command))


def _exit(status: int, message: str) -> NoReturn:
    typer.echo(f"Error: {message}", err=True)
    sys.exit(status)


def _empty_argument(args: list[str]) -> str | None:
    """Return the option that was given an empty value, or `An argument`; None if there is none."""
    for previous, arg in pairwise(["", *args]):
        option, equals, value = arg.partition("=")
        if option.startswith("--") and equals and not value:
            return option
        if not arg:
            return previous if previous.startswith("--") else "An argument"
    return None


def _status_and_message(error: Exception, kept: str | None) -> tuple[int, str]:
    """Return the exit status and the text of an expected error; re-raise any other error."""
    if isinstance(error, MemoryError):
        return EXIT_FAILED, _joined("There is not enough memory.", str(error), kept)
    from r2rise.errors import InputError, MissingExtra, R2RiseError
    from r2rise_service.client.errors import CannotReach, WaitTimeout

    if isinstance(error, OSError) and not isinstance(error, R2RiseError):
        return EXIT_FAILED, _os_error_words(error, kept)
    if not isinstance(error, R2RiseError):
        raise error
    if isinstance(error, CannotReach | WaitTimeout):
        status = EXIT_CANNOT_REACH if isinstance(error, CannotReach) else EXIT_TIMEOUT
    else:
        status = EXIT_USAGE if isinstance(error, InputError | MissingExtra) else EXIT_FAILED
    return status, str(error)


def _os_error_words(error: OSError, kept: str | None) -> str:
    """Say which file an error is about, what is wrong, what was kept and what to do."""
    if error.strerror is None:
        return str(error)
    where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    what_to_do = _WHAT_TO_DO.get(error.errno or 0)
    return _joined(f"{where}{error.strerror}.", what_to_do, kept if what_to_do else None)


def _joined(*sentences: str | None) -> str:
    return " ".join(filter(None, sentences))
