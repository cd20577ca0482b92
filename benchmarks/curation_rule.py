"""How often `judge_curation` is right about curves whose truth is known.

    python benchmarks/curation_rule.py [--repetitions 200]

Returns are like CartPole's: random actions 22, at most 500, and near 500 mostly 500 with a heavy
lower tail. The seeds of one curve have a standard deviation of 50 where there is room for it, and
correlate by 0.5 from one amount to the next; arms are independent, so nothing is gained by pairing.
Prints how often each outcome is said, with the defaults and with other numbers of seeds, and how
often one-sided bounds of mean differences miss the truth.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from r2rise.statistics.curation_rule import CurationOutcome, Curves, Judgement, judge_curation
from r2rise.statistics.significance import quantile

Floats = NDArray[np.float64]

AMOUNTS = tuple(100 * 2**k for k in range(8))
RANDOM_POLICY = 22.0
CEILING = 500.0

CARTPOLE_04 = (274, 361, 356, 348, 352, 369, 484, 500), (241, 494, 500, 500, 500, 500, 500, 500)
CARTPOLE_59 = (410, 350, 374, 395, 395, 356, 355, 346), (393, 400, 500, 500, 500, 500, 500, 490)
PLATEAU = (250, 320, 350, 350, 350, 350, 350, 350)
SLOW = (150, 200, 250, 300, 350, 350, 350, 350)
PEAK = (250, 300, 330, 380, 330, 300, 300, 300)
BUMP = (250, 350, 350, 380, 350, 350, 350, 350)
RISING = (200, 225, 250, 275, 300, 325, 350, 375)


@dataclass(frozen=True)
class World:
    """True mean curves, and how returns scatter around them.

    Attributes:
        all_frames, curated, random_drop: (n_amounts,) mean returns.
        right: Outcomes that are true.
        sd: Standard deviation over seeds; at most twice the room below the ceiling.
        rho: Correlation from one amount to the next.
        failures: Share of curated seeds that return what random actions do.
    """

    all_frames: Sequence[float]
    curated: Sequence[float]
    random_drop: Sequence[float]
    right: frozenset[CurationOutcome] = field(default=frozenset())
    sd: float = 50.0
    rho: float = 0.5
    failures: float = 0.0


def draw(mean: Sequence[float], n: int, world: World, generator: np.random.Generator) -> Floats:
    """Return curves of n seeds, (n, n_amounts), with exactly these means in expectation."""
    from scipy.stats import gamma, norm

    z = generator.standard_normal((n, len(mean)))
    for k in range(1, len(mean)):
        z[:, k] = world.rho * z[:, k - 1] + np.sqrt(1 - world.rho**2) * z[:, k]
    room = np.maximum(CEILING - np.array(mean, dtype=np.float64), 1e-9)
    sd = np.minimum(world.sd, 2 * room)
    curves: Floats = CEILING - gamma.ppf(norm.sf(z), (room / sd) ** 2, scale=sd**2 / room)
    return curves


def judge(world: World, seed: int, n_choosing: int = 8, n_reporting: int = 16) -> Judgement:
    generator = np.random.default_rng([seed, n_choosing, n_reporting])

    def curves(n: int) -> Curves:
        curated = draw(world.curated, n, world, generator)
        curated[generator.random(n) < world.failures] = RANDOM_POLICY
        return Curves(draw(world.all_frames, n, world, generator), curated)

    chosen, reported = curves(n_choosing), curves(n_reporting)
    at_random = draw(world.random_drop, n_reporting, world, generator)
    return judge_curation(AMOUNTS, chosen, reported, at_random, RANDOM_POLICY)


def outcomes(world: World, repetitions: int, *seeds: int) -> Counter[CurationOutcome]:
    """Return how often each outcome is said; `seeds` are the numbers that choose and report."""
    return Counter(judge(world, seed, *seeds).outcome for seed in range(repetitions))


def above(curve: Sequence[float], share: float) -> list[float]:
    """Return a curve whose best is above another's by a share of its own gain over random."""
    best = max(curve)
    return [value + (best - RANDOM_POLICY) * share / (1 - share) for value in curve]


