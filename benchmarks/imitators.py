"""What the algorithms that act in the environment reach from all frames, and in which time.

    python benchmarks/imitators.py [--algorithm gail] [--environment CartPole-v1] [--seeds 3]

Trains each algorithm with the settings that docs/algorithms.md names, on one core, and prints the
table there: the mean and the lowest return of the training seeds (20 deterministic episodes each),
the share of the expert's return over random that the mean is, and the processor's seconds of one
training. Demonstrations: benchmarks/data. The tuning behind the settings: a few runs each of
total_steps, gamma, learning_rate, n_disc_updates and shaped, on the same files.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy

import numpy as np
from threadpoolctl import threadpool_limits

from r2rise import Demonstrations
from r2rise.algorithms import Policy, check_algorithm, make_algorithm
from r2rise.design.seeds import seeded_globals
from r2rise.environments import Environment
from r2rise.evaluation import evaluate
from r2rise.run.retraining import keep_going
from r2rise.study.parts import Evaluation
from r2rise.study.specs import AlgorithmSpec, EnvironmentSpec

DATA = Path(__file__).parent / "data"


class Setting(NamedTuple):
    """An environment.

    Attributes:
        file: Demonstrations.
        expert: Mean return of the expert's whole episodes.
        max_steps: Steps of an episode.
        settings: Of each algorithm, where its defaults do not serve.
    """

    file: str
    expert: float
    max_steps: int
    settings: dict[str, dict[str, Any]]


PENDULUM: dict[str, dict[str, Any]] = {
    "gail": {"total_steps": 200_000},
    "airl": {"total_steps": 200_000},
    "sqil": {"total_steps": 5000, "learning_rate": 1e-3, "batch_size": 64},
}
ENVIRONMENTS = {
    "CartPole-v1": Setting("cartpole.npz", 473.1, 500, {}),
    "Pendulum-v1": Setting("pendulum.npz", -189.4, 200, PENDULUM),
}
ALGORITHMS = ("gail", "airl", "sqil")


def train_and_run(
    name: str, setting: Setting, environment: Environment, seed: int
) -> tuple[float, float]:
    """Return the mean return of a policy, and the seconds that its training took."""
    demonstrations = Demonstrations.load(DATA / setting.file)
    asked = AlgorithmSpec(name=name, settings=setting.settings.get(name, {}))
    algorithm = make_algorithm(check_algorithm(asked))
    every = np.ones(demonstrations.n_frames, dtype=bool)
    with seeded_globals(seed, 1), threadpool_limits(1):
        started = time.process_time()
        policy = algorithm.train(
            demonstrations.transitions(every), environment, seed, progress=keep_going
        )
        seconds = time.process_time() - started
        return run(policy, setting, environment, 20), seconds


def run(
    policy: Policy | None, setting: Setting, environment: Environment, n_episodes: int
) -> float:
    evaluation = Evaluation(n_episodes=n_episodes, max_steps=setting.max_steps)
    return float(evaluate(policy, environment, evaluation, 0, progress=keep_going).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", choices=ALGORITHMS, action="append")
    parser.add_argument("--environment", choices=list(ENVIRONMENTS), action="append")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print("| algorithm | environment | return | lowest | expert | random | share | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.environment or ENVIRONMENTS:
        setting, environment = ENVIRONMENTS[name], Environment(EnvironmentSpec(id=name))
        with seeded_globals(0, 1):
            chance = run(None, setting, environment, 200)
        for algorithm in options.algorithm or ALGORITHMS:
            pairs = [
                train_and_run(algorithm, setting, environment, seed)
                for seed in range(options.seeds)
            ]
            returns, seconds = np.array(pairs).T
            share = (returns.mean() - chance) / (setting.expert - chance)
            print(
                f"| `{algorithm}` | {name} | {returns.mean():.0f} | {returns.min():.0f} | "
                f"{setting.expert:.0f} | {chance:.0f} | {share:.0%} | {seconds.mean():.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
