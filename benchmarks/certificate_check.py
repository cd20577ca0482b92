"""What the certificate says of maps that are right, wrong, or right at one end only.

    python benchmarks/certificate_check.py [--n 200] [--real 20] [--folder DIR] [--processes 2]

Simulated: worlds made of the banks of real retrainings (`blocks.py`), in which what is kept adds
up. A training seed draws one block of the bank: its mean return, the effects that least squares
finds in it, and noise with the standard deviation of its residuals. A map is the mean of three
blocks' effects; these are no training seeds of its certificate. Everything else is the real code.

Real: CartPole demonstrations 5 to 9, each with a map of 384 retrainings of its own. With a folder,
maps and ledgers are kept, and what is in them is not retrained.

Writes `results/certificate.json` and prints the tables of docs/method.md.
"""

import argparse
import functools
import json
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blocks
import numpy as np
from numpy.typing import NDArray
from real_answers import cut
from simulation import SimulatedEngine

import r2rise
from r2rise import Certificate, Demonstrations, ImportanceMap, Study
from r2rise.ask.certify import REPETITIONS
from r2rise.design.tasks import Task
from r2rise.statistics.directions import MIN_LEVELS

Floats = NDArray[np.float64]

RESULTS = Path(__file__).parent / "results" / "certificate.json"
RANDOM_ACTIONS = {"cartpole": 22.0, "pendulum": -1200.0}
KNOWN_SHARE = 0.3
"""Of the segments, that a map right at one end only has in the right places."""

KINDS = ("true", "true_40", "shuffled", "bottom", "lower_half", "top")
REAL_KINDS = ("true", "shuffled", "bottom")
IN_WORDS = {
    "true": "true",
    "true_40": "true, 40 repetitions",
    "shuffled": "shuffled",
    "bottom": "lowest 30 % right",
    "lower_half": "lower half right",
    "top": "highest 30 % right",
}


@dataclass(frozen=True)
class BlockWorld:
    """Returns that add up, with effects that vary with the training seed as real ones do.

    Attributes:
        levels: (n_blocks,) mean return of each block.
        effects: (n_blocks, n_segments) least-squares effects.
        noise: (n_blocks,) standard deviation of its residuals.
        random_actions: Return of random actions.
    """

    levels: Floats
    effects: Floats
    noise: Floats
    random_actions: float

    @classmethod
    def of(cls, name: str) -> "BlockWorld":
        """Return the world of a bank."""
        bank = blocks.load(name)
        found = [_least_squares(*block) for block in zip(bank.masks, bank.returns, strict=True)]
        levels, effects, noise = (np.array(part) for part in zip(*found, strict=True))
        return cls(levels, effects, noise, RANDOM_ACTIONS[name.partition("-")[0]])

    def without(self, chosen: NDArray[np.int64]) -> "BlockWorld":
        """Return the world of the other blocks."""
        rest = (np.delete(part, chosen, axis=0) for part in (self.levels, self.effects, self.noise))
        return BlockWorld(*rest, self.random_actions)

    def returns(self, task: Task, n_episodes: int) -> Floats:
        """Return what a retraining gives, the same in each of (n_episodes,)."""
        if task.kind == "random_policy":
            return np.full(n_episodes, self.random_actions)
        block = np.random.default_rng(task.training_seed).integers(len(self.levels))
        own = np.random.default_rng([task.training_seed, zlib.crc32(task.packed_mask)])
        kept = task.mask(self.effects.shape[1]) - 0.5
        mean = self.levels[block] + kept @ self.effects[block] + own.normal(0, self.noise[block])
        return np.full(n_episodes, mean)


def _least_squares(masks: NDArray[np.bool_], returns: Floats) -> tuple[float, Floats, float]:
    design = np.column_stack([np.ones(len(masks)), masks - 0.5])
    found, _, rank, _ = np.linalg.lstsq(design, returns, rcond=None)
    residuals = returns - design @ found
    return found[0], found[1:], float(np.sqrt(residuals @ residuals / (len(returns) - rank)))


def changed(values: Floats, kind: str, seed: int, case: str = "") -> Floats:
    """Return the values of a map of some kind, (n_segments,): what is not known is shuffled."""
    numbers = {"shuffled": 7, "bottom": 8, "lower_half": 9, "top": 10}
    if kind.startswith("true"):
        return values
    share = {"shuffled": 0.0, "lower_half": 0.5}.get(kind, KNOWN_SHARE)
    order = np.argsort(-values if kind == "top" else values)
    rest = np.arange(len(values)) if kind == "shuffled" else order[round(share * len(values)) :]
    found = values.copy()
    seeds = [seed, numbers[kind], *case.encode()]
    found[rest] = np.random.default_rng(seeds).permutation(values[rest])
    return found


