"""Policies that are not worth explaining: too weak, or as good as can be whatever is masked."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from r2rise.ledger.record import Record
from r2rise.statistics.estimators.sample import ROUNDING
from r2rise.statistics.summaries import Baseline
from r2rise.statistics.wording import in_digits
from r2rise.study.notices import Notice
from r2rise.study.study import Study

WEAK = 0.2
"""Share of what the demonstrations gain over random actions, below which a policy is weak."""

SATURATED = 0.5
"""Share of the masks with one and the same highest return, above which nothing can be ranked."""


def is_weak(study: Study, baseline: Baseline) -> bool:
    """Say whether all frames teach too little to ask which of them help.

    That is less than a fifth of what the demonstrations gain over random actions, or, where their
    return is unknown, nothing that can be told from chance.
    """
    trained, acted, gain = baseline.all_frames, baseline.random_policy, baseline.gain
    if trained is None or acted is None or gain is None:
        return False
    demonstrated = study.demonstrated
    if demonstrated is not None and demonstrated.mean > acted.mean:
        return gain < WEAK * (demonstrated.mean - acted.mean)
    return gain <= 2 * float(np.hypot(trained.std_error or 0.0, acted.std_error or 0.0))


def worth_notices(study: Study, baseline: Baseline, records: Sequence[Record]) -> Iterator[Notice]:
    """Yield why a map is not worth reading.

    Args:
        study: The resolved study.
        baseline: Returns of all frames and of random actions.
        records: Of the design.
    """
    trained, acted = baseline.all_frames, baseline.random_policy
    if is_weak(study, baseline) and trained is not None and acted is not None:
        detail = (
            f"Trained on all frames the policy returns {trained.mean:.4g}, random actions "
            f"{acted.mean:.4g}{_demonstrated_words(study)}: there is little to explain."
        )
        yield Notice(code="weak_policy", detail=detail)
    means = np.array([r.returns.mean() for r in records if r.status == "ok"])
    share = float(np.mean(means == means.max())) if len(means) > 1 else 0.0
    if _all_alike(records):
        same = f"every mask gave the same return, {in_digits(means.mean())}"
        if not _equal(means):
            same = f"with one training seed {same} on average"
        detail = (
            f"{same[0].upper()}{same[1:]}: whichever frames are kept, the policy does the same, "
            f"and there is nothing to rank."
        )
        yield Notice(code="no_variation", detail=detail)
    elif share > SATURATED:
        detail = (
            f"{share:.0%} of the masks reach the same highest return, {means.max():.4g}: most "
            f"segments can be left out without a loss, and few can be told apart."
        )
        yield Notice(code="saturated_policy", detail=detail)


def _all_alike(records: Sequence[Record]) -> bool:
    """Say whether masks that share a training seed never differ in their return."""
    by_seed: dict[int, list[float]] = {}
    for record in records:
        if record.status == "ok":
            by_seed.setdefault(record.training_seed, []).append(float(record.returns.mean()))
    compared = [returns for returns in by_seed.values() if len(returns) > 1]
    if not compared:  # every mask has a seed of its own
        compared = [[value for returns in by_seed.values() for value in returns]]
    return any(len(returns) > 1 for returns in compared) and all(map(_equal, compared))


def _equal(returns: ArrayLike) -> bool:
    return bool(np.ptp(returns) <= ROUNDING * np.abs(returns).max())


def _demonstrated_words(study: Study) -> str:
    if study.demonstrated is None:
        return ""
    extended = "" if study.demonstrated.n_whole else " (cut off, extended to the step limit)"
    return f", the demonstrations {study.demonstrated.mean:.4g}{extended}"
