"""How often the rule for the amount of training is right.

    python benchmarks/training_rule.py             # 10 seconds
    python benchmarks/training_rule.py --measure   # trains the real curves anew: 20 minutes

Prints what is chosen in disjoint studies of real curves (`results/training_curves.npz`: `bc` on
CartPole and Pendulum), and how often each answer is right for simulated learners. Both also for
a stricter rule: the smallest amount whose bounds over all larger amounts together lie inside.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma, norm
from scipy.stats import t as student_t

from r2rise import Demonstrations, Study
from r2rise.design.tasks import baseline_tasks
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.statistics.training_rule import Choice, Finding, choose_amount

Floats = NDArray[np.float64]
Rule = Callable[[Floats, float], Choice]

CURVES = Path(__file__).parent / "results" / "training_curves.npz"
DATA = Path(__file__).parent / "data"
N_AMOUNTS = {16: 7, 4: 5}
"""Amounts that are tried with so many seeds: to 64 or 16 times the base."""

LEARNERS = {
    "rises for ever": [60, 120, 180, 240, 300, 360, 420],
    "rises 5 % a doubling": 400 / 1.05 ** np.arange(6, -1, -1),
    "drifts 2 % a doubling": 350 / 1.02 ** np.arange(6, -1, -1),
    "plateau, reached early": [150, 350, 350, 350, 350, 350, 350],
    "plateau, reached late": [60, 100, 180, 280, 350, 350, 350],
    "the maximum, reached early": [200, 450, 600, 600, 600, 600, 600],
    "the maximum, reached late": [60, 100, 150, 300, 600, 600, 600],
    "early peak, then a plateau": [150, 300, 430, 350, 350, 350, 350],
    "peak and fall": [150, 300, 420, 350, 280, 220, 180],
    "two peaks": [150, 400, 250, 180, 300, 420, 280],
    "falls and rises again": [150, 400, 420, 300, 200, 280, 360],
    "just not settled": [150, 300, 300, 300, 300, 300, 354],
    "just settled": [150, 310, 310, 310, 310, 310, 350],
    "noise only": [20, 20, 20, 20, 20, 20, 20],
}
"""Mean returns at 7 amounts before they are cut at the maximum; 4 seeds see the last 5."""
RANDOM, MAXIMUM, NOISE, CORRELATION, SHAPE = 20.0, 500.0, 50.0, 0.5, 1.5
N_STUDIES = 200
WRONG = "settled, wrongly"
ANSWERS = ("settled", WRONG, *get_args(Finding)[1:])


def together(returns: Floats, random: float) -> Choice:
    """The stricter rule: two-sided 95 % bounds that hold for all larger amounts together."""
    ours = choose_amount(returns, random)
    gains, (n, n_amounts) = returns - random, returns.shape
    margin = 0.15 * gains[:, gains.mean(axis=0).argmax()]
    for index in range(n_amounts - 2 if margin.mean() > 0 else 0):
        change = gains[:, index + 1 :] - gains[:, [index]]
        outside = np.hstack([change, -change]) - margin[:, None]
        width = student_t.ppf(1 - 0.05 / outside.shape[1], n - 1) / np.sqrt(n)
        if (outside.mean(axis=0) + width * outside.std(axis=0, ddof=1) < 0).all():
            return Choice(index, "settled")
    return Choice(n_amounts - 1, "undecided" if ours.finding == "settled" else ours.finding)


RULES: dict[str, Rule] = {"the rule": choose_amount, "all bounds together": together}


class Truth(NamedTuple):
    """What is true of a curve's means: amounts that are settled, and how the curve ends."""

    settled: tuple[int, ...]
    rises: bool
    falls: bool

    @classmethod
    def of(cls, means: Floats) -> "Truth":
        last, gain = len(means) - 1, means.max() - RANDOM
        changes = [np.abs(means[i + 1 :] - means[i]).max() for i in range(last - 1)]
        settled = tuple(i for i, change in enumerate(changes) if gain > 0 and change <= 0.15 * gain)
        return cls(settled, means[-1] > means[-3:-1].min(), means[-1] < means[:-1].max())

    @property
    def finding(self) -> Finding:
        if self.settled:
            return "settled"
        if self.rises and self.falls:
            return "not_monotone"
        return (
            "still_rising" if self.rises else "falls_with_training" if self.falls else "undecided"
        )

    def is_true(self, choice: Choice) -> bool:
        """Say whether what a choice claims holds; `undecided` claims nothing."""
        claims = {
            "settled": choice.index in self.settled,
            "still_rising": self.rises,
            "falls_with_training": self.falls,
            "not_monotone": self.rises and self.falls,
            "undecided": True,
        }
        return claims[choice.finding]


def simulate(
    curve: Iterable[float], n_seeds: int, n: int, generator: np.random.Generator
) -> Floats:
    """Return n studies, (n, n_seeds, n_amounts), with skewed noise that is correlated by seed."""
    means = np.asarray(curve, dtype=np.float64)
    normal = generator.normal(size=(n, n_seeds, len(means)))
    for k in range(1, len(means)):
        normal[..., k] *= np.sqrt(1 - CORRELATION**2)
        normal[..., k] += CORRELATION * normal[..., k - 1]
    tail = (SHAPE - gamma.ppf(norm.sf(normal), SHAPE)) / np.sqrt(SHAPE)
    returns: Floats = means + NOISE * tail
    return returns if means.max() <= RANDOM else np.minimum(returns, MAXIMUM)