@functools.cache
def _prepared(name: str) -> tuple[BlockWorld, Demonstrations, ImportanceMap]:
    case, world = blocks.CASES[name](), BlockWorld.of(name)
    bank = blocks.load(name)
    parts = {
        "budget": {"retrainings": 3 * bank.returns.shape[1]},
        "masking": {"segment_length": int(bank.n_frames.max())},
    }
    study = Study.parse(case.study.model_dump() | parts)
    engine = SimulatedEngine(world)
    return world, case.demonstrations, r2rise.explain(case.demonstrations, study, engine=engine)


def simulated(name: str, kind: str, seed: int) -> dict[str, Any]:
    """Return what is said of one map in the world of a bank."""
    world, demonstrations, template = _prepared(name)
    generator = np.random.default_rng([seed, 11, zlib.crc32(name.encode())])
    chosen = generator.choice(len(world.levels), 3, replace=False)
    values = changed(world.effects[chosen].mean(axis=0), kind, seed, name)
    study = template.study.model_copy(update={"seed": seed})
    importance = template.model_copy(update={"importance": values, "study": study})
    engine = SimulatedEngine(world.without(chosen))
    repetitions = 40 if kind == "true_40" else REPETITIONS
    found = r2rise.certify(demonstrations, importance, repetitions=repetitions, engine=engine)
    return said(found)


def real(seed: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is said of one real map, by kind."""
    demonstrations = cut("cartpole", range(5, 10), 100)
    named = {"name": "bc", "settings": {"n_updates": 1600}}
    study = Study(environment="CartPole-v1", algorithm=named, budget=384, seed=seed)
    path = folder / f"map{seed}.json"
    if not path.exists():
        r2rise.explain(demonstrations, study).save(path)
    importance = ImportanceMap.load(path)
    found = {}
    for kind in REAL_KINDS:
        values = changed(importance.importance, kind, seed)
        own = importance.model_copy(update={"importance": values})
        ledger = folder / f"{kind}{seed}.npz"
        found[kind] = said(r2rise.certify(demonstrations, own, ledger=ledger))
    return found


def said(found: Certificate) -> dict[str, Any]:
    """Return what a certificate says, and would say of the top without the test of its half."""
    bottom, top = found.leaving_out_bottom, found.keeping_top
    assert bottom is not None
    assert top is not None
    return {
        "outcome": found.outcome,
        "bottom": bottom.is_shown,
        "top": top.is_shown,
        "top_by_levels": len(top.levels) >= MIN_LEVELS and not top.against,
    }


def rates(found: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return how often each is said."""
    outcomes = ("pass", "right_at_bottom", "right_at_top", "fail", "undecided")
    shares = {name: np.mean([one["outcome"] == name for one in found]) for name in outcomes}
    shares |= {
        name: np.mean([one[name] for one in found]) for name in found[0] if name != "outcome"
    }
    return {"certificates": len(found)} | {k: round(float(v), 3) for k, v in shares.items()}


def check(
    cases: Sequence[str],
    kinds: Sequence[str],
    n: int,
    n_real: int,
    folder: Path,
    processes: int,
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the rates by case and kind of map."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    with ProcessPoolExecutor(processes) as pool:
        for name in cases:
            found[name] = {}
            for kind in kinds:
                one: Callable[[int], dict[str, Any]] = functools.partial(simulated, name, kind)
                found[name][kind] = rates(list(pool.map(one, range(n), chunksize=5)))
                print(name, kind, found[name][kind], flush=True)
    if n_real:
        rows = [real(seed, folder) for seed in range(n_real)]
        found["real"] = {kind: rates([row[kind] for row in rows]) for kind in REAL_KINDS}
    return found


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the table of docs/method.md."""
    columns = ("pass", "bottom", "top", "top_by_levels", "fail", "undecided")
    lines = []
    for name, kinds in found.items():
        for kind, shares in sorted(kinds.items(), key=lambda item: KINDS.index(item[0])):
            cells = [f"{100 * shares[column]:.1f} %" for column in columns]
            lines.append(f"| {name} | {IN_WORDS[kind]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", nargs="*", choices=list(blocks.CASES), default=[*blocks.CASES])
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--real", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where real maps and ledgers are kept")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        found = check(given.cases, given.kinds, given.n, given.real, folder, given.processes)
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, kinds in found.items():
        before[name] = before.get(name, {}) | kinds
    RESULTS.write_text(json.dumps(before, indent=2) + "\n")
    print(table(before))


if __name__ == "__main__":
    main()