def _with_gain(share: float, right: CurationOutcome = "gain") -> World:
    return World(PLATEAU, above(PLATEAU, share), PLATEAU, frozenset({right}))


def _sooner(doublings: int, right: CurationOutcome = "trains_faster") -> World:
    curated = SLOW[doublings:] + SLOW[-1:] * doublings
    return World(SLOW, curated, SLOW, frozenset({right}))


def worlds() -> dict[str, World]:
    nothing: frozenset[CurationOutcome] = frozenset({"no_gain"})
    rising: frozenset[CurationOutcome] = frozenset({"undecided", "trains_faster"})
    fewer: frozenset[CurationOutcome] = frozenset({"fewer_frames_do"})
    gain, sooner = _with_gain(0.2), _sooner(3)
    peak_and_flat = World(PEAK, (250, *[380] * 7), PEAK, frozenset({"trains_faster"}))
    return {
        "gain: like CartPole 5-9": World(*CARTPOLE_59, CARTPOLE_59[0], frozenset({"gain"})),
        "gain of 30 %": _with_gain(0.3),
        "gain of 20 %": gain,
        "gain of 15 %": _with_gain(0.15),
        "gain of 10 %": _with_gain(0.1),
        "faster: like CartPole 0-4": World(
            *CARTPOLE_04, CARTPOLE_04[0], frozenset({"trains_faster"})
        ),
        "8 times faster": sooner,
        "4 times faster": _sooner(2),
        "fewer do: 5-9": World(*CARTPOLE_59, CARTPOLE_59[1], fewer),
        "fewer do: gain of 20 %": replace(gain, random_drop=gain.curated, right=fewer),
        "fewer do: 0-4": World(*CARTPOLE_04, CARTPOLE_04[1], fewer),
        "random drops have half of 20 %": replace(gain, random_drop=above(PLATEAU, 1 / 9)),
        "nothing": World(PLATEAU, PLATEAU, PLATEAU, nothing),
        "nothing, very noisy": World([350] * 8, [350] * 8, [350] * 8, nothing, sd=60, rho=0.0),
        "nothing: like CartPole 5-9": World(
            CARTPOLE_59[0], CARTPOLE_59[0], CARTPOLE_59[0], nothing
        ),
        "curated is worse": World(PLATEAU, [v - 30 for v in PLATEAU], PLATEAU, nothing),
        "as high as a narrow peak": peak_and_flat,
        "1 of 10 curated seeds fails": World(
            [455] * 8, [500] * 8, [455] * 8, nothing, failures=0.1
        ),
        "at the margin, gain of 5 %": _with_gain(0.05, "no_gain"),
        "at the margin, a narrow peak": replace(
            peak_and_flat, curated=above((250, *[380] * 7), 0.05)
        ),
        "at the margin, 2 times faster": _sooner(1, "no_gain"),
        "rising, curated at its plateau": World(RISING, (200, *[440] * 7), RISING, rising),
        "rising, curated 60 above": World(RISING, [v + 60 for v in RISING], RISING, rising),
        "rising, curated 2 times faster": World(
            RISING, [v + 25 for v in RISING], RISING, frozenset({"undecided"})
        ),
    }


def missed_peak(repetitions: int) -> str:
    """Return what comparing the two chosen amounts alone would say of a peak they may miss."""
    world = World(BUMP, above((250, *[380] * 7), 0.05), BUMP)
    found = [judge(world, seed) for seed in range(repetitions)]
    alone = [j.gain.lower is not None and j.gain.lower > j.least_gain for j in found]
    said = [j.outcome == "gain" for j in found]
    return (
        f"A gain of exactly 5 % over a peak of one amount: more than 5 % by the chosen amounts "
        f"alone {np.mean(alone):.1%}, `gain` {np.mean(said):.1%}"
    )


