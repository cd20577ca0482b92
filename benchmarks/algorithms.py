"""Every algorithm on every environment: return from all frames, seconds a retraining, a map.

    python benchmarks/algorithms.py [--environments CartPole ...] [--algorithms bc ...] [--no-maps]

Each run puts its cells over those in `results/algorithms.json` and writes `docs/compared.md` anew.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from imitators import PENDULUM
from planted import FAST_PPO, ROUNDS, SHORT_SQIL

import r2rise
from r2rise import Demonstrations, Segment, Study
from r2rise.design.tasks import Task, baseline_tasks
from r2rise.errors import EnvironmentMismatch
from r2rise.ledger.record import Record
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise_envs.planted import planted

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "algorithms.json"
DOCS = HERE.parent / "docs" / "compared.md"
ALGORITHMS = ("bc", "imitation-bc", "bco", "gail", "airl", "sqil")
BASELINES = 3
RETRAININGS = 64
WORKERS = 2
MOST_MAP_SECONDS = 600


class Case(NamedTuple):
    """Demonstrations of an expert, and how policies are trained from them.

    Attributes:
        environment: Its id.
        demonstrations: What is learned from.
        segment_length: Frames; at most 31 segments fit one block of 64 masks.
        settings: Of algorithms whose defaults do not do.
        max_steps: Of an evaluation episode, where the demonstrations were cut off.
        expert: Its return, where the demonstrations do not show it.
    """

    environment: str
    demonstrations: Callable[[], Demonstrations]
    segment_length: int
    settings: Mapping[str, dict[str, Any]] = MappingProxyType({})
    max_steps: int | None = None
    expert: float | None = None


def first(name: str, n_demonstrations: int) -> Demonstrations:
    """Return the first demonstrations of a file."""
    whole = Demonstrations.load(HERE / "data" / f"{name}.npz")
    lengths = whole.lengths[:n_demonstrations].tolist()
    return whole.select(keep=[Segment(number, 0, n) for number, n in enumerate(lengths)])


LONG = {name: {"n_epochs": 100} for name in ("bc", "imitation-bc", "bco")}
LONGER = {name: {"n_epochs": 300} for name in ("bc", "imitation-bc", "bco")}
CARTPOLE = {name: {"n_epochs": 10} for name in ("bc", "imitation-bc")} | {"bco": {"n_epochs": 30}}
PLANTED = LONG | {"gail": FAST_PPO, "airl": FAST_PPO, "sqil": SHORT_SQIL}
CASES = {
    "CartPole": Case("CartPole-v1", lambda: first("cartpole_whole", 5), 100, CARTPOLE),
    "Pendulum": Case("Pendulum-v1", lambda: first("pendulum", 5), 40, LONG | PENDULUM),
    "Hopper": Case("r2rise/Hopper-v0", lambda: first("hopper", 2), 100, LONGER),
    "LunarLander": Case("r2rise/LunarLander-v0", lambda: first("lunarlander", 5), 40, LONG),
    "MinAtar Breakout": Case(
        "r2rise/MinAtar-Breakout-v0", lambda: first("minatar", 6), 50, LONG, max_steps=300
    ),
    "MiniGrid DoorKey": Case("r2rise/DoorKey-v0", lambda: first("doorkey", 20), 20, LONG),
    "planted": Case(ROUNDS, lambda: planted(ROUNDS).demonstrations, 10, PLANTED, expert=10.0),
}


def study_of(case: Case, algorithm: str) -> Study:
    """Return the study of one cell."""
    return Study.parse(
        {
            "environment": case.environment,
            "algorithm": {"name": algorithm, "settings": case.settings.get(algorithm, {})},
            "masking": {"segment_length": case.segment_length},
            "evaluation": {"max_steps": case.max_steps},
            "budget": {"retrainings": RETRAININGS, "baseline_retrainings": BASELINES},
        }
    )


def cell(case: Case, algorithm: str, *, maps: bool) -> dict[str, Any]:
    """Return the figures of one algorithm on one environment."""
    demonstrations, study = case.demonstrations(), study_of(case, algorithm)
    try:
        resolved = resolve(study, demonstrations)
    except EnvironmentMismatch as error:
        return {"refused": str(error)}
    retrainer = Retrainer(resolved.study, demonstrations)
    tasks = baseline_tasks(resolved.study, len(resolved.segments), BASELINES)
    records, seconds = retrained(retrainer, tasks)
    failed = [record.reason for record in records if record.status == "failed"]
    if failed:
        return {"failed": failed[0]}
    chance, *trained = records
    means = [float(np.mean(record.returns)) for record in trained]
    found = {
        "random": float(np.mean(chance.returns)),
        "expert": case.expert or expert_return(demonstrations),
        "returns": means,
        "seconds": seconds,
        "n_segments": len(resolved.segments),
    }
    if maps and seconds * RETRAININGS / WORKERS <= MOST_MAP_SECONDS:
        found["map"] = map_of(demonstrations, study)
    return found


def retrained(retrainer: Retrainer, tasks: Sequence[Task]) -> tuple[list[Record], float]:
    """Return the records, and the median seconds of a core that training and evaluation took."""
    records, seconds = [], []
    for task in tasks:
        started = time.process_time()
        records.append(retrainer.retrain(task, keep_going))
        seconds.append(time.process_time() - started)
    return records, statistics.median(seconds[1:])  # the first is of random actions


def expert_return(demonstrations: Demonstrations) -> float:
    """Return the mean sum of the rewards of a demonstration."""
    assert demonstrations.rews is not None
    return float(demonstrations.rews.sum() / len(demonstrations))


def map_of(demonstrations: Demonstrations, study: Study) -> dict[str, Any]:
    """Return what a map of 64 retrainings shows, and in which time."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        found = r2rise.explain(demonstrations, study, out=out, workers=WORKERS)
    return {
        "seconds": time.monotonic() - started,
        "failed": found.retrainings.failed,
        "mean_return": found.retrainings.mean_return,
        "reliability": found.quality.reliability,
        "equal_importance_p": found.quality.equal_importance_p,
    }


