"""The baselines of importance: training on all frames, and random actions."""

import numpy as np

from r2rise.ledger.ledger import Ledger
from r2rise.statistics.summaries import AllFrames, Baseline, RandomPolicy
from r2rise.study.study import Study


def measured_baseline(ledger: Ledger, study: Study) -> Baseline:
    """Return the returns of all frames and of random actions, None where the ledger has none."""
    retrainings = [
        record
        for record in ledger.records("baseline", study.budget.baseline_retrainings)
        if record.status == "ok"
    ]
    random_records = [
        record for record in ledger.records("random_policy", 1) if record.status == "ok"
    ]
    all_frames = random_policy = None
    if retrainings:
        means = np.array([record.returns.mean() for record in retrainings])
        all_frames = AllFrames(
            mean=float(means.mean()),
            std_error=_std_error(means),
            n_retrainings=len(means),
            n_episodes=len(retrainings[0].returns),
        )
    if random_records:
        returns = random_records[0].returns
        random_policy = RandomPolicy(
            mean=float(returns.mean()), std_error=_std_error(returns), n_episodes=len(returns)
        )
    return Baseline(all_frames=all_frames, random_policy=random_policy)


def _std_error(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
