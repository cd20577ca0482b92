"""What importance is compared with: all frames, and random actions."""

import numpy as np

from r2rise.ledger.ledger import Ledger
from r2rise.statistics.summaries import AllFrames, Baseline, RandomPolicy
from r2rise.study.study import Study


def measured_baseline(ledger: Ledger, study: Study) -> Baseline:
    """Return what the ledger says of all frames and of the random policy."""
    trained = [
        r for r in ledger.records("baseline", study.budget.baseline_retrainings) if r.status == "ok"
    ]
    acted = [r for r in ledger.records("random_policy", 1) if r.status == "ok"]
    all_frames = random_policy = None
    if trained:
        means = np.array([record.returns.mean() for record in trained])
        all_frames = AllFrames(
            mean=float(means.mean()),
            std_error=_std_error(means),
            n_retrainings=len(means),
            n_episodes=len(trained[0].returns),
        )
    if acted:
        returns = acted[0].returns
        random_policy = RandomPolicy(
            mean=float(returns.mean()), std_error=_std_error(returns), n_episodes=len(returns)
        )
    return Baseline(all_frames=all_frames, random_policy=random_policy)


def _std_error(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
