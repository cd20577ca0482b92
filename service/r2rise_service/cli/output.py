"""Printing: lines, tables, and importance maps as both."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from r2rise import ImportanceMap, Segment
from r2rise.results.map_words import ImportanceTable, why_no_verdicts
from r2rise.results.training_check import training_words
from r2rise.statistics.wording import SIGNIFICANCE, counted, duration, in_digits
from r2rise.study.notices import Notice
from r2rise.study.training import TrainingCurve

WIDTH = 100


def say(*lines: str) -> None:
    """Print lines, wrapped at `WIDTH` characters."""
    console = Console(width=WIDTH, highlight=False)
    for line in lines:
        console.print(line, markup=False)


def say_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(title=Text(title, style="table.title"), title_justify="left")
    for column in columns:
        is_id = column == "id"  # ids are copied from the terminal, so that they must not wrap
        table.add_column(Text(column), justify="right", no_wrap=is_id, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=WIDTH, highlight=False).print(table)


def number(value: float | None) -> str:
    """Return a number with three significant digits, or a dash for None."""
    return in_digits(value, 3)


def segment_cells(segment: Segment) -> tuple[str, str]:
    """Return the table cells of a segment: its demonstration, and its first and last frame."""
    return str(segment.demonstration), f"{segment.start}-{segment.stop - 1}"


def print_map(importance: ImportanceMap, k: int = 10) -> None:
    """Print a map: returns, whether frames differ, reliability, and `k` segments at each end."""
    say(*(_warning(notice) for notice in importance.headlines), *_summary_lines(importance))
    if importance.varies:
        _say_demonstrations(importance, k)
        _say_segments(importance, k)
    other_warnings = (
        notice for notice in importance.warnings if notice not in importance.headlines
    )
    say(*map(_warning, other_warnings))


def _summary_lines(importance: ImportanceMap) -> list[str]:
    counts, study = importance.retrainings, importance.study
    return [
        f"{study.environment.id}, {study.algorithm.name}: "
        f"{counted(len(importance), 'segment')}, {counts.done} of "
        f"{counted(counts.planned, 'retraining')} ({counts.failed} failed), design "
        f"{study.masking.design}, estimator {importance.estimator.name}",
        f"Mean return when masked: {number(counts.mean_return)} "
        f"(sd over masks {number(counts.std_return)}){_baselines(importance)}",
        *_training(importance),
        _equal_importance(importance.quality.equal_importance_p),
        _reliability(importance),
        *_verdicts(importance),
        *_stopped(importance),
        *_prediction(importance),
    ]


def _warning(notice: Notice) -> str:
    return f"Warning ({notice.code}): {notice.detail}"


def say_curve(curve: TrainingCurve) -> None:
    """Print the returns of a training check."""
    rows = zip(curve.amounts, curve.mean_return, curve.std_error, strict=True)
    say_table(
        f"All frames, mean return of {curve.n_seeds} training seeds; random actions: "
        f"{curve.random_policy:.4g}",
        [curve.unit, "return", "std error"],
        ([str(amount), f"{mean:.4g}", number(error)] for amount, mean, error in rows),
    )


def _training(importance: ImportanceMap) -> list[str]:
    curve = importance.study.training.curve
    return [] if curve is None else [training_words(curve)]


def _baselines(importance: ImportanceMap) -> str:
    all_frames, random_policy = importance.baseline.all_frames, importance.baseline.random_policy
    returns_by_name = {"all frames": all_frames, "random actions": random_policy}
    return "".join(
        f"; {name}: {returns.mean:.4g}{_error(returns.std_error)}"
        for name, returns in returns_by_name.items()
        if returns is not None
    )


def _error(std_error: float | None) -> str:
    return "" if std_error is None else f" +- {number(std_error)}"


def _equal_importance(p: float | None) -> str:
    question = "Are all frames equally important?"
    if p is None:
        return f"{question} These retrainings do not say."
    answer = "No, they differ" if p < SIGNIFICANCE else "No difference was found"
    return f"{question} {answer} (p = {p:.3f})."


def _reliability(importance: ImportanceMap) -> str:
    quality = importance.quality
    if quality.reliability is None:
        return "Reliability of the ranking: unknown."
    method_words = {
        "blocks": "training seeds compared with each other",
        "model": "from the standard errors",
    }[quality.reliability_method]
    return f"Reliability of the ranking: {quality.reliability:.2f} of 1 ({method_words})."


def _verdicts(importance: ImportanceMap) -> list[str]:
    if importance.estimator.sign == "order_only" or not importance.varies:
        return []
    table = ImportanceTable.segments(importance)
    reason = why_no_verdicts(importance)
    line = f"none, since {reason}." if reason else f"{table.counts()}."
    outlook = table.outlook(importance.study.masking.block_size)
    return [f"Verdicts: {line}", *([outlook] if outlook else [])]


def _stopped(importance: ImportanceMap) -> list[str]:
    stopped = importance.stopped
    if stopped is None:
        return []
    time_words = "" if stopped.seconds is None else f" and {duration(stopped.seconds)}"
    return [
        f"Stopped: {stopped.reason_words()} after {importance.revision} retrainings{time_words}."
    ]


def _prediction(importance: ImportanceMap) -> list[str]:
    prediction, stopped = importance.study.prediction, importance.stopped
    if prediction is None:
        return []
    reliability = importance.quality.reliability
    measured_reliability = "unknown" if reliability is None else f"{reliability:.2f}"
    seconds = stopped.seconds if stopped else None
    return [
        f"Predicted by the pilot: reliability {prediction.reliability:.2f} "
        f"({prediction.reliability_low:.2f} to {prediction.reliability_high:.2f}) in "
        f"{prediction.retrainings} retrainings and {duration(prediction.seconds)}; "
        f"found: {measured_reliability} in "
        f"{importance.revision}{'' if seconds is None else f' and {duration(seconds)}'}."
    ]


def _say_demonstrations(importance: ImportanceMap, k: int) -> None:
    table = ImportanceTable.demonstrations(importance)
    if table is None:
        return
    n = len(table.importance)
    title = "Whole demonstrations"
    indices = list(range(n))
    if n > 2 * k:
        title += f" ({k} at each end, of {n})"
        indices = [*table.helpful()[:k], *table.harmful()[:k][::-1]]
    rows = ([str(index), *table.cells(index)] for index in indices)
    say_table(title, ["demonstration", *table.columns], rows)


def _say_segments(importance: ImportanceMap, k: int) -> None:
    table = ImportanceTable.segments(importance)
    if importance.estimator.sign == "order_only":
        order = table.in_order()
        highest, lowest = order[:k], order[::-1][:k]
        _say_segment_table(
            f"Highest: {counted(len(highest), 'segment')}", importance, table, highest
        )
        _say_segment_table(f"Lowest: {counted(len(lowest), 'segment')}", importance, table, lowest)
        return
    for title, indices, empty_text in (
        ("Most helpful", table.helpful(), "No segment seems to help."),
        ("Most harmful", table.harmful(), "No segment seems to hurt."),
    ):
        if not indices:
            say(empty_text)
            continue
        shown_indices = indices[:k]
        of_all = f" of {len(indices)}" if len(indices) > k else ""
        words = f"{len(shown_indices)}{of_all} {_segments_words(title, len(indices))}"
        _say_segment_table(f"{title}: {words}", importance, table, shown_indices)


def _segments_words(title: str, n: int) -> str:
    sign = "positive" if title == "Most helpful" else "negative"
    return f"{'segment' if n == 1 else 'segments'} of {sign} importance"


def _say_segment_table(
    title: str, importance: ImportanceMap, table: ImportanceTable, indices: list[int]
) -> None:
    rows = ([*segment_cells(importance.segment(index)), *table.cells(index)] for index in indices)
    say_table(title, ["demonstration", "frames", *table.columns], rows)
