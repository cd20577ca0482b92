"""Do verdicts, intervals and reliabilities hold where effects are not alike? Simulated worlds.

    python benchmarks/worlds_check.py [--studies 1000]

Writes `results/worlds_check.json`: for each world and number of blocks the rate of false
discoveries, the coverage of the 95 % intervals, the stated reliability and that between two
independent studies. All frames gain 100 over random actions, so that the margin is 2.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bank_check import baseline, wrong
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import spearmanr

from r2rise import Study
from r2rise.design.masks import foldover_block_size, make_design, mask_matrix
from r2rise.statistics.estimators import Estimate, MaskedReturns, estimate
from r2rise.statistics.reliability import reliability
from r2rise.statistics.verdicts import judge
from r2rise.study.choices import EstimatorName
from r2rise.study.parts import Masking

RESULTS = Path(__file__).parent / "results" / "worlds_check.json"
SIZES = (2, 3, 6)
GAIN = 100.0
RELIABLE = 0.5

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
Generator = np.random.Generator


class Block(NamedTuple):
    """What a world is asked for: the masks (n, d) of one training seed."""

    masks: Floats
    generator: Generator


@dataclass(frozen=True, eq=False)
class World:
    """A fake algorithm.

    Attributes:
        importance: (d,) what is to be estimated.
        returns: Mean returns of the masks of one block.
        n_frames: (d,) frames of each segment.
        keep_probability: Share of the segments that masks keep.
        block_size: Masks of a block; None for the default.
        estimator: What estimates it.
    """

    importance: Floats
    returns: Callable[[Block], Floats]
    n_frames: NDArray[np.int64] | None = None
    keep_probability: float = 0.5
    block_size: int | None = None
    estimator: EstimatorName = "difference"

    def sample(self, n_blocks: int, seed: int) -> MaskedReturns:
        """Return one study."""
        d, p = len(self.importance), self.keep_probability
        size = self.block_size or foldover_block_size(d)
        masking = Masking(
            design="foldover" if p == 0.5 and self.block_size is None else "balanced",
            keep_probability=p,
            block_size=size,
        )
        masks = mask_matrix(make_design(masking, d, seed), range(n_blocks * size))
        generator = np.random.default_rng([seed, 1])
        blocks = masks.astype(float).reshape(n_blocks, size, d)
        returns = np.concatenate([self.returns(Block(own, generator)) for own in blocks])
        frames = np.full(d, 10) if self.n_frames is None else self.n_frames
        return MaskedReturns(
            np.packbits(masks, axis=1), returns, np.repeat(np.arange(n_blocks), size), frames
        )


def additive(
    effects: Floats, *, seed_sd: Floats | float = 1.0, gain_sd: float = 0.0, noise: float = 5.0,
    **fields: object,
) -> World:  # fmt: skip
    """Effects that vary with the training seed, each by its own and all by a common gain."""

    def returns(block: Block) -> Floats:
        masks, generator = block
        own = effects * (1 + gain_sd * generator.standard_normal())
        own = own + seed_sd * generator.standard_normal(len(effects))
        level = 50 + 10 * generator.standard_normal()
        return level + masks @ own + noise * generator.standard_normal(len(masks))

    return World(effects, returns, **fields)  # type: ignore[arg-type]


def mixed(d: int, seed: int = 0, size: float = 5.0) -> Floats:
    """Effects of which a third each are nothing, helpful and harmful."""
    generator = np.random.default_rng([seed, 99])
    sizes = generator.gamma(4.0, size / 4.0, d)
    effects: Floats = generator.permutation(np.resize([0.0, 1.0, -1.0], d) * sizes)
    return effects


def _pairs() -> World:
    generator = np.random.default_rng(7)
    effects = mixed(20)
    pairs = np.triu(generator.standard_normal((20, 20)), 1)

    def returns(block: Block) -> Floats:
        masks, own = block
        level = 50 + 10 * own.standard_normal()
        interactions = ((masks @ pairs) * masks).sum(axis=1)
        return level + masks @ effects + interactions + 4 * own.standard_normal(len(masks))

    return World(effects + 0.5 * (pairs + pairs.T).sum(axis=1), returns)


def _thresholds() -> World:
    """Groups of four segments are worth 20 where three of them are kept; twelve are worth nothing.

    A segment decides where exactly two of the other three are kept: 3/8 of 20.
    """

    def returns(block: Block) -> Floats:
        masks, own = block
        groups = masks[:, :8].reshape(-1, 2, 4).sum(axis=2) >= 3
        return 50 + 20 * groups.sum(axis=1) + 4 * own.standard_normal(len(masks))

    return World(np.repeat([7.5, 0.0], [8, 12]), returns)


def _success_rates(steepness: float, n_episodes: int = 20) -> World:
    """Share of the episodes that succeed, times 100; importance from many random masks."""
    effects = mixed(20, size=1.0)

    def chance(masks: Floats, start: float) -> Floats:
        found: Floats = expit(steepness * ((masks - 0.5) @ effects + start))
        return found

    def returns(block: Block) -> Floats:
        masks, own = block
        p = chance(masks, 0.5 * own.standard_normal())
        return 100 * own.binomial(n_episodes, p) / n_episodes

    generator = np.random.default_rng(3)
    masks = (generator.random((400_000, 20)) < 0.5).astype(float)
    y = 100 * chance(masks, 0.5 * generator.standard_normal(len(masks)))  # type: ignore[arg-type]
    matrix = np.column_stack([np.ones(len(masks)), masks])
    importance: Floats = np.linalg.lstsq(matrix, y, rcond=None)[0][1:]
    importance[effects == 0] = 0.0
    return World(importance, returns)


def _exploded(share: float = 0.01, size: float = 3000.0) -> World:
    effects = mixed(20)

    def returns(block: Block) -> Floats:
        masks, own = block
        exploded = own.random(len(masks)) < share
        noise = 5 * own.standard_normal(len(masks))
        return 50 + masks @ effects + noise + np.where(exploded, size, 0.0)

    return World(effects, returns)


def _student(degrees: float = 3.0) -> World:
    effects = mixed(20)

    def returns(block: Block) -> Floats:
        masks, own = block
        return 50 + masks @ effects + 4 * own.standard_t(degrees, len(masks))

    return World(effects, returns)


def _own_variance(sd: float) -> World:
    effects = np.concatenate([np.zeros(8), mixed(12)[mixed(12) != 0]])
    seed_sd = np.ones(16)
    seed_sd[:4] = sd
    return additive(effects, seed_sd=seed_sd)


_LENGTHS = np.random.default_rng(5).integers(3, 60, 20)
WORLDS: dict[str, Callable[[], World]] = {
    "nothing matters": lambda: additive(np.zeros(20)),
    "equal effects": lambda: additive(np.full(20, 4.0)),
    "a third helps, a third hurts": lambda: additive(mixed(20)),
    "4 of 8 null segments, sd 3 over seeds": lambda: _own_variance(3.0),
    "4 of 8 null segments, sd 6 over seeds": lambda: _own_variance(6.0),
    "4 of 8 null segments, sd 12 over seeds": lambda: _own_variance(12.0),
    "a common gain, sd 40 %": lambda: additive(mixed(20), gain_sd=0.4),
    "pairs interact": _pairs,
    "thresholds": _thresholds,
    "unequal lengths": lambda: additive(
        mixed(20) * _LENGTHS / 30, n_frames=_LENGTHS, keep_probability=0.7, block_size=64
    ),
    "unequal lengths, nothing matters, ridge": lambda: additive(
        np.zeros(20), n_frames=_LENGTHS, keep_probability=0.8, block_size=16, estimator="ridge"
    ),
    "3 decisive of 50": lambda: additive(np.where(np.arange(50) < 3, 20.0, 0.0)),
    "Student's t noise, 3 degrees": _student,
    "1 % explode to +3000": _exploded,
    "success rates": lambda: _success_rates(1.0),
    "success rates near 0 and 1": lambda: _success_rates(6.0),
}


@dataclass(frozen=True)
class Rates:
    """Results of many studies of a world; null where intervals are withheld.

    Attributes:
        false_discoveries: Mean share of the verdicts of a study that are wrong (helps or hurts
            inside half of the margin, or negligible outside of it).
        coverage: Share of the 95 % intervals that hold the truth.
        verdicts: Mean share of the segments with a verdict.
        reliability, between: Mean stated reliability, and mean Spearman correlation of two studies.
        called_reliable: Share of the studies that state a reliability of at least 0.5.
    """

    false_discoveries: float | None
    coverage: float | None
    verdicts: float | None
    reliability: float
    between: float
    called_reliable: float


def check(world: World, n_blocks: int, n_studies: int) -> Rates:
    study = Study(environment="CartPole-v1", masking={"block_size": 64})
    false, covered, shares, stated, maps = [], [], [], [], []
    for seed in range(n_studies):
        found: Estimate = estimate(world.estimator, world.sample(n_blocks, seed))
        maps.append(found.importance)
        stated.append(reliability(found).value or 0.0)
        verdicts = judge(study, found, baseline(GAIN), 100)
        if verdicts is None:
            continue
        n_said = len(world.importance) - verdicts.n_unresolved
        false.append(wrong(verdicts, world.importance) / max(n_said, 1))
        shares.append(n_said / len(world.importance))
        inside = (verdicts.lower <= world.importance) & (world.importance <= verdicts.upper)
        covered.append(inside.mean())
    pairs = zip(maps[::2], maps[1::2], strict=False)
    return Rates(
        false_discoveries=float(np.mean(false)) if false else None,
        coverage=float(np.mean(covered)) if covered else None,
        verdicts=float(np.mean(shares)) if shares else None,
        reliability=float(np.mean(stated)),
        between=float(np.nanmean([spearmanr(a, b).statistic for a, b in pairs])),
        called_reliable=float(np.mean(np.array(stated) >= RELIABLE)),
    )


def table(known: dict[str, dict[str, dict[str, float | None]]]) -> Iterator[str]:
    """Return the rows of the table in `docs/method.md`: each cell for 2, 3 and 6 blocks."""
    for name, sizes in known.items():
        rates = [Rates(**found) for found in sizes.values()]  # type: ignore[arg-type]
        yield (
            f"| {name} | "
            + " | ".join(
                " / ".join(cells)
                for cells in (
                    [_percent(rate.false_discoveries) for rate in rates],
                    [_percent(rate.coverage) for rate in rates],
                    [_percent(rate.verdicts, 0) for rate in rates],
                    [f"{rate.reliability:.2f}" for rate in rates],
                    [f"{round(rate.between, 2) + 0.0:.2f}" for rate in rates],
                )
            )
            + " |"
        )


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{share:.{digits}%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    n_studies = parser.parse_args().studies
    known: dict[str, dict[str, dict[str, float | None]]] = {}
    for name, make in WORLDS.items():
        world = make()
        known[name] = {str(size): asdict(check(world, size, n_studies)) for size in SIZES}
        for size, rates in known[name].items():
            shown = {key: None if v is None else round(v, 3) for key, v in rates.items()}
            print(f"{name:42} {size}", shown, flush=True)
    RESULTS.write_text(json.dumps({"studies": n_studies, "worlds": known}, indent=1) + "\n")


if __name__ == "__main__":
    main()
