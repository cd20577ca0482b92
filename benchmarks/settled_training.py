"""Do a falling step size and averaged parameters smooth curves and steady maps?

    python benchmarks/settled_training.py [--cases cartpole-0 hopper ...]

`bc` as it is, with a step size that falls to 0, with parameters averaged over the last quarter of
the updates, and with both. For each:

- the mean return of all frames at several amounts of training, each trained from the start: how
  far it falls between one amount and the next, all in all, and how far training seeds differ,
  both as shares of the expert's gain over random actions;
- maps at an amount and at 4 times as much: their reliabilities and their Spearman correlation, as
  it is and corrected for the reliabilities. The two maps share no training seed and no mask.

Writes `results/settled_training.json` and prints the table of `docs/algorithms.md`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from real_answers import cut

import r2rise
from r2rise import Demonstrations, Study
from r2rise.design.tasks import baseline_tasks
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.run.shards import Shard

RESULTS = Path(__file__).parent / "results" / "settled_training.json"
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "falling step size": {"learning_rate_decay": "linear"},
    "averaged": {"average_last": 0.25},
    "both": {"learning_rate_decay": "linear", "average_last": 0.25},
}


class Case(NamedTuple):
    """Demonstrations, and how they are explained.

    Attributes:
        environment: Its id.
        file, numbers, n_frames: Which frames of which demonstrations.
        segment_length: Frames of a segment.
        amount: Updates for the first map; the second gets 4 times as many.
        amounts: Updates of the curve.
        n_seeds, n_episodes: Training seeds of the curve; episodes of each policy.
        n_blocks: Blocks of a map.
        expert: Mean return of a demonstrator.
    """

    environment: str
    file: str
    numbers: range
    n_frames: int
    segment_length: int
    amount: int
    amounts: tuple[int, ...]
    n_seeds: int
    n_episodes: int
    n_blocks: int
    expert: float


def doublings(base: int, n: int) -> tuple[int, ...]:
    """Return so many amounts, each twice the one before."""
    return tuple(base * 2**k for k in range(n))


CASES = {
    **{
        f"cartpole-{first}": Case(
            "CartPole-v1", "cartpole", range(first, first + 5), 100, 10, 800, doublings(200, 6),
            16, 20, 2, 500.0,
        )
        for first in (0, 5, 10)
    },
    "pendulum": Case(
        "Pendulum-v1", "pendulum", range(5), 200, 40, 1000, doublings(500, 5), 16, 20, 2, -189.0
    ),
    "hopper": Case(
        "Hopper-v4", "hopper", range(2), 300, 30, 1200, doublings(600, 4), 8, 4, 4, 3717.0
    ),
}  # fmt: skip


def study_of(case: Case, n_updates: int, settings: dict[str, Any], **budget: Any) -> Study:
    """Return the study of one map, or of the policies of all frames."""
    algorithm = {"name": "bc", "settings": {**settings, "n_updates": n_updates, "device": "cpu"}}
    return Study.parse(
        {
            "environment": case.environment,
            "algorithm": algorithm,
            "masking": {"segment_length": case.segment_length},
            "evaluation": {"n_episodes": case.n_episodes},
            **budget,
        }
    )


def curve(case: Case, demonstrations: Demonstrations, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what all frames give at each amount, in shares of the expert's gain."""
    found, chance = [], 0.0
    for amount in case.amounts:
        study = study_of(case, amount, settings, budget={"baseline_retrainings": case.n_seeds})
        resolved = resolve(study, demonstrations)
        retrainer = Retrainer(resolved.study, demonstrations)
        tasks = baseline_tasks(resolved.study, len(resolved.segments), case.n_seeds)
        by_kind: dict[str, list[float]] = {"baseline": [], "random_policy": []}
        for task in tasks:
            [record] = retrainer.run(Shard((task,)), keep_going)
            by_kind[task.kind].append(float(record.returns.mean()))
        chance = float(np.mean(by_kind["random_policy"]))
        found.append(by_kind["baseline"])
    shares = (np.array(found) - chance) / (case.expert - chance)
    means = shares.mean(axis=1)
    return {
        "random": chance,
        "returns": [float(np.mean(row)) for row in found],
        "best": float(means.max()),
        "last": float(means[-1]),
        "falls": float(np.maximum(-np.diff(means), 0).sum()),
        "spread": float(shares.std(axis=1, ddof=1).mean()),
    }


def maps(case: Case, demonstrations: Demonstrations, settings: dict[str, Any]) -> dict[str, Any]:
    """Return how reliable the maps of two amounts are, and how far they agree."""
    found = []
    for seed, amount in ((1, case.amount), (2, 4 * case.amount)):
        study = study_of(case, amount, settings, seed=seed)
        block = resolve(study, demonstrations).study.masking.block_size or 1
        study = study_of(
            case, amount, settings, seed=seed,
            budget={"retrainings": case.n_blocks * block, "baseline_retrainings": 4},
        )  # fmt: skip
        found.append(r2rise.explain(demonstrations, study))
    reliability = [one.quality.reliability for one in found]
    return {
        "reliability": reliability,
        **agreement(found[0].importance, found[1].importance, reliability),
    }


def agreement(
    first: NDArray[np.float64], second: NDArray[np.float64], reliability: list[float]
) -> dict[str, float | None]:
    """Return Spearman's correlation, as it is and corrected; None where a map is all noise."""
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    rho = float(np.corrcoef(*ranks)[0, 1])
    highest = float(np.sqrt(np.prod(reliability)))
    return {"rho": rho, "corrected": min(1.0, rho / highest) if highest else None}


def measure(name: str) -> dict[str, Any]:
    """Return all figures of a case."""
    case = CASES[name]
    demonstrations = cut(case.file, case.numbers, case.n_frames)
    figures: dict[str, Any] = {}
    for variant, settings in VARIANTS.items():
        started = time.process_time()
        figures[variant] = {
            **curve(case, demonstrations, settings),
            **maps(case, demonstrations, settings),
        }
        figures[variant]["seconds"] = time.process_time() - started
        print(name, variant, json.dumps(figures[variant]), flush=True)
    return figures


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| | | best, last | falls | spread of seeds | reliability | map at 4 times the training |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in found.items():
        for variant, own in figures.items():
            first, second = own["reliability"]
            corrected = "-" if own["corrected"] is None else f"{own['corrected']:.2f}"
            lines.append(
                f"| {name} | {variant} | {own['best']:.2f}, {own['last']:.2f} | "
                f"{own['falls']:.2f} | {own['spread']:.2f} | {first:.2f}, {second:.2f} | "
                f"{own['rho']:.2f} ({corrected}) |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in parser.parse_args().cases:
        found[name] = measure(name)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
