"""The command line `r2rise`. What it imports is imported when it runs, so that Ctrl-C ends it."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from r2rise_service.cli.commands import app

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    """Import the commands on first access."""
    if name == "app":
        from r2rise_service.cli.commands import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run the command line."""
    from r2rise_service.cli.interrupts import EXIT_INTERRUPTED, InterruptWatch

    watch = InterruptWatch()
    try:
        from r2rise_service.cli.commands import app
        from r2rise_service.cli.exits import stopped_words

        watch.words = stopped_words(*sys.argv[1:2])
        app()
    except KeyboardInterrupt:  # while the commands are imported
        sys.stderr.write(f"{watch.words}\n")
        sys.exit(EXIT_INTERRUPTED)
    finally:
        watch.has_ended = True
