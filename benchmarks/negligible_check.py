"""Is "negligible" ever said of what decides, and is it found where there is nothing?

    python benchmarks/negligible_check.py

Ten segments of +10 are planted among 50 to 2 000, all frames gain 100 over random actions, so that
the margin is 2. Retrainings are simulated, everything else is what users run. Writes
`results/negligible_check.json`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from simulation import SEGMENT_FRAMES, Floats, SimulatedEngine, World

import r2rise
from r2rise import Demonstrations, ImportanceMap, Study

RESULTS = Path(__file__).parent / "results" / "negligible_check.json"
SEGMENTS_EACH = 25
N_DECISIVE, SIZE = 10, 10.0
DECISIVE_SEEDS, ZERO_SEEDS = 3, 20


class Size(NamedTuple):
    """A study: its segments, its masks, and what shares a training seed."""

    n_segments: int
    retrainings: int
    training_seeds: str = "block"


SIZES = (
    Size(50, 128),
    Size(50, 128, "pair"),
    Size(50, 256),
    Size(50, 768),
    Size(50, 2048),
    Size(200, 512),
    Size(200, 512, "pair"),
    Size(200, 1024),
    Size(200, 2048),
    Size(500, 1024),
    Size(500, 2048),
    Size(1000, 2048),
    Size(2000, 128),
    Size(2000, 2048),
)


@dataclass(frozen=True)
class Said:
    """What the maps say of segments; all of them unresolved where verdicts are withheld.

    Attributes:
        n_segments, retrainings, training_seeds: Of each study.
        n_decisive: Planted segments, over all studies.
        called_negligible, called_helpful: How many of them are said to be so.
        n_zeros: Segments without an effect.
        zeros_negligible: How many of them are said to be negligible.
        margin_over_error: Median margin over the median standard error, where there is one.
    """

    n_segments: int
    retrainings: int
    training_seeds: str
    n_decisive: int
    called_negligible: int
    called_helpful: int
    n_zeros: int
    zeros_negligible: int
    margin_over_error: float | None


def demonstrations(n_segments: int) -> Demonstrations:
    """Return demonstrations that CartPole-v1 accepts; nothing is learned from them."""
    n, n_demonstrations = n_segments * SEGMENT_FRAMES, n_segments // SEGMENTS_EACH
    return Demonstrations(
        obs=np.zeros((n + n_demonstrations, 4), np.float32),
        acts=np.zeros(n, np.int64),
        lengths=np.full(n_demonstrations, SEGMENTS_EACH * SEGMENT_FRAMES),
    )


def planted(n_segments: int, seed: int) -> Floats:
    """Return importance with ten decisive segments, somewhere."""
    effects = np.zeros(n_segments)
    where = np.random.default_rng(seed).choice(n_segments, N_DECISIVE, replace=False)
    effects[where] = SIZE
    return effects


def explained(size: Size, world: World, seed: int) -> ImportanceMap:
    study = Study(
        environment="CartPole-v1",
        masking={"segment_length": SEGMENT_FRAMES, "training_seeds": size.training_seeds},
        budget=size.retrainings,
        seed=seed,
    )
    return r2rise.explain(demonstrations(size.n_segments), study, engine=SimulatedEngine(world))


def check(size: Size, n_studies: int, training_noise: float = 6.0) -> Said:
    """Return what independent studies of one size say."""
    decisive, zeros, ratios = [], [], []
    for seed in range(n_studies):
        effects = planted(size.n_segments, seed)
        found = explained(size, World(effects, training_noise=training_noise), seed)
        verdicts = found.verdicts
        said = np.full(len(effects), "unresolved") if verdicts is None else verdicts.verdict
        decisive.append(np.asarray(said)[effects != 0])
        zeros.append(np.asarray(said)[effects == 0])
        if verdicts is not None and verdicts.margin is not None:
            ratios.append(verdicts.margin / np.median(found.std_error))
    there, nothing = np.concatenate(decisive), np.concatenate(zeros)
    ratio = float(np.median(ratios)) if ratios else np.nan
    return Said(
        *size,
        n_decisive=len(there),
        called_negligible=int((there == "negligible").sum()),
        called_helpful=int((there == "helps").sum()),
        n_zeros=len(nothing),
        zeros_negligible=int((nothing == "negligible").sum()),
        margin_over_error=ratio if np.isfinite(ratio) else None,
    )


def three_errors() -> Said:
    """Return what is said at 768 masks of 50 segments where the margin is 3 standard errors.

    SE^2 = 1 / 6 + 4 (s^2 + 5) / 768 = (2 / 3)^2 at a training noise of s = 6.95.
    """
    return check(Size(50, 768), ZERO_SEEDS, training_noise=6.95)


def table(known: dict[str, Any]) -> Iterator[str]:
    """Return the rows of the table in `docs/method.md`."""
    for row in (Said(**fields) for fields in known["sizes"]):
        seeds = ", pairs" if row.training_seeds == "pair" else ""
        yield (
            f"| {row.n_segments}, {row.retrainings}{seeds} | {row.called_negligible} of "
            f"{row.n_decisive} | {row.called_helpful} | {row.zeros_negligible / row.n_zeros:.0%} |"
        )


def main() -> None:
    rows = []
    for size in SIZES:
        rows.append(asdict(check(size, DECISIVE_SEEDS)))
        print(rows[-1], flush=True)
    known = {"sizes": rows, "three_errors": asdict(three_errors())}
    print(known["three_errors"])
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
