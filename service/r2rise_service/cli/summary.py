"""An importance map in words and two tables."""

from r2rise import ImportanceMap
from r2rise.importance import RankedSegment
from r2rise.notices import Notice
from r2rise.training_check import training_words
from r2rise.training_parts import TrainingCurve
from r2rise.wording import BEYOND_ANY_BUDGET, SIGNIFICANCE, duration
from r2rise_service.cli.printing import number, place, say, say_table


def print_map(importance: ImportanceMap, k: int = 10) -> None:
    """Print what a map says: returns, whether frames differ, reliability, the extremes."""
    say(*(_warning(notice) for notice in importance.headlines), *_lines(importance))
    order_only = importance.estimator.sign == "order_only"
    most = "highest" if order_only else "most helpful"
    least = "lowest" if order_only else "most harmful (least helpful)"
    _say_ranked(f"{k} {most} segments", importance, importance.top(k))
    _say_ranked(f"{k} {least} segments", importance, importance.bottom(k))
    others = (notice for notice in importance.warnings if notice not in importance.headlines)
    say(*map(_warning, others))


def _lines(importance: ImportanceMap) -> list[str]:
    counts, study = importance.retrainings, importance.study
    return [
        f"{study.environment.id}, {study.algorithm.name}: {len(importance)} segments, "
        f"{counts.done} of {counts.planned} retrainings ({counts.failed} failed), design "
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
    text = ""
    if (trained := importance.baseline.all_frames) is not None:
        text += f"; all frames: {trained.mean:.4g} +- {number(trained.std_error)}"
    if (acted := importance.baseline.random_policy) is not None:
        text += f"; random actions: {acted.mean:.4g} +- {number(acted.std_error)}"
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


def _verdicts(importance: ImportanceMap) -> list[str]:
    verdicts = importance.verdicts
    if verdicts is None:
        return []
    within = "" if verdicts.margin is None else f" (within +-{verdicts.margin:.3g})"
    unknown = verdicts.verdict.count(None)
    line = (
        f"Verdicts: {verdicts.count('helps')} help, {verdicts.count('hurts')} hurt, "
        f"{verdicts.count('negligible')} negligible{within}, {verdicts.n_unresolved} unresolved"
    )
    lines = [line + (f", {unknown} not estimated" if unknown else "")]
    half, whole = verdicts.more_for_half, verdicts.more_for_all
    if half is None or whole is None:
        return lines
    if half >= BEYOND_ANY_BUDGET:
        return [*lines, "No number of retrainings would resolve half of these."]
    all_of_them = "no number all of them" if whole >= BEYOND_ANY_BUDGET else f"{whole} all of them"
    return [*lines, f"About {half} more retrainings would resolve half of these, {all_of_them}."]


def _stopped(importance: ImportanceMap) -> list[str]:
    stopped = importance.stopped
    if stopped is None:
        return []
    why = {"goal": "what was asked for was reached", "time": "time was up"}[stopped.reason]
    worked = "" if stopped.seconds is None else f" and {duration(stopped.seconds)}"
    return [f"Stopped: {why} after {importance.revision} retrainings{worked}."]


def _prediction(importance: ImportanceMap) -> list[str]:
    foretold, stopped = importance.study.prediction, importance.stopped
    if foretold is None:
        return []
    reliability = importance.quality.reliability
    found = "unknown" if reliability is None else f"{reliability:.2f}"
    time = stopped.seconds if stopped else None
    return [
        f"Predicted by the pilot: reliability {foretold.reliability:.2f} "
        f"({foretold.reliability_low:.2f} to {foretold.reliability_high:.2f}) in "
        f"{foretold.retrainings} retrainings and {duration(foretold.seconds)}; found: {found} in "
        f"{importance.revision}{'' if time is None else f' and {duration(time)}'}."
    ]


def _say_ranked(title: str, importance: ImportanceMap, ranked: list[RankedSegment]) -> None:
    index = {importance.segment(i): i for i in range(len(importance))}
    rows = (
        [*place(row.segment), f"{row.importance:+.4g}", *_certainty(importance, index[row.segment])]
        for row in ranked
    )
    say_table(title, ["demonstration", "frames", "importance", *_columns(importance)], rows)


def _columns(importance: ImportanceMap) -> list[str]:
    if importance.verdicts is None:
        return ["std error"]
    return [f"{100 * importance.verdicts.confidence:.4g}% interval", "verdict"]


def _certainty(importance: ImportanceMap, index: int) -> list[str]:
    """Return the cells of `_columns` for a segment."""
    verdicts = importance.verdicts
    if verdicts is None:
        return [number(importance.std_error[index])]
    lower, upper = verdicts.lower[index], verdicts.upper[index]
    return [f"{lower:+.4g} to {upper:+.4g}", verdicts.verdict[index] or "-"]
