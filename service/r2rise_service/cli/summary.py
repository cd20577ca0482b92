"""An importance map in words and two tables."""

from rich.console import Console
from rich.table import Table

from r2rise import ImportanceMap
from r2rise.importance import RankedSegment

SIGNIFICANCE = 0.05


def print_map(importance: ImportanceMap, k: int = 10) -> None:
    """Print what a map says: returns, whether frames differ, reliability, the extremes."""
    console = Console(width=100, highlight=False)
    for line in _lines(importance):
        console.print(line, markup=False)
    order_only = importance.estimator.sign == "order_only"
    most = "highest" if order_only else "most helpful"
    least = "lowest" if order_only else "most harmful (least helpful)"
    console.print(_table(f"{k} {most} segments", importance.top(k)))
    console.print(_table(f"{k} {least} segments", importance.bottom(k)))
    for notice in importance.warnings:
        console.print(f"Warning ({notice.code}): {notice.detail}", markup=False)


def _lines(importance: ImportanceMap) -> list[str]:
    counts, study = importance.retrainings, importance.study
    return [
        f"{study.environment.id}, {study.algorithm.name}: {len(importance)} segments, "
        f"{counts.done} of {counts.planned} retrainings ({counts.failed} failed), design "
        f"{study.masking.design}, estimator {importance.estimator.name}",
        f"Mean return when masked: {_number(counts.mean_return)} "
        f"(sd over masks {_number(counts.std_return)}){_baselines(importance)}",
        _equal_importance(importance.quality.equal_importance_p),
        _reliability(importance),
    ]


def _baselines(importance: ImportanceMap) -> str:
    text = ""
    if (trained := importance.baseline.all_frames) is not None:
        text += f"; all frames: {trained.mean:.4g} +- {_number(trained.std_error)}"
    if (acted := importance.baseline.random_policy) is not None:
        text += f"; random actions: {acted.mean:.4g} +- {_number(acted.std_error)}"
    return text


def _equal_importance(p: float | None) -> str:
    question = "Are all frames equally important?"
    if p is None:
        return f"{question} Cannot be told from these retrainings."
    answer = "No, they differ" if p < SIGNIFICANCE else "No difference was found"
    return f"{question} {answer} (p = {p:.3f})."


def _reliability(importance: ImportanceMap) -> str:
    quality = importance.quality
    if quality.reliability is None:
        return "Reliability of the ranking: cannot be told from these retrainings."
    how = {
        "blocks": "training seeds compared with each other",
        "model": "from the standard errors",
    }[quality.reliability_method]
    return f"Reliability of the ranking: {quality.reliability:.2f} of 1 ({how})."


def _table(title: str, ranked: list[RankedSegment]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("demonstration", "frames", "importance", "std error"):
        table.add_column(column, justify="right")
    for (demonstration, start, stop), importance, std_error in ranked:
        table.add_row(
            str(demonstration),
            f"{start}-{stop - 1}",
            f"{importance:+.4g}",
            _number(std_error),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3g}"  # noqa: PLR0124  (NaN)