def true_means(curve: Iterable[float]) -> Floats:
    """Return the means of a learner at its amounts, the noise being the same at all."""
    sample = simulate([MAXIMUM / 2], 1, 100_000, np.random.default_rng(0)).ravel() - MAXIMUM / 2
    means = np.asarray(curve, dtype=np.float64)
    return np.array([np.minimum(m + sample, MAXIMUM).mean() - sample.mean() for m in means])


def simulated_choices(name: str, n_seeds: int, rule: Rule) -> tuple[Truth, list[Choice]]:
    """Return the truth of a learner, and what is chosen in 200 studies."""
    curve = LEARNERS[name][-N_AMOUNTS[n_seeds] :]
    studies = simulate(curve, n_seeds, N_STUDIES, np.random.default_rng(n_seeds))
    return Truth.of(true_means(curve)), [rule(returns, RANDOM) for returns in studies]


def real_choices(name: str, n_seeds: int, rule: Rule) -> Counter[str]:
    """Return how often each amount is chosen, or why none, in disjoint studies of a real curve."""
    curves = np.load(CURVES)
    amounts, random = curves[f"{name}: amounts"], float(curves[f"{name}: random"])
    returns = curves[name].astype(np.float64)[:, : N_AMOUNTS[16]]
    choices = [rule(study, random) for study in returns.reshape(-1, n_seeds, returns.shape[1])]
    return Counter(
        str(amounts[choice.index]) if choice.finding == "settled" else choice.finding
        for choice in choices
    )


def real_tables() -> Iterator[str]:
    """Yield the lines of what was measured and what is chosen."""
    curves = np.load(CURVES)
    names = [name for name in curves if ":" not in name]
    yield "| demonstrations | mean return of all frames after so many updates |\n|---|---|"
    for name in names:
        means = zip(curves[f"{name}: amounts"], curves[name].mean(axis=0), strict=True)
        yield f"| {name} | {', '.join(f'{amount}: {mean:.0f}' for amount, mean in means)} |"
    yield f"\n| demonstrations | seeds | {' | '.join(RULES)} |\n|---|---|{'---|' * len(RULES)}"
    for name in names:
        for n_seeds in N_AMOUNTS:
            counts = [real_choices(name, n_seeds, rule) for rule in RULES.values()]
            cells = [", ".join(f"{key} ({n})" for key, n in c.most_common()) for c in counts]
            yield f"| {name} | {n_seeds} | {' | '.join(cells)} |"


def simulated_table(rule: Rule) -> Iterator[str]:
    """Yield the lines of how often each answer is given, in % with 16 / 4 seeds."""
    yield f"| learner | truth | {' | '.join(ANSWERS)} |\n|---|---|{'---|' * len(ANSWERS)}"
    for name in LEARNERS:
        found = [simulated_choices(name, n_seeds, rule) for n_seeds in N_AMOUNTS]
        truths = " / ".join(dict.fromkeys(truth.finding for truth, _ in found))
        counts = [
            Counter(
                choice.finding if truth.is_true(choice) or choice.finding != "settled" else WRONG
                for choice in choices
            )
            for truth, choices in found
        ]
        cells = (" / ".join(f"{100 * c[a] / N_STUDIES:.0f}" for c in counts) for a in ANSWERS)
        yield f"| {name} | {truths} | {' | '.join(cells)} |"


def measure() -> None:
    """Train all frames at every amount and write the mean returns."""
    cartpole = Demonstrations.load(DATA / "cartpole.npz")
    found: dict[str, NDArray[np.generic]] = {}
    for first in (0, 5, 10):
        own = cartpole.select(keep=[(number, 0, 100) for number in range(first, first + 5)])
        name = f"CartPole {first}-{first + 4}"
        found |= curve(name, own, "CartPole-v1", [100 * 2**k for k in range(9)], 160)
    pendulum = Demonstrations.load(DATA / "pendulum.npz")
    found |= curve("Pendulum", pendulum, "Pendulum-v1", [350 * 2**k for k in range(7)], 32)
    np.savez_compressed(CURVES, **found)


def curve(
    name: str, demonstrations: Demonstrations, environment: str, amounts: list[int], n_seeds: int
) -> dict[str, NDArray[np.generic]]:
    """Return mean returns (n_seeds, n_amounts), the amounts and the return of random actions."""
    columns = []
    for n_updates in amounts:
        settings = {"n_epochs": None, "n_updates": n_updates}
        study = Study(
            environment={"id": environment}, algorithm={"name": "bc", "settings": settings}
        )
        retrainer = Retrainer(resolve(study, demonstrations).study, demonstrations)
        tasks = baseline_tasks(study, len(retrainer.segments), n_seeds)
        columns.append([retrainer.retrain(task, keep_going).returns.mean() for task in tasks])
    table = np.array(columns, dtype=np.float32).T
    return {
        name: table[1:],
        f"{name}: amounts": np.array(amounts),
        f"{name}: random": table[0, 0],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", action="store_true", help="train the real curves anew")
    if parser.parse_args().measure:
        measure()
    print(*real_tables(), sep="\n")
    for label, rule in RULES.items():
        print(f"\n{label}, % of {N_STUDIES} studies with 16 / 4 seeds\n")
        print(*simulated_table(rule), sep="\n")


if __name__ == "__main__":
    main()
