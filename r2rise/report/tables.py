"""The tables of the report."""

from collections.abc import Iterable, Iterator

from r2rise.report.figures.canvas import per_cent
from r2rise.report.figures.variance import PARTS
from r2rise.results.certificate import Certificate
from r2rise.results.comparison import Comparison
from r2rise.results.curation import Edit
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.map_words import Judged
from r2rise.results.transfer import Transfer
from r2rise.statistics.summaries import VarianceSplit
from r2rise.statistics.wording import (
    SIGNIFICANCE,
    decimals,
    in_digits,
    per_cents,
    signed,
)

LONGEST_TABLE = 10
"""Segments in the tables of extremes."""


def tables_of(found: ImportanceMap, judged: Judged) -> dict[str, list[list[str]]]:
    """Return the rows of segments and demonstrations; without any variation there are no ranks."""
    of_demonstrations = Judged.demonstrations(found)
    order = judged.in_order() if found.varies else []
    signed_ = found.estimator.sign == "positive_helps"
    best = judged.helpful() if signed_ and found.varies else order
    worst = judged.harmful() if signed_ and found.varies else order[::-1]
    demonstrations = [] if of_demonstrations is None else [
        [str(i), *of_demonstrations.cells(i)] for i in range(len(of_demonstrations.importance))
    ]  # fmt: skip
    return {
        "rows": _rows(found, judged, range(len(found))),
        "best": _rows(found, judged, best[:LONGEST_TABLE]),
        "worst": _rows(found, judged, worst[:LONGEST_TABLE]),
        "of_demonstrations": demonstrations,
    }


def _rows(found: ImportanceMap, judged: Judged, indices: Iterable[int]) -> list[list[str]]:
    return [[*map(str, _place(found, i)), *judged.cells(i)] for i in indices]


def _place(found: ImportanceMap, index: int) -> tuple[int, str]:
    demonstration, start, stop = found.segment(index)
    return demonstration, f"{start} to {stop - 1}"


def edit_row(edit: Edit) -> tuple[int, str, str]:
    """Return the demonstration of an edit, its frames, and why they are left out."""
    return edit.demonstration, f"{edit.start} to {edit.stop - 1}", edit.reason


def returns_of(found: ImportanceMap) -> Iterator[tuple[str, str, str]]:
    """Yield what was trained on, its mean return and the standard error."""
    trained, acted = found.baseline.all_frames, found.baseline.random_policy
    if trained is not None:
        yield "all frames", in_digits(trained.mean), in_digits(trained.std_error)
    yield "what masks keep", in_digits(found.retrainings.mean_return), "-"
    if acted is not None:
        yield "nothing: random actions", in_digits(acted.mean), in_digits(acted.std_error)


def differ(p: float | None) -> bool | None:
    """Say whether segments differ in importance; None where it was not tested."""
    return None if p is None else p < SIGNIFICANCE


def largest_part(split: VarianceSplit) -> tuple[str, int] | None:
    """Return where most of the variance comes from and its per cent, or None without any."""
    shares = split.shares()
    whole = dict(zip(shares, per_cents(list(shares.values())), strict=True))
    name = max(shares, key=lambda part: shares[part])
    return (PARTS[name], whole[name]) if shares[name] > 0 else None


def level_rows(found: Certificate | None) -> list[tuple[str, str, str, str, str]]:
    """Return what was found at each keep level; nothing for certificates of version 1.1."""
    return [
        (
            per_cent(level.keep),
            str(level.top_random.interval),
            f"{level.top_random.p_above:.2g}",
            str(level.random_bottom.interval),
            f"{level.random_bottom.p_above:.2g}",
        )
        for level in (found.levels if found else ())
        if level.top_random and level.random_bottom
    ]


def n_passes(found: Transfer | None) -> int:
    """Count the certificates of a transfer that pass."""
    return sum(cell.certificate.outcome == "pass" for cell in (found.cells if found else ()))


def differences_of(
    found: ImportanceMap, comparison: Comparison | None
) -> list[tuple[int, str, str, str]]:
    """Return place, difference and its error of what is known to differ, the largest first."""
    if comparison is None or comparison.difference is None:
        return []
    if found.study_hash not in comparison.study_hashes:
        return []
    table = comparison.difference
    differing = [i for i, verdict in enumerate(table.verdict) if verdict in ("helps", "hurts")]
    differing.sort(key=lambda i: -abs(table.difference[i]))
    n_decimals = decimals(table.difference.tolist())
    return [
        (
            *_place(found, i),
            signed(float(table.difference[i]), n_decimals),
            in_digits(table.std_error[i]),
        )
        for i in differing[:LONGEST_TABLE]
    ]
