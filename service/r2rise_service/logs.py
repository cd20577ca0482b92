"""Logs of the server: JSON lines on standard error, or coloured ones on a terminal.

All logs go through the standard library's `logging`. What R2RISE's modules pass as `extra` becomes
fields of the line.
"""

import logging
import sys

import structlog
from structlog.typing import Processor

_OWN_LOGGERS = ("r2rise", "r2rise_service")
_NO_DASK_HANDLERS = {"version": 1, "incremental": True, "disable_existing_loggers": False}


def configure(level: str) -> None:
    """Log R2RISE's messages from a level on, and the warnings of all other packages.

    Call it before `distributed` is imported, which otherwise installs its own handlers. Worker
    processes that this process starts log in the same way.

    Args:
        level: `debug`, `info` or `warning`.
    """
    import dask

    dask.config.set({"logging": _NO_DASK_HANDLERS, "distributed.worker.preload": [__name__]})
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(on_terminal=sys.stderr.isatty()))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(level.upper())


def dask_setup(_worker: object) -> None:
    """Set up the logs of a worker process; Dask calls this in each that preloads this module."""
    # Dask was imported before this module, so its loggers have handlers already.
    for name in ("distributed", "distributed.client"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    configure("warning")


def formatter(*, on_terminal: bool) -> logging.Formatter:
    """Return the formatter of log lines: readable on a terminal, else JSON."""
    shared_processors: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if on_terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared_processors,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
