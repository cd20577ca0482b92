"""What `bco` reaches from all frames and how fast it retrains, next to `bc` with as many epochs.

    python benchmarks/bco.py [--cartpole FILE] [--repetitions 3]

Returns are those of policies trained on all frames for 30 epochs; `FILE` holds more
CartPole demonstrations than the excerpt in `examples/`. Times are those of the processor, of one
retraining with its 20 evaluation episodes: in a shard of 64 masks, what they share included, and
one by one, each mask on its own. Medians of the repetitions, which alternate.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from r2rise import Demonstrations, Study
from r2rise.design.tasks import baseline_tasks, design_tasks
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.run.shards import Shard

HERE = Path(__file__).parent
EXCERPT = HERE.parent / "examples" / "cartpole-0-4.npz"
N_SEEDS, N_ALONE, SHARD = 10, 4, 64
LENGTH = {"n_epochs": 30}
CASES: dict[str, dict[str, Any]] = {
    "bc": {"name": "bc", "settings": LENGTH},
    "bco(0)": {"name": "bco", "settings": LENGTH},
    "bco, 2 alpha-iterations": {"name": "bco", "settings": {**LENGTH, "alpha_iterations": 2}},
}


def retrainer(environment: str, demonstrations: Demonstrations, algorithm: Any) -> Retrainer:
    study = Study.model_validate(
        {
            "environment": environment,
            "algorithm": algorithm,
            "budget": {"retrainings": 128, "baseline_retrainings": N_SEEDS},
            "execution": {"shard_size": SHARD},
        }
    )
    return Retrainer(resolve(study, demonstrations).study, demonstrations)


def returns(environment: str, path: Path) -> None:
    demonstrations = Demonstrations.load(path)
    assert demonstrations.rews is not None
    expert = demonstrations.rews.sum() / len(demonstrations)
    print(f"\n{environment}, {demonstrations}: the demonstrations' mean return is {expert:.1f}")
    for name, algorithm in CASES.items():
        ours = retrainer(environment, demonstrations, algorithm)
        tasks = baseline_tasks(ours.study, len(ours.segments), N_SEEDS)
        started = time.process_time()
        trained = [task for task in tasks if task.kind == "baseline"]
        found = [record.returns.mean() for record in ours.run(Shard(tuple(trained)), keep_going)]
        seconds = (time.process_time() - started) / len(trained)
        print(
            f"  {name}: {np.mean(found):.1f} (from {min(found):.1f} to {max(found):.1f} over "
            f"{len(found)} training seeds), {seconds:.2f} s a retraining"
        )
    chance = tuple(task for task in tasks if task.kind == "random_policy")
    by_chance = ours.run(Shard(chance), keep_going)[0].returns.mean()
    print(f"  random actions: {by_chance:.1f}")


def seconds_a_retraining(algorithm: Any, n_masks: int, *, together: bool) -> float:
    """Return the seconds of one of the first masks of a block, in a process that is warm."""
    demonstrations = Demonstrations.load(EXCERPT)
    spent = 0.0
    shards = [range(n_masks)] if together else [range(i, i + 1) for i in range(n_masks)]
    for indices in shards:
        ours = retrainer("CartPole-v1", demonstrations, algorithm)
        tasks = tuple(design_tasks(ours.study, len(ours.segments), indices))
        started = time.process_time()
        records = (
            ours.run(Shard(tasks), keep_going) if together else [ours.retrain(tasks[0], keep_going)]
        )
        spent += time.process_time() - started
        assert all(record.status == "ok" for record in records)
    return spent / n_masks


def speed(repetitions: int) -> None:
    print("\nCartPole-v1, 5 x 100 frames: milliseconds a retraining")
    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(repetitions):
        for name, algorithm in CASES.items():
            for together in (True, False):
                n_masks = SHARD if together else N_ALONE
                own = seconds_a_retraining(algorithm, n_masks, together=together)
                found.setdefault((name, together), []).append(1000 * own)
    for name in CASES:
        many, alone = (statistics.median(found[name, together]) for together in (True, False))
        print(f"  {name}: {many:.1f} in a shard of {SHARD}, {alone:.1f} one by one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cartpole", type=Path, default=EXCERPT)
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    speed(given.repetitions)
    returns("CartPole-v1", given.cartpole)
    returns("Pendulum-v1", HERE / "data" / "pendulum.npz")


if __name__ == "__main__":
    main()
