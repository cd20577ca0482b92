"""The pilot: a few masks crossed with several training seeds, to measure signal and noise.

Masks come in pairs of complements that each keep half of the segments. In a fold-over block, main
effects are estimated from the differences within pairs alone, so the pilot measures just these:
D = (return of a mask - return of its complement) / 2, once for each pair and training seed. The
part of D that repeats with every seed is signal; the rest is noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.data.segments import MIN_SEGMENTS
from r2rise.design.seeds import mask_generator
from r2rise.design.tasks import baseline_tasks, crossed_tasks
from r2rise.errors import NotReady
from r2rise.ledger.record import Record
from r2rise.run.runner import Runner
from r2rise.statistics.summaries import VarianceSplit

N_PAIRS = 8
N_SEEDS = 4
_FEWEST_PAIRS = 4

Floats = NDArray[np.float64]


class Cost(NamedTuple):
    """Seconds of one worker for training, and for each episode of evaluation."""

    training: float
    episode: float

    def of(self, n_episodes: int) -> float:
        """Return the seconds of one retraining with `n_episodes`."""
        return self.training + n_episodes * self.episode


@dataclass(frozen=True)
class Pilot:
    """The measurements of a pilot.

    Attributes:
        variance: Two-way random effects of the mean return: masks, seeds, both, episodes.
        mean_return: Mean over all masks and seeds.
        f: Mean square between pairs over that within pairs.
        degrees: Degrees of freedom of both mean squares.
        noise: Variance of one mask's return that blurs main effects, episodes included.
        episode_noise: Variance of one episode; `noise` contains it divided by `n_episodes`.
        cost: Seconds of training and of an episode.
        n_episodes: Episodes of each retraining.
        n_retrainings: Retrainings of the pilot.
    """

    variance: VarianceSplit
    mean_return: float
    f: float
    degrees: tuple[int, int]
    noise: float
    episode_noise: float
    cost: Cost
    n_episodes: int
    n_retrainings: int

    def blur(self, f: float | None = None) -> float:
        """Return noise over signal, or infinity: reliability is N / (N + segments * blur).

        With S seeds the expectation of F is 1 + S signal / s^2, s^2 the variance of D within
        pairs, and the noise of one mask is 2 s^2.
        """
        excess = (self.f if f is None else f) - 1
        return 2 * N_SEEDS / excess if excess > 0 else float("inf")

    def f_interval(self, confidence: float) -> tuple[float, float]:
        """Return an interval for the expectation of F.

        F / (1 + S signal / s^2) has the F distribution with `degrees`.
        """
        from scipy.stats import f as f_distribution

        tails = (1 - confidence) / 2, (1 + confidence) / 2
        low, high = (float(f_distribution.ppf(tail, *self.degrees)) for tail in tails)
        return self.f / high, self.f / low

    @property
    def sees_effects(self) -> bool:
        """Whether the frames have a detectable effect (80 % interval of F above 1)."""
        return self.f_interval(0.8)[0] > 1

    @property
    def largest_f(self) -> float:
        """Largest plausible expectation of F: upper end of a 90 % interval, at least 1."""
        return max(self.f_interval(0.9)[1], 1.0)

    @property
    def largest_signal(self) -> float:
        """Variance between masks that repeats with every seed if F is `largest_f`."""
        return self.noise / 2 * (self.largest_f - 1) / N_SEEDS


def run_pilot(runner: Runner) -> Pilot:
    """Run the baselines and the pilot, and measure.

    Raises:
        NotReady: When there are fewer than 4 segments, or too many retrainings fail.
        StudyFailed: When more retrainings fail than the study allows.
    """
    study, n_segments = runner.study, len(runner.segments)
    if n_segments < MIN_SEGMENTS:
        raise NotReady(
            f"A pilot needs at least {MIN_SEGMENTS} segments, but there are {n_segments}: use a "
            f"smaller segment_length, or explain without a plan."
        )
    masks = _paired_masks(n_segments, mask_generator(study.seed, 0, "pilot"))
    baselines = baseline_tasks(study, n_segments, study.budget.baseline_retrainings)
    crossed = crossed_tasks("pilot", study, [masks] * N_SEEDS)
    records = runner.run([*baselines, *crossed])[len(baselines) :]
    return measure(records, study.evaluation.n_episodes)


def _paired_masks(n_segments: int, generator: np.random.Generator) -> list[NDArray[np.bool_]]:
    masks = []
    for _ in range(N_PAIRS):
        kept = np.zeros(n_segments, dtype=bool)
        kept[generator.permutation(n_segments)[: n_segments // 2]] = True
        masks += [kept, ~kept]
    return masks


def measure(records: Sequence[Record], n_episodes: int) -> Pilot:
    """Measure a pilot's records, which are in the order seed, pair, mask or complement.

    Pairs with a failed retraining are left out.

    Raises:
        NotReady: When fewer than 4 pairs are left.
    """
    missing = np.full(n_episodes, np.nan)
    episodes = np.array([r.returns if r.status == "ok" else missing for r in records])
    episodes = episodes.reshape(N_SEEDS, N_PAIRS, 2, n_episodes)
    episodes = episodes[:, np.isfinite(episodes).all(axis=(0, 2, 3))]
    if episodes.shape[1] < _FEWEST_PAIRS:
        raise NotReady(
            f"The pilot needs at least {_FEWEST_PAIRS} of {N_PAIRS} pairs of masks without a "
            f"failed retraining, but there are {episodes.shape[1]}."
        )
    returns = episodes.mean(axis=3)
    episode_noise = _episode_variance(episodes.reshape(N_SEEDS, -1, n_episodes))
    differences = (returns[:, :, 0] - returns[:, :, 1]) / 2
    pair_means = differences.mean(axis=0)
    within = float(((differences - pair_means) ** 2).sum()) / (len(pair_means) * (N_SEEDS - 1))
    between = N_SEEDS * float((pair_means**2).mean())
    training = [r.seconds - r.evaluation_seconds for r in records]
    evaluation = [r.evaluation_seconds for r in records]
    return Pilot(
        variance=_variance_split(returns.reshape(N_SEEDS, -1), episode_noise / n_episodes),
        mean_return=float(returns.mean()),
        f=between / within if within > 0 else (np.inf if between > 0 else 1.0),
        degrees=(len(pair_means), len(pair_means) * (N_SEEDS - 1)),
        noise=2 * within,
        episode_noise=episode_noise,
        cost=Cost(float(np.mean(training)), float(np.mean(evaluation)) / n_episodes),
        n_episodes=n_episodes,
        n_retrainings=len(records),
    )


def _episode_variance(episodes: Floats) -> float:
    """Return the variance of one episode from returns (n_seeds, n_masks, n_episodes).

    Masks of a seed have the same initial states, so that the effects of these cancel.
    """
    _, n_masks, n_episodes = episodes.shape
    if n_episodes < 2:
        return 0.0
    residuals = (
        episodes
        - episodes.mean(axis=2, keepdims=True)
        - episodes.mean(axis=1, keepdims=True)
        + episodes.mean(axis=(1, 2), keepdims=True)
    )
    degrees: int = len(episodes) * (n_masks - 1) * (n_episodes - 1)
    return float((residuals**2).sum()) / degrees


def _variance_split(returns: Floats, episode_variance: float) -> VarianceSplit:
    """Split the variance of returns by two-way random effects (Searle 1971).

    Args:
        returns: Mean returns, (n_seeds, n_masks).
        episode_variance: The variance of these means that episodes cause.
    """
    n_seeds, n_masks = returns.shape
    by_mask, by_seed = returns.mean(axis=0), returns.mean(axis=1)
    residuals = returns - by_mask - by_seed[:, None] + returns.mean()
    interaction = float((residuals**2).sum()) / ((n_seeds - 1) * (n_masks - 1))
    masks = (n_seeds * float(by_mask.var(ddof=1)) - interaction) / n_seeds
    seeds = (n_masks * float(by_seed.var(ddof=1)) - interaction) / n_masks
    return VarianceSplit(
        masks=max(0.0, masks),
        training_seeds=max(0.0, seeds),
        masks_by_seeds=max(0.0, interaction - episode_variance),
        episodes=min(episode_variance, interaction),
    )
