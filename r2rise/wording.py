"""Numbers in words: the same on the command line, in results and in the report."""

SIGNIFICANCE = 0.05
"""p-value below which frames are said to differ."""

BEYOND_ANY_BUDGET = 10**8
"""Retrainings that nobody will do."""


def duration(seconds: float) -> str:
    """Return seconds as `3.1 s`, `5.2 min` or `2.0 h`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def share_of_one(value: float) -> str:
    """Return a reliability with two digits, near 1 with as many as tell it from 1."""
    return f"{value:.2f}" if value < 0.99 or value == 1 else f"{value:.4g}"


def counted(n: int, noun: str) -> str:
    """Return `1 segment` or `2 segments`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
