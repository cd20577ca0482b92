"""What the paper's setting on Atari would take at full scale, from short trainings.

python benchmarks/paper.py

Times are processor seconds of one thread, so that other work on the machine does not count. Each
is the slope between a short and a longer training: what is spent once a retraining is left out.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

import r2rise
from r2rise.algorithms import Policy, make_algorithm
from r2rise.environments import Environment
from r2rise.evaluation.loop import evaluate_many
from r2rise.study.parts import Evaluation
from r2rise.study.specs import AlgorithmSpec, EnvironmentSpec

GAME = "Breakout"
MASKS = {"bc": 700, "gail": 100, "bco": 100}
EPISODE_STEPS, EPISODES = 1000, 20
UPDATES, ROUNDS, ROUND_STEPS = 15_000, 2000, 1024
INTERACTIONS, INVERSE_EPOCHS, BATCH = 5000, 20, 32
CLONING = {"n_epochs": None, "hidden_sizes": [512], "device": "cpu"}


class Parts:
    """Short trainings and episodes in one game."""

    def __init__(self) -> None:
        self.environment = Environment(EnvironmentSpec(id=f"r2rise/{GAME}-v0"))
        shown = r2rise.record(self.environment, "random", n_demonstrations=2, max_steps=150)
        self.kept = shown.transitions(np.ones(shown.n_frames, bool))
        self.policy = self.train("bc", **CLONING, n_updates=1)

    def train(self, name: str, **settings: object) -> Policy:
        algorithm = make_algorithm(AlgorithmSpec(name=name, settings=settings))
        return algorithm.train(self.kept, self.environment, 0, progress=lambda _: None)

    def act(self, steps: int) -> None:
        rules = Evaluation(n_episodes=4, max_steps=steps, epsilon=0.1, backend="gymnasium")
        evaluate_many([self.policy], self.environment, rules, 0, progress=lambda _: None)

    def clone(self, n_updates: int) -> None:
        self.train("bc", **CLONING, n_updates=n_updates)

    def rounds(self, n: int) -> None:
        self.train("gail", total_steps=n * ROUND_STEPS)

    def invert(self, epochs: int) -> None:
        self.train("bco", **CLONING, n_updates=1, interactions=10 * BATCH, inverse_epochs=epochs)


def slope(run: Callable[[int], None], few: int, many: int) -> float:
    """Processor seconds for each of many - few."""
    seconds = []
    for n in (few, few, many):  # the first one warms up
        start = time.process_time()
        run(n)
        seconds.append(time.process_time() - start)
    return (seconds[2] - seconds[1]) / (many - few)


def main() -> None:
    torch.set_num_threads(1)
    parts = Parts()
    step, update = slope(parts.act, 10, 110) / 4, slope(parts.clone, 5, 35)
    inverse, gail = slope(parts.invert, 1, 4) / 10, slope(parts.rounds, 1, 2)
    print(
        f"{GAME}: a step {1000 * step:.2f} ms, an update of bc {1000 * update:.1f} ms, "
        f"of bco's inverse model {1000 * inverse:.1f} ms, a round of gail {gail:.1f} s"
    )
    training = {
        "bc": UPDATES * update,
        "gail": ROUNDS * gail,
        "bco": UPDATES * update + INTERACTIONS * (INVERSE_EPOCHS / BATCH * inverse + step),
    }
    evaluation = EPISODES * EPISODE_STEPS * step
    for name, seconds in training.items():
        hours = MASKS[name] * (seconds + evaluation) / 3600
        print(
            f"{name:5} training {seconds:8,.0f} s, evaluation {evaluation:4,.0f} s a retraining; "
            f"{MASKS[name]} masks {hours:7,.0f} hours of one core"
        )


if __name__ == "__main__":
    main()