PAGE = """# Every algorithm on every environment

What each algorithm of R2RISE reaches on each environment, and how long a retraining takes. Read this page to choose an algorithm for a study.

Generated by `python benchmarks/algorithms.py` from `benchmarks/results/algorithms.json`.

Each algorithm is trained on all frames of a few demonstrations with 3 training seeds, and evaluated over 20 episodes.

- **From all frames**: the mean return, with the lowest and the highest training seed in brackets.
- **Of the range**: the range goes from random actions to the demonstrations (in the planted environment, to its scripted expert).
- **Seconds a retraining**: one training and its evaluation on one core.
- **Map of 64**: made if 64 retrainings fit in 10 minutes on 2 cores. It is one fold-over block (32 masks and their complements), so its reliability is an estimate from the model. p is the p-value of the hypothesis that all frames are equally important. Seconds are wall-clock time with 2 processes on a machine that had other work: read them as orders of magnitude.

{table}

The demonstrations are in `benchmarks/data`. Settings that are not defaults:

{settings}

How to read the table:

- **Check that an algorithm learns the task before you read its map.** If it reaches little of the range, its map is about chance.
- A map of 64 is a first look. `r2rise plan` estimates how many retrainings a given reliability takes.
- Algorithms that act in the environment while they learn (`gail`, `airl`, `sqil`) take 5 to 700 times as long as `bc`. The smaller the network, the larger the factor.
"""


def table(cells: dict[str, dict[str, Any]]) -> str:
    """Return all cells as Markdown."""
    lines = [
        "| environment | algorithm | random / expert | from all frames | of the range | "
        "seconds a retraining | map of 64: seconds / reliability / p |",
        "|---|---|---|---|---|---|---|",
    ]
    for environment in CASES:
        for algorithm in ALGORITHMS:
            found = cells.get(f"{environment} {algorithm}")
            if found is not None:
                lines.append(_row(environment, algorithm, found))
    return "\n".join(lines)


def _row(environment: str, algorithm: str, found: dict[str, Any]) -> str:
    trouble = found.get("refused") or found.get("failed")
    if trouble:
        return f"| {environment} | {algorithm} | {trouble} | | | | |"
    chance, expert, mean = found["random"], found["expert"], statistics.mean(found["returns"])
    lowest, highest = min(found["returns"]), max(found["returns"])
    return (
        f"| {environment} | {algorithm} | {chance:.4g} / {expert:.4g} | {mean:.4g} ({lowest:.4g} to {highest:.4g}) | "
        f"{(mean - chance) / (expert - chance):.0%} | {found['seconds']:.2g} | "
        f"{_map_text(found.get('map'))} |"
    )


def _map_text(found: dict[str, Any] | None) -> str:
    if found is None:
        return "does not fit"
    reliability, p = found["reliability"], found["equal_importance_p"]
    if reliability is None:
        return f"{found['seconds']:.0f} / all returns are equal"
    return f"{found['seconds']:.0f} / {reliability:.2f} / {p:.3f}"


def main() -> None:
    """Measure the cells that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--algorithms", nargs="*", default=ALGORITHMS, choices=ALGORITHMS)
    parser.add_argument("--no-maps", action="store_true", help="Make no maps.")
    asked = parser.parse_args()
    for environment in asked.environments:
        for algorithm in asked.algorithms:
            found = cell(CASES[environment], algorithm, maps=not asked.no_maps)
            stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            stored[f"{environment} {algorithm}"] = found
            RESULTS.write_text(json.dumps(stored, indent=1) + "\n")
            print(environment, algorithm, found, flush=True)
    cells = json.loads(RESULTS.read_text())
    settings = "\n".join(
        f"- {environment}, `{algorithm}`: `{json.dumps(changed)}`"
        for environment, case in CASES.items()
        for algorithm, changed in case.settings.items()
    )
    DOCS.write_text(PAGE.format(table=table(cells), settings=settings))


if __name__ == "__main__":
    main()
