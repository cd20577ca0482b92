"""Logs of the server: JSON lines on standard error, or coloured ones on a terminal.

Everything goes through the standard library's `logging`: what our own modules pass as `extra` are
fields of the line.
"""

import logging
import sys

import structlog
from structlog.typing import Processor

_OURS = ("r2rise", "r2rise_service")
_AS_THEY_COME = {"version": 1, "incremental": True, "disable_existing_loggers": False}


def configure(level: str) -> None:
    """Log what is ours from a level on, and the warnings of everybody else.

    Call it before `distributed` is imported, which else logs to handlers of its own. Worker
    processes that this one starts log in the same way.

    Args:
        level: `debug`, `info` or `warning`.
    """
    import dask

    dask.config.set({"logging": _AS_THEY_COME, "distributed.worker.preload": [__name__]})
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(on_terminal=sys.stderr.isatty()))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())


def dask_setup(_worker: object) -> None:
    """Set up the logs of a worker process; Dask calls this in each that preloads this module."""
    for name in ("distributed", "distributed.client"):  # it was imported first in this process
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    configure("warning")


def formatter(*, on_terminal: bool) -> logging.Formatter:
    """Return what turns a record into a line: for people on a terminal, else JSON."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if on_terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
