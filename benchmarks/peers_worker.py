"""One peer in its own environment: says which coalitions it wants, is told what they are worth.

Started by `peers.py` with the name of a library. Each line that comes in is a task or an answer,
each that goes out a question or a result, all JSON. Knows nothing of R2RISE.
"""

import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any
from unittest.mock import MagicMock

import numpy as np

Utility = Callable[[Any], float]
"""From a (n_players,) bool coalition to its worth."""
Method = Callable[["Game", int, int, int], Any]
"""From a game, its number of players, a budget and a seed to (n_players,) values."""


class Game:
    """What coalitions are worth, asked of the process that started this one.

    Attributes:
        n_calls: Coalitions asked for.
        started: CPU time at the start, or at the second run of a method that asks one by one; what
            asking takes is added.
    """

    def __init__(self) -> None:
        self.n_calls = 0
        self.started = time.process_time()

    def __call__(self, coalitions: Any) -> Any:
        """Return the worth of (n, n_players) coalitions, (n,)."""
        asked_at = time.process_time()
        self.n_calls += len(coalitions)
        say({"coalitions": np.asarray(coalitions, dtype=int).tolist()})
        worth = np.array(json.loads(sys.stdin.readline())["worth"])
        self.started += time.process_time() - asked_at
        return worth

    def one_by_one(self, run: Callable[[Utility], Any]) -> Any:
        """Run a method that asks one by one: to see what it asks for, then with the answers.

        Its coalitions must follow from its seed, not from what others are worth.
        """
        asked: list[Any] = []

        def note(coalition: Any) -> float:
            asked.append(coalition)
            return 1.0 + len(asked) % 2  # not constant, which some methods warn of

        run(note)
        answers = iter(list(zip(asked, self(asked), strict=True)))

        def answer(coalition: Any) -> float:
            expected, worth = next(answers)
            if not np.array_equal(expected, coalition):
                raise RuntimeError("The method asks for other coalitions with the same seed.")
            return float(worth)

        self.started = time.process_time()
        return run(answer)


def shapiq_methods() -> dict[str, Method]:
    """Return the approximators that shapiq chooses by itself for these two indices."""
    from shapiq.approximator import KernelSHAP, RegressionFBII

    def first_order(approximator: Any, game: Game, n: int, budget: int) -> list[float]:
        found = approximator.approximate(budget=budget, game=game)
        return [float(found[(player,)]) for player in range(n)]

    def fbii(game: Game, n: int, budget: int, seed: int, *, paired: bool = False) -> list[float]:
        approximator = RegressionFBII(n, max_order=1, pairing_trick=paired, random_state=seed)
        return first_order(approximator, game, n, budget)

    def kernelshap(game: Game, n: int, budget: int, seed: int) -> list[float]:
        return first_order(KernelSHAP(n, random_state=seed), game, n, budget)

    return {
        "RegressionFBII": fbii,
        "RegressionFBII, paired": lambda *asked: fbii(*asked, paired=True),
        "KernelSHAP": kernelshap,
    }


def pydvl_methods() -> dict[str, Method]:
    """Return pyDVL's Banzhaf values with maximum sample reuse."""
    from pydvl.valuation import Dataset, MaxSamples, MSRBanzhafValuation, NoStopping
    from pydvl.valuation.utility.base import UtilityBase

    class Worth(UtilityBase):
        def __init__(self, utility: Utility, n: int) -> None:
            self.utility, self.n = utility, n

        def __call__(self, sample: Any) -> float:
            coalition = np.zeros(self.n, dtype=bool)
            coalition[[] if sample is None else sample.subset] = True
            return self.utility(coalition)

    def msr(game: Game, n: int, budget: int, seed: int) -> Any:
        data = Dataset(np.arange(n, dtype=float)[:, None], np.zeros(n))

        def run(utility: Utility) -> Any:
            valuation = MSRBanzhafValuation(Worth(utility, n), NoStopping(), seed=seed)
            valuation.is_done = MaxSamples(valuation.sampler, budget)
            found = valuation.fit(data).result
            values = np.full(n, np.nan)
            values[found.indices] = found.values
            return values

        return game.one_by_one(run)

    return {"MSR-Banzhaf": msr}


def opendataval_methods() -> dict[str, Method]:
    """Return OpenDataVal's AME and Data Banzhaf. A data point is the number of a player."""
    for unused in (
        "torchvision", "torchvision.transforms", "torchvision.transforms.functional",
        "torchvision.datasets", "transformers",
    ):  # fmt: skip
        sys.modules[unused] = MagicMock()  # for its image data sets and BERT only
    import torch
    from opendataval.dataval import AME, DataBanzhaf
    from opendataval.model import Model

    class Worth(Model):  # type: ignore[misc]
        def __init__(self, utility: Utility, n: int) -> None:
            self.utility, self.n = utility, n

        def fit(self, x_train: Any, _y_train: Any, *_args: Any, **_kwargs: Any) -> "Worth":
            self.coalition = np.zeros(self.n, dtype=bool)
            self.coalition[x_train.indices] = True
            return self

        def predict(self, _x: Any) -> Any:
            return torch.tensor([self.utility(self.coalition)], dtype=torch.float64)

        def clone(self) -> "Worth":
            return Worth(self.utility, self.n)

    def run(make: Callable[[], Any], game: Game, n: int) -> Any:
        points = torch.arange(n)

        def once(utility: Utility) -> Any:
            evaluator = make().input_data(points, points, points, points)
            evaluator.input_model_metric(Worth(utility, n), lambda _, worth: float(worth))
            return evaluator.train_data_values().evaluate_data_values()

        return game.one_by_one(once)

    return {
        "AME": lambda game, n, budget, seed: run(lambda: AME(budget // 4, seed), game, n),
        "Data Banzhaf": lambda game, n, budget, seed: run(
            lambda: DataBanzhaf(budget, seed), game, n
        ),
    }


LIBRARIES = {
    "shapiq": shapiq_methods,
    "pydvl": pydvl_methods,
    "opendataval": opendataval_methods,
}


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main(library: str, versions_of: Sequence[str] = ("numpy", "torch")) -> None:
    methods = LIBRARIES[library]()
    installed = [library, *(name for name in versions_of if name in sys.modules)]
    versions = {name: version(name) for name in installed}
    say({"versions": {**versions, "python": platform.python_version()}})
    for line in sys.stdin:
        task = json.loads(line)
        game = Game()
        values = methods[task["method"]](game, task["n"], task["budget"], task["seed"])
        seconds = time.process_time() - game.started
        found = [float(value) for value in values]
        say({"values": found, "seconds": seconds, "n_calls": game.n_calls})


if __name__ == "__main__":
    main(sys.argv[1])
