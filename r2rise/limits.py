"""The largest numbers that can be asked for, and why: checked before anything is spent."""

import os
from typing import Any

from r2rise.errors import InputError

MOST_RETRAININGS = 1_000_000
MOST_EPISODES = 100_000
MOST_REPETITIONS = 10_000
MOST_THREADS = 1024
WORKERS_PER_PROCESSOR = 4
"""Enough for those that wait for something else, such as an accelerator."""

OPEN_BUDGET = 20_000
"""Most retrainings of a plan, or of a study with a stopping rule, that names no number."""

TOO_MANY_EPISODES = "More episodes of one policy show nothing about other trainings."
TOO_MANY_THREADS = "No machine has that many processors."
TOO_MANY_RETRAININGS = "The records of more retrainings do not fit into the memory of one machine."


def check_count(
    name: str, value: Any, *, least: int, most: int | None = None, reason: str = ""
) -> None:
    """Check a whole number.

    Args:
        name: What it counts, as in Python and, with dashes before it, on the command line.
        value: The number.
        least: Smallest allowed number.
        most: Largest allowed number; None: any.
        reason: Why it may not be larger, for the error.

    Raises:
        InputError: When it is not a whole number in this range.
    """
    is_whole = hasattr(value, "__index__") and not isinstance(value, bool)
    is_too_large = is_whole and most is not None and value > most
    if is_whole and value >= least and not is_too_large:
        return
    allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
    why = f" {reason}" if is_too_large else ""
    raise InputError(f"{name} should be a whole number {allowed}, got {value!r}.{why}")


def check_retrainings(name: str, value: int) -> None:
    """Check a number of retrainings, of at least 1.

    Raises:
        InputError: When it is out of range.
    """
    check_count(name, value, least=1, most=MOST_RETRAININGS, reason=TOO_MANY_RETRAININGS)


def check_repetitions(repetitions: int) -> None:
    """Check a number of training seeds to compare.

    Raises:
        InputError: When it is out of range.
    """
    check_count(
        "repetitions",
        repetitions,
        least=2,
        most=MOST_REPETITIONS,
        reason="Each repetition takes several retrainings, and 20 usually suffice.",
    )


def check_workers(workers: int, *, least: int = 0) -> None:
    """Check a number of worker processes for this machine.

    Args:
        workers: The number.
        least: 0 where the caller can do the work itself.

    Raises:
        InputError: When it is out of range.
    """
    reason = f"More than {WORKERS_PER_PROCESSOR} for each processor would only wait for each other."
    check_count("workers", workers, least=least, most=most_workers(), reason=reason)


def most_workers() -> int:
    """Return how many worker processes this machine may have."""
    return WORKERS_PER_PROCESSOR * (os.cpu_count() or 1)
