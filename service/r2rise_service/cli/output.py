"""What commands print: lines and tables, and an importance map in both."""

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
    """Print lines."""
    console = Console(width=WIDTH, highlight=False)
    for line in lines:
        console.print(line, markup=False)


def say_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(title=Text(title, style="table.title"), title_justify="left")
    for column in columns:
        whole = column == "id"  # to be copied from here
        table.add_column(Text(column), justify="right", no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=WIDTH, highlight=False).print(table)


def number(value: float | None) -> str:
    """Return three digits, or a dash where there is no number."""
    return in_digits(value, 3)


def place(segment: Segment) -> tuple[str, str]:
    """Return the demonstration and the frames of a segment."""
    return str(segment.demonstration), f"{segment.start}-{segment.stop - 1}"


def print_map(importance: ImportanceMap, k: int = 10) -> None:
    """Print what a map says: returns, whether frames differ, reliability, the extremes."""
    say(*(_warning(notice) for notice in importance.headlines), *_lines(importance))
    if importance.varies:
        _say_demonstrations(importance, k)
        _say_segments(importance, k)
    others = (notice for notice in importance.warnings if notice not in importance.headlines)
    say(*map(_warning, others))


def _lines(importance: ImportanceMap) -> list[str]:
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
    trained, acted = importance.baseline.all_frames, importance.baseline.random_policy
    named = {"all frames": trained, "random actions": acted}
    return "".join(
        f"; {name}: {found.mean:.4g}{_error(found.std_error)}"
        for name, found in named.items()
        if found is not None
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
    how = {
        "blocks": "training seeds compared with each other",
        "model": "from the standard errors",
    }[quality.reliability_method]
    return f"Reliability of the ranking: {quality.reliability:.2f} of 1 ({how})."


def _verdicts(importance: ImportanceMap) -> list[str]:
    if importance.estimator.sign == "order_only" or not importance.varies:
        return []
    judged = ImportanceTable.segments(importance)
    why_not = why_no_verdicts(importance)
    line = f"none, since {why_not}." if why_not else f"{judged.counts()}."
    outlook = judged.outlook(importance.study.masking.block_size)
    return [f"Verdicts: {line}", *([outlook] if outlook else [])]


def _stopped(importance: ImportanceMap) -> list[str]:
    stopped = importance.stopped
    if stopped is None:
        return []
    why = {"goal": "what was asked for was reached", "time": "time was up"}[stopped.reason]
    worked = "" if stopped.seconds is None else f" and {duration(stopped.seconds)}"
    return [f"Stopped: {why} after {importance.revision} retrainings{worked}."]


def _prediction(importance: ImportanceMap) -> list[str]:
    predicted, stopped = importance.study.prediction, importance.stopped
    if predicted is None:
        return []
    reliability = importance.quality.reliability
    found = "unknown" if reliability is None else f"{reliability:.2f}"
    time = stopped.seconds if stopped else None
    return [
        f"Predicted by the pilot: reliability {predicted.reliability:.2f} "
        f"({predicted.reliability_low:.2f} to {predicted.reliability_high:.2f}) in "
        f"{predicted.retrainings} retrainings and {duration(predicted.seconds)}; found: {found} in "
        f"{importance.revision}{'' if time is None else f' and {duration(time)}'}."
    ]


def _say_demonstrations(importance: ImportanceMap, k: int) -> None:
    judged = ImportanceTable.demonstrations(importance)
    if judged is None:
        return
    n = len(judged.importance)
    title = "Whole demonstrations"
    shown = list(range(n))
    if n > 2 * k:
        title += f" ({k} at each end, of {n})"
        shown = [*judged.helpful()[:k], *judged.harmful()[:k][::-1]]
    rows = ([str(index), *judged.cells(index)] for index in shown)
    say_table(title, ["demonstration", *judged.columns], rows)


def _say_segments(importance: ImportanceMap, k: int) -> None:
    judged = ImportanceTable.segments(importance)
    if importance.estimator.sign == "order_only":
        order = judged.in_order()
        highest, lowest = order[:k], order[::-1][:k]
        _say_table(f"Highest: {counted(len(highest), 'segment')}", importance, judged, highest)
        _say_table(f"Lowest: {counted(len(lowest), 'segment')}", importance, judged, lowest)
        return
    for title, chosen, nothing in (
        ("Most helpful", judged.helpful(), "No segment seems to help."),
        ("Most harmful", judged.harmful(), "No segment seems to hurt."),
    ):
        if not chosen:
            say(nothing)
            continue
        shown = chosen[:k]
        of = f" of {len(chosen)}" if len(chosen) > k else ""
        _say_table(f"{title}: {len(shown)}{of} {_kind(title, len(chosen))}", importance, judged,
                   shown)  # fmt: skip


def _kind(title: str, n: int) -> str:
    sign = "positive" if title == "Most helpful" else "negative"
    return f"{'segment' if n == 1 else 'segments'} of {sign} importance"


def _say_table(
    title: str, importance: ImportanceMap, judged: ImportanceTable, chosen: list[int]
) -> None:
    rows = ([*place(importance.segment(index)), *judged.cells(index)] for index in chosen)
    say_table(title, ["demonstration", "frames", *judged.columns], rows)
