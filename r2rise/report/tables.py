"""The tables of the report."""

from collections.abc import Iterable, Iterator

from r2rise.report.figures.canvas import per_cent
from r2rise.report.figures.variance import PARTS
from r2rise.results.certificate import Certificate
from r2rise.results.comparison import Comparison
from r2rise.results.curation import Edit
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.map_words import ImportanceTable
from r2rise.results.transfer import Transfer
from r2rise.statistics.summaries import VarianceSplit
from r2rise.statistics.wording import (
    SIGNIFICANCE,
    decimals,
    in_digits,
    per_cents,
    signed,
)

MAX_ROWS = 10
"""Largest number of rows in the tables of the best and worst segments."""


def importance_rows(
    importance_map: ImportanceMap, importance_table: ImportanceTable
) -> dict[str, list[list[str]]]:
    """Return the rows of all, best and worst segments, and of demonstrations.

    If returns do not vary there is no order, and no best or worst segments.
    """
    demonstration_table = ImportanceTable.demonstrations(importance_map)
    order = importance_table.in_order() if importance_map.varies else []
    is_signed = importance_map.estimator.sign == "positive_helps"
    best = importance_table.helpful() if is_signed and importance_map.varies else order
    worst = importance_table.harmful() if is_signed and importance_map.varies else order[::-1]
    demonstration_rows = [] if demonstration_table is None else [
        [str(i), *demonstration_table.cells(i)] for i in range(len(demonstration_table.importance))
    ]  # fmt: skip
    return {
        "rows": _table_rows(importance_map, importance_table, range(len(importance_map))),
        "best": _table_rows(importance_map, importance_table, best[:MAX_ROWS]),
        "worst": _table_rows(importance_map, importance_table, worst[:MAX_ROWS]),
        "demonstration_rows": demonstration_rows,
    }


def _table_rows(
    importance_map: ImportanceMap, importance_table: ImportanceTable, indices: Iterable[int]
) -> list[list[str]]:
    return [[*map(str, _place(importance_map, i)), *importance_table.cells(i)] for i in indices]


def _place(importance_map: ImportanceMap, index: int) -> tuple[int, str]:
    demonstration, start, stop = importance_map.segment(index)
    return demonstration, f"{start} to {stop - 1}"


def edit_row(edit: Edit) -> tuple[int, str, str]:
    """Return the demonstration of an edit, its frames, and why they are left out."""
    return edit.demonstration, f"{edit.start} to {edit.stop - 1}", edit.reason


def return_rows(importance_map: ImportanceMap) -> Iterator[tuple[str, str, str]]:
    """Yield for each baseline what was trained on, the mean return and its standard error."""
    baseline = importance_map.baseline
    all_frames, random_policy = baseline.all_frames, baseline.random_policy
    if all_frames is not None:
        yield "all frames", in_digits(all_frames.mean), in_digits(all_frames.std_error)
    yield "what masks keep", in_digits(importance_map.retrainings.mean_return), "-"
    if random_policy is not None:
        label = "nothing: random actions"
        yield label, in_digits(random_policy.mean), in_digits(random_policy.std_error)


def frames_differ(p: float | None) -> bool | None:
    """Return whether segments differ in importance; None if it was not tested."""
    return None if p is None else p < SIGNIFICANCE


def largest_part(split: VarianceSplit) -> tuple[str, int] | None:
    """Return the largest source of variance and its per cent, or None without variance."""
    shares = split.shares()
    percentages = dict(zip(shares, per_cents(list(shares.values())), strict=True))
    name = max(shares, key=lambda part: shares[part])
    return (PARTS[name], percentages[name]) if shares[name] > 0 else None


def level_rows(certificate: Certificate | None) -> list[tuple[str, str, str, str, str]]:
    """Return both comparisons at each keep level; empty for files of version 1.1 and before."""
    return [
        (
            per_cent(level.keep),
            str(level.top_random.interval),
            f"{level.top_random.p_above:.2g}",
            str(level.random_bottom.interval),
            f"{level.random_bottom.p_above:.2g}",
        )
        for level in (certificate.levels if certificate else ())
        if level.top_random and level.random_bottom
    ]


def n_passes(transfer: Transfer | None) -> int:
    """Return the number of certificates of a transfer that pass."""
    return sum(cell.certificate.outcome == "pass" for cell in (transfer.cells if transfer else ()))


def difference_rows(
    importance_map: ImportanceMap, comparison: Comparison | None
) -> list[tuple[int, str, str, str]]:
    """Return place, difference and standard error of significant differences, largest first.

    Empty if the comparison is of other maps.
    """
    if comparison is None or comparison.difference is None:
        return []
    if importance_map.study_hash not in comparison.study_hashes:
        return []
    table = comparison.difference
    differing = [i for i, verdict in enumerate(table.verdict) if verdict in ("helps", "hurts")]
    differing.sort(key=lambda i: -abs(table.difference[i]))
    n_decimals = decimals(table.difference.tolist())
    return [
        (
            *_place(importance_map, i),
            signed(float(table.difference[i]), n_decimals),
            in_digits(table.std_error[i]),
        )
        for i in differing[:MAX_ROWS]
    ]
