"""Rates of the statistics against fake algorithms whose true importance is known.

    python benchmarks/statistics_check.py [--repetitions 1000]

Prints, for every design and kind of truth: mean error in its standard errors, coverage of the
95 % intervals, correlation with the truth, estimated and true reliability; the same for ridge with
less noise; and rejection rates of the equal-importance test.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from scipy.stats import t as student_t

from r2rise.design.masks import make_design, mask_matrix
from r2rise.statistics.equal_importance import equal_importance_p
from r2rise.statistics.estimators import MaskedReturns, estimate
from r2rise.statistics.reliability import reliability
from r2rise.study.choices import EstimatorName
from r2rise.study.parts import Masking

Floats = NDArray[np.float64]

N_SEGMENTS = 20
BLOCK_SIZE = 64
SEGMENT_FRAMES = 10


@dataclass(frozen=True)
class Case:
    """A design and a fake algorithm.

    Attributes:
        design, keep_probability, n_blocks: How the masks are drawn.
        pairs: Standard deviation of the interaction of each pair of segments.
        seed_effects: Standard deviation over training seeds of each segment's effect.
        reward_mean: Added to every return.
        effects: Standard deviation of the true effects; 0 for none.
        level: Added to every effect.
        noise: Standard deviation of the return around its mask's mean.
    """

    design: str = "foldover"
    keep_probability: float = 0.5
    n_blocks: int = 3
    pairs: float = 0.0
    seed_effects: float = 0.0
    reward_mean: float = 0.0
    effects: float = 2.0
    level: float = 0.5
    noise: float = 5.0
    estimator: EstimatorName = "difference"

    @property
    def name(self) -> str:
        kind = "pairs" if self.pairs else "seed effects" if self.seed_effects else "linear"
        return (
            f"{self.estimator} {self.design} p={self.keep_probability} blocks={self.n_blocks} "
            f"{kind} mean={self.reward_mean:+.0f}"
        )


class Truth(NamedTuple):
    """A fake algorithm: effects (d,) and pair interactions (d, d), upper triangle."""

    effects: Floats
    pairs: Floats

    def importance(self, keep_probability: float) -> Floats:
        """Return gained by keeping each segment, the others kept independently."""
        importance: Floats = self.effects + keep_probability * (self.pairs + self.pairs.T).sum(
            axis=1
        )
        return importance


def draw_truth(case: Case, generator: np.random.Generator) -> Truth:
    effects = case.level + case.effects * generator.standard_normal(N_SEGMENTS)
    pairs = np.triu(generator.standard_normal((N_SEGMENTS, N_SEGMENTS)), 1) * case.pairs
    return Truth(effects, pairs)


def draw_sample(case: Case, truth: Truth, seed: int) -> MaskedReturns:
    """Retrain the fake algorithm on one draw of masks, training seeds and episodes."""
    masking = Masking(
        design=case.design, keep_probability=case.keep_probability, block_size=BLOCK_SIZE
    )
    n = case.n_blocks * BLOCK_SIZE
    masks = mask_matrix(make_design(masking, N_SEGMENTS, seed), range(n)).astype(float)
    generator = np.random.default_rng([seed, 1])
    block = np.arange(n) // BLOCK_SIZE
    shape = (case.n_blocks, N_SEGMENTS)
    own_effects = truth.effects + case.seed_effects * generator.standard_normal(shape)
    starts = case.reward_mean + 10 * generator.standard_normal(case.n_blocks)
    returns = starts[block] + (masks * own_effects[block]).sum(axis=1)
    returns += ((masks @ truth.pairs) * masks).sum(axis=1)
    returns += case.noise * generator.standard_normal(n)
    frames = np.full(N_SEGMENTS, SEGMENT_FRAMES)
    return MaskedReturns(np.packbits(masks.astype(bool), axis=1), returns, block, frames)


class Rates(NamedTuple):
    """Results of many repetitions.

    Attributes:
        error: Mean error in standard errors of that mean.
        coverage: Share of 95 % intervals that hold the truth.
        correlation: Mean correlation of estimate and truth.
        reliability: Mean estimated reliability.
        true_reliability: Mean rank correlation of two independent studies of one truth.
    """

    error: float
    coverage: float
    correlation: float
    reliability: float
    true_reliability: float


def repeat(case: Case, repetitions: int) -> Rates:
    errors, covered, correlations, trust, agreement = [], [], [], [], []
    for seed in range(repetitions):
        truth = draw_truth(case, np.random.default_rng([seed, 0]))
        expected = truth.importance(case.keep_probability)
        found = estimate(case.estimator, draw_sample(case, truth, 2 * seed))
        again = estimate(case.estimator, draw_sample(case, truth, 2 * seed + 1))
        error = found.importance - expected
        width = student_t.ppf(0.975, found.degrees_of_freedom) * found.std_error
        errors.append(error.mean())
        covered.append((np.abs(error) <= width).mean())
        correlations.append(np.corrcoef(found.importance, expected)[0, 1])
        trust.append(reliability(found).value or 0.0)
        agreement.append(spearmanr(found.importance, again.importance).statistic)
    return Rates(
        float(np.mean(errors) / (np.std(errors, ddof=1) / np.sqrt(repetitions))),
        float(np.mean(covered)),
        float(np.mean(correlations)),
        float(np.mean(trust)),
        float(np.mean(agreement)),
    )


def rejection_rate(case: Case, repetitions: int) -> float:
    """Return how often the equal-importance test rejects at 0.05 although all effects are equal."""
    equal = replace(case, effects=0.0)
    rejected = 0
    for seed in range(repetitions):
        truth = draw_truth(equal, np.random.default_rng([seed, 0]))
        p = equal_importance_p(draw_sample(equal, truth, seed), seed)
        rejected += p is not None and p <= 0.05
    return rejected / repetitions


REWARD_MEANS = (0.0, 1000.0, -1000.0)
DESIGNS = [("foldover", 0.5)] + [(d, p) for d in ("balanced", "bernoulli") for p in (0.2, 0.5, 0.8)]


def cases(**changes: Any) -> list[Case]:
    """Return every design with every kind of truth, each kind with another mean reward."""
    kinds: tuple[dict[str, float], ...] = ({}, {"pairs": 0.5}, {"seed_effects": 1.5})
    found = []
    for design, p in DESIGNS:
        for reward_mean, kind in zip(REWARD_MEANS, kinds, strict=True):
            for n_blocks in (3, 5) if "seed_effects" in kind else (1, 3):
                fields = {"reward_mean": reward_mean, **kind, **changes}
                found.append(Case(design, p, **{"n_blocks": n_blocks, **fields}))
    return found


def print_rates(chosen: Sequence[Case], repetitions: int) -> None:
    print(f"{'case':62} error/SE  covered  correlation  reliability (true)")
    for case in chosen:
        rates = repeat(case, repetitions)
        print(
            f"{case.name:62} {rates.error:8.2f} {rates.coverage:8.3f} {rates.correlation:12.3f} "
            f"{rates.reliability:12.3f} ({rates.true_reliability:.3f})",
            flush=True,
        )


def print_rejections(repetitions: int) -> None:
    for design, p in DESIGNS:
        for level in (0.0, 20.0):
            for n_blocks in (1, 3):
                rate = rejection_rate(Case(design, p, n_blocks, level=level), repetitions)
                print(f"{design:10} p={p} blocks={n_blocks} effects {level:4.0f}: {rate:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    repetitions = parser.parse_args().repetitions
    print(f"{repetitions} repetitions, {N_SEGMENTS} segments, blocks of {BLOCK_SIZE} masks")
    print_rates(cases(), repetitions)
    print_rates(cases(estimator="ridge"), repetitions)
    print("\nridge with less noise (sd 2, seed effects 0.5) and 5 blocks")
    quiet: dict[str, Any] = {"estimator": "ridge", "noise": 2.0, "n_blocks": 5}
    chosen = cases(**quiet)
    chosen = [replace(c, seed_effects=0.5) if c.seed_effects else c for c in chosen]
    print_rates(list(dict.fromkeys(chosen)), repetitions)
    print("\nequal-importance test: rejections at 0.05 when all effects are equal")
    print_rejections(repetitions)


if __name__ == "__main__":
    main()
