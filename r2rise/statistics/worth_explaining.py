"""Policies that are not worth explaining: too weak, or equally good whatever is masked."""

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
"""A policy is weak below this share of the demonstrations' gain over random actions."""

SATURATED = 0.5
"""Nothing can be ranked if more than this share of the masks have the same highest return."""


def is_weak(study: Study, baseline: Baseline) -> bool:
    """Return whether the policy of all frames is too weak to ask which frames help.

    It is if its gain over random actions is less than a fifth of that of the demonstrations. Where
    their return is unknown, it is if its gain is not above 0 by two standard errors.
    """
    all_frames, random_policy, gain = baseline.all_frames, baseline.random_policy, baseline.gain
    if all_frames is None or random_policy is None or gain is None:
        return False
    demonstrated = study.demonstrated
    if demonstrated is not None and demonstrated.mean > random_policy.mean:
        return gain < WEAK * (demonstrated.mean - random_policy.mean)
    return gain <= 2 * float(np.hypot(all_frames.std_error or 0.0, random_policy.std_error or 0.0))


def worth_notices(study: Study, baseline: Baseline, records: Sequence[Record]) -> Iterator[Notice]:
    """Yield notices of why a map is not worth reading.

    Args:
        study: The resolved study.
        baseline: Returns of all frames and of random actions.
        records: Records of the design.
    """
    all_frames, random_policy = baseline.all_frames, baseline.random_policy
    if is_weak(study, baseline) and all_frames is not None and random_policy is not None:
        detail = (
            f"Trained on all frames the policy returns {all_frames.mean:.4g}, random actions "
            f"{random_policy.mean:.4g}{_demonstrated_words(study)}: there is little to explain."
        )
        yield Notice(code="weak_policy", detail=detail)
    means = np.array([record.returns.mean() for record in records if record.status == "ok"])
    share = float(np.mean(means == means.max())) if len(means) > 1 else 0.0
    if _is_constant_by_seed(records):
        statement = f"every mask gave the same return, {in_digits(means.mean())}"
        if not _are_equal(means):
            statement = f"with one training seed {statement} on average"
        detail = (
            f"{statement[0].upper()}{statement[1:]}: whichever frames are kept, the policy does "
            f"the same, and there is nothing to rank."
        )
        yield Notice(code="no_variation", detail=detail)
    elif share > SATURATED:
        detail = (
            f"{share:.0%} of the masks reach the same highest return, {means.max():.4g}: most "
            f"segments can be left out without a loss, and few can be told apart."
        )
        yield Notice(code="saturated_policy", detail=detail)


def _is_constant_by_seed(records: Sequence[Record]) -> bool:
    """Return whether masks that share a training seed all have the same return."""
    by_seed: dict[int, list[float]] = {}
    for record in records:
        if record.status == "ok":
            by_seed.setdefault(record.training_seed, []).append(float(record.returns.mean()))
    groups = [returns for returns in by_seed.values() if len(returns) > 1]
    if not groups:  # every mask has its own seed
        groups = [[value for returns in by_seed.values() for value in returns]]
    return any(len(returns) > 1 for returns in groups) and all(map(_are_equal, groups))


def _are_equal(returns: ArrayLike) -> bool:
    return bool(np.ptp(returns) <= ROUNDING * np.abs(returns).max())


def _demonstrated_words(study: Study) -> str:
    if study.demonstrated is None:
        return ""
    extended = "" if study.demonstrated.n_whole else " (cut off, extended to the step limit)"
    return f", the demonstrations {study.demonstrated.mean:.4g}{extended}"
