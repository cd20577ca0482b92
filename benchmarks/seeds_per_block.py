"""What do more seeds in a block cost in rank? Real retrainings of fold-over blocks of 128 masks.

    python benchmarks/seeds_per_block.py [--blocks 20]

One training and one evaluation seed for each block, half, quarter, eighth or pair. What is true is
the mean map of the bank of `blocks.py` (300 blocks); the blocks of one seed are the bank's own,
each compared with the mean of the others. Writes `results/seeds_per_block.json`.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import blocks
import numpy as np
from bank_check import NAMES, Floats, effects
from scipy.stats import spearmanr
from scipy.stats import t as student

from r2rise.data.segments import Segments
from r2rise.design.seeds import pair_seeds
from r2rise.design.tasks import Task, design_tasks
from r2rise.run.resolve import resolve
from r2rise.run.runner import Runner
from r2rise.statistics.estimators import Estimate, MaskedReturns, estimate

RESULTS = Path(__file__).parent / "results" / "seeds_per_block.json"
BLOCK = 128
SEEDS = (2, 4, 8, 64)
CASES = ("cartpole-0", "cartpole-5", "cartpole-0-short")
STUDIES = {"128": 1, "384": 3}


def retrained(case: blocks.Case, n_seeds: int) -> list[MaskedReturns]:
    """Retrain blocks whose masks share `n_seeds` training seeds, each the same number of pairs."""
    study = case.study.model_copy(update={"seed": case.study.seed + 1})
    study = resolve(study, case.demonstrations).study
    segments = Segments.of(case.demonstrations.lengths, study.masking)
    size = BLOCK // n_seeds

    def seeded(task: Task) -> Task:
        training, evaluation = pair_seeds(study.seed, task.index // size)
        return replace(task, training_seed=training, evaluation_seed=evaluation)

    tasks = [
        seeded(task) for task in design_tasks(study, len(segments), range(case.n_blocks * BLOCK))
    ]
    with Runner(study, case.demonstrations) as runner:
        records = runner.run(tasks)
    whole = MaskedReturns.of(records, segments, study.masking)
    whole = replace(whole, seeds="pair", pair=np.arange(len(whole)) // size)
    return [_part(whole, rows) for rows in whole.blocks]


def _part(whole: MaskedReturns, rows: slice) -> MaskedReturns:
    assert whole.pair is not None
    return replace(
        whole,
        packed_masks=whole.packed_masks[rows],
        returns=whole.returns[rows],
        block=whole.block[rows],
        pair=whole.pair[rows],
    )


def ranks(maps: Floats, truths: Floats) -> dict[str, float]:
    """Return the mean Spearman correlation with the truth of studies of 1 and 3 blocks."""
    return {name: float(np.mean(list(_ranks(maps, truths, n)))) for name, n in STUDIES.items()}


def _ranks(maps: Floats, truths: Floats, n_blocks: int) -> Iterator[float]:
    for start in range(0, len(maps) - n_blocks + 1, n_blocks):
        own = slice(start, start + n_blocks)
        yield spearmanr(maps[own].mean(axis=0), truths[own].mean(axis=0)).statistic


def check(name: str, n_seeds: int, n_blocks: int) -> dict[str, float]:
    """Return ranks, and the coverage of the 95 % intervals of single blocks."""
    truth = effects(blocks.load(name)).mean(axis=0)
    samples = retrained(blocks.CASES[name]()._replace(n_blocks=n_blocks), n_seeds)
    found = [estimate("difference", sample) for sample in samples]
    maps = np.array([one.importance for one in found])
    rates = ranks(maps, np.tile(truth, (len(maps), 1)))
    return {**rates, "coverage": float(np.mean([covered(one, truth) for one in found]))}


def covered(found: Estimate, truth: Floats) -> float:
    half = student.ppf(0.975, found.degrees_of_freedom) * found.std_error
    return float((np.abs(found.importance - truth) <= half).mean())


def table(known: dict[str, Any]) -> Iterator[str]:
    """Return the rows of the table in `docs/method.md`."""
    for name, seeds in known["cases"].items():
        for n, rates in sorted(seeds.items(), key=lambda item: int(item[0])):
            coverage = f"{rates['coverage']:.1%}" if "coverage" in rates else "-"
            row = f"{rates['128']:.3f} | {rates['384']:.3f} | {coverage}"
            yield f"| {name}, {n} | {row} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=20)
    n_blocks = parser.parse_args().blocks
    known: dict[str, dict[str, dict[str, float]]] = {}
    for name in CASES:
        own = effects(blocks.load(name))
        left = (own.sum(axis=0) - own) / (len(own) - 1)
        known[NAMES[name]] = {"1": ranks(own, left)}
        for n_seeds in SEEDS:
            known[NAMES[name]][str(n_seeds)] = check(name, n_seeds, n_blocks)
        print(name, known[NAMES[name]], flush=True)
    RESULTS.write_text(json.dumps({"blocks": n_blocks, "cases": known}, indent=1) + "\n")


if __name__ == "__main__":
    main()
