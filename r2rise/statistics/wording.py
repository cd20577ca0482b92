"""Numbers as text: the same on the command line, in results and in the report."""

import math
from collections.abc import Iterable, Sequence

SIGNIFICANCE = 0.05
"""p-value below which frames differ significantly."""

BEYOND_ANY_BUDGET = 10**8
"""Number of retrainings that counts as unattainable."""

ROUNDING = 1e-9
"""Returns below this are rounding errors."""


def duration(seconds: float) -> str:
    """Return seconds as `3.1 s`, `5.2 min` or `2.0 h`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def share_of_one(value: float) -> str:
    """Return a reliability with two decimals; near 1 with enough to distinguish it from 1."""
    return f"{value:.2f}" if value < 0.99 or value == 1 else f"{value:.4g}"


def counted(n: int, noun: str) -> str:
    """Return `1 segment` or `2 segments`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def failed_words(n: int, total: int, excluded: str = "") -> str:
    """Return a sentence on how many retrainings failed and what is left out because of it.

    Args:
        n: Number of failed retrainings.
        total: Number of all retrainings.
        excluded: What is left out, if not the failed retrainings themselves.
    """
    ending = (
        f"; {excluded} are left out" if excluded else f" and {'is' if n == 1 else 'are'} left out"
    )
    return f"{n} of {counted(total, 'retraining')} failed{ending}."


def in_digits(value: float | None, digits: int = 4) -> str:
    """Return a number with `digits` significant digits; 0 for rounding errors, a dash for none."""
    if value is None or not math.isfinite(value):
        return "-"
    return "0" if abs(value) < ROUNDING else f"{value:.{digits}g}"


def decimals(values: Iterable[float]) -> int:
    """Return the number of decimals with which the largest of a column shows four digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 2 if largest < ROUNDING else max(0, 3 - math.floor(math.log10(largest)))


def signed(value: float, n_decimals: int) -> str:
    """Return a number with its sign and `n_decimals` decimals; a dash for none."""
    if not math.isfinite(value):
        return "-"
    text = f"{value:+.{n_decimals}f}"
    return text[1:] if float(text) == 0 else text


def per_cents(shares: Sequence[float]) -> list[int]:
    """Return shares of a whole in per cent, rounded so that they sum to 100.

    The largest remainders are rounded up (Hamilton's method). Shares that are all 0 stay 0.
    """
    exact = [100 * share for share in shares]
    rounded = [math.floor(value) for value in exact]
    n_missing = round(sum(exact)) - sum(rounded)
    by_remainder = sorted(range(len(exact)), key=lambda i: rounded[i] - exact[i])
    for i in by_remainder[:n_missing]:
        rounded[i] += 1
    return rounded