def print_outcomes(chosen: dict[str, World], repetitions: int, *seeds: int) -> None:
    names = get_args(CurationOutcome)
    print("| truth | " + " | ".join(f"`{name}`" for name in names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name, world in chosen.items():
        counts = outcomes(world, repetitions, *seeds)
        cells = []
        for outcome in names:
            cell = f"{counts[outcome] / repetitions:.1%}"
            cells.append(f"**{cell}**" if outcome in world.right else cell)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def student(d: Floats, _: np.random.Generator) -> tuple[Floats, Floats]:
    """Return lower and upper one-sided 95 % bounds of the means of the rows."""
    n = d.shape[1]
    width = quantile(0.95, n - 1) * d.std(axis=1, ddof=1) / np.sqrt(n)
    return d.mean(axis=1) - width, d.mean(axis=1) + width


def percentile(d: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
    n = d.shape[1]
    weights = generator.multinomial(n, np.full(n, 1 / n), 1000) / n
    lower, upper = np.quantile(d @ weights.T, [0.05, 0.95], axis=1)
    return lower, upper


def bootstrap_t(d: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
    n, mean = d.shape[1], d.mean(axis=1)
    weights = generator.multinomial(n, np.full(n, 1 / n), 1000) / n
    means = d @ weights.T
    spread = np.sqrt(np.maximum(d**2 @ weights.T - means**2, 1e-9))
    low, high = np.quantile((means - mean[:, None]) / spread, [0.05, 0.95], axis=1)
    return mean - high * d.std(axis=1), mean - low * d.std(axis=1)


BOUNDS: tuple[Callable[[Floats, np.random.Generator], tuple[Floats, Floats]], ...] = (
    student,
    percentile,
    bootstrap_t,
)


def misses(curated: float, all_frames: float, n: int, repetitions: int) -> list[float]:
    """Return, for each kind of bounds, how often the lower and the upper one miss the truth."""
    generator, world = np.random.default_rng(0), World((), (), ())
    arms = [draw([m], n * repetitions, world, generator) for m in (curated, all_frames)]
    differences = (arms[0] - arms[1]).reshape(repetitions, n)
    found = []
    for bounds in BOUNDS:
        lower, upper = bounds(differences, generator)
        truth = curated - all_frames
        found += [float((lower > truth).mean()), float((upper < truth).mean())]
    return found


def print_misses(repetitions: int) -> None:
    print("| curated, all frames | seeds | Student | percentile | bootstrap-t |")
    print("|---" * 5 + "|")
    for curated, all_frames in ((350, 350), (450, 350), (480, 455), (500, 470), (470, 490)):
        for n in (16, 32):
            found = misses(curated, all_frames, n, repetitions)
            pairs = zip(found[::2], found[1::2], strict=True)
            cells = " | ".join(f"{low:.1%}, {high:.1%}" for low, high in pairs)
            print(f"| {curated}, {all_frames} | {n} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    known = worlds()
    print(f"{repetitions} curations each, 8 seeds choose, 16 report; what is true in bold")
    print_outcomes(known, repetitions)
    print(f"\n{missed_peak(repetitions)}")
    few = ("gain of 20 %", "gain of 15 %", "4 times faster", "fewer do: gain of 20 %")
    few += ("nothing", "1 of 10 curated seeds fails", "at the margin, a narrow peak")
    few += ("at the margin, 2 times faster", "rising, curated 60 above")
    for seeds in ((4, 8), (8, 32), (16, 32), (16, 64)):
        print(f"\n{seeds[0]} seeds choose, {seeds[1]} report")
        print_outcomes({name: known[name] for name in few}, repetitions, *seeds)
    print("\none-sided 95 % bounds of curated - all frames that miss the truth: lower, upper")
    print_misses(20 * repetitions)


if __name__ == "__main__":
    main()
