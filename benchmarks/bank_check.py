"""Do intervals, verdicts and reliabilities hold on real retrainings? Studies drawn from the bank.

    python benchmarks/bank_check.py [--cases cartpole-0 ...]

Studies of 2, 3 and 6 blocks are disjoint draws from the bank of `blocks.py`; what is true is the
mean over the blocks that a study did not see. Writes `results/bank_check.json`.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import blocks
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, spearmanr

from r2rise import Study
from r2rise.statistics.estimators import estimate
from r2rise.statistics.reliability import reliability
from r2rise.statistics.summaries import AllFrames, Baseline, RandomPolicy, Verdicts
from r2rise.statistics.verdicts import judge

RESULTS = Path(__file__).parent / "results" / "bank_check.json"
SIZES = (2, 3, 6)
N_BOOTSTRAPS = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Results of the studies of one size.

    Attributes:
        n_studies: Disjoint studies.
        coverage: Share of all 95 % intervals that hold the truth; withheld ones do not.
        coverage_low, coverage_high: Its 95 % interval over studies (percentiles of resamples).
        withheld: Share of the intervals that are withheld.
        worst_segment: Lowest coverage of a segment.
        n_segments_below: Segments whose coverage is below 85 % (one-sided 1 %, Bonferroni).
        largest: Coverage of the fifth of the segments with the largest true effects.
        width: Median half width over 1.96 median true standard errors.
        verdicts: Mean number of segments with a verdict.
        wrong: Share of the verdicts that are wrong: helps or hurts inside half the margin or of
            the other sign, negligible outside the margin.
        reliability, between: Mean of what studies state, and mean Spearman correlation between
            disjoint studies.
    """

    n_studies: int
    coverage: float
    coverage_low: float
    coverage_high: float
    withheld: float
    worst_segment: float
    n_segments_below: int
    largest: float
    width: float
    verdicts: float
    wrong: float
    reliability: float
    between: float


def effects(bank: blocks.Bank) -> Floats:
    """Return the least-squares main effects of every block, (n_blocks, d)."""
    maps = estimate("difference", bank.sample(np.arange(len(bank.masks)))).block_maps
    assert maps is not None
    return maps


def baseline(gain: float) -> Baseline:
    return Baseline(
        all_frames=AllFrames(mean=gain, std_error=0.0, n_retrainings=20, n_episodes=20),
        random_policy=RandomPolicy(mean=0.0, std_error=0.0, n_episodes=20),
    )


def wrong(verdicts: Verdicts, truth: Floats) -> int:
    """Count the verdicts that are wrong."""
    said, margin = np.array(verdicts.verdict), verdicts.margin or 0.0
    return int(
        ((said == "helps") & (truth < margin / 2)).sum()
        + ((said == "hurts") & (truth > -margin / 2)).sum()
        + ((said == "negligible") & (np.abs(truth) > margin)).sum()
    )


def check(bank: blocks.Bank, size: int, seed: int = 0) -> Found:
    """Return the results of all disjoint studies of `size` blocks."""
    maps = effects(bank)
    study = Study(environment="CartPole-v1", masking={"block_size": bank.masks.shape[1]})
    order = np.random.default_rng(seed).permutation(len(maps))
    chosen = order[: len(maps) // size * size].reshape(-1, size)
    covered, half, importance, stated, n_verdicts, n_wrong = [], [], [], [], [], []
    for own in chosen:
        truth = (maps.sum(axis=0) - maps[own].sum(axis=0)) / (len(maps) - size)
        found = estimate("difference", bank.sample(own))
        verdicts = judge(study, found, baseline(bank.gain), size * bank.masks.shape[1])
        assert verdicts is not None
        covered.append((verdicts.lower <= truth) & (truth <= verdicts.upper))
        half.append((verdicts.upper - verdicts.lower) / 2)
        importance.append(found.importance)
        stated.append(reliability(found).value or 0.0)
        n_verdicts.append(len(truth) - verdicts.n_unresolved)
        n_wrong.append(wrong(verdicts, truth))
    table, widths = np.array(covered), np.array(half)
    by_segment = table.sum(axis=0)
    n, d = table.shape
    largest = np.argsort(-np.abs(maps.mean(axis=0)))[: d // 5]
    true_error = maps.std(axis=0, ddof=1) / np.sqrt(size)
    low, high = _bootstrapped(table.mean(axis=1))
    return Found(
        n_studies=n,
        coverage=float(table.mean()),
        coverage_low=low,
        coverage_high=high,
        withheld=float(np.isnan(widths).mean()),
        worst_segment=float(by_segment.min() / n),
        n_segments_below=int((binom.cdf(by_segment, n, 0.85) < 0.01 / d).sum()),
        largest=float(table[:, largest].mean()),
        width=float(np.nanmedian(widths) / (1.96 * np.median(true_error))),
        verdicts=float(np.mean(n_verdicts)),
        wrong=float(np.sum(n_wrong) / max(np.sum(n_verdicts), 1)),
        reliability=float(np.mean(stated)),
        between=_between(np.array(importance)),
    )


def _bootstrapped(shares: Floats) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    means = generator.choice(shares, size=(N_BOOTSTRAPS, len(shares))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _between(maps: Floats) -> float:
    """Return the mean Spearman correlation between neighbouring studies."""
    return float(np.mean([spearmanr(a, b).statistic for a, b in pairwise(maps)]))


NAMES = {
    "cartpole-0": "CartPole 0-4",
    "cartpole-5": "CartPole 5-9",
    "pendulum": "Pendulum",
    "cartpole-0-short": "CartPole 0-4, 10 epochs",
}


def table(known: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return the rows of the table in `docs/method.md`."""
    return [
        f"| {NAMES[name]}, {size} | {found['coverage']:.1%} ({found['coverage_low']:.1%} to "
        f"{found['coverage_high']:.1%}) | {found['largest']:.1%} | {found['worst_segment']:.0%} | "
        f"{found['width']:.2f} | {found['verdicts']:.1f} | {found['wrong']:.1%} | "
        f"{found['reliability']:.2f} / {found['between']:.2f} |"
        for name, sizes in known.items()
        for size, found in sizes.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cases", nargs="*", choices=list(blocks.CASES), default=list(blocks.CASES)
    )
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in parser.parse_args().cases:
        bank = blocks.load(name)
        known[name] = {str(size): asdict(check(bank, size)) for size in SIZES}
        for size, found in known[name].items():
            print(name, size, {key: round(value, 3) for key, value in found.items()}, flush=True)
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
