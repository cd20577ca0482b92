"""How close importance maps come to a reference map, for equal numbers of retrainings.

    python benchmarks/fidelity.py [--quick] [--workers 2]

Spearman correlation with a map fitted to many independent retrainings, for the paper's recipe, for
the defaults, and for what lies between. `independent`: every mask is drawn by itself and has its
own training seed. All recipes have 20 evaluation episodes and epsilon 0 (the paper: 0.1), so that
only design and estimator differ. CartPole-v1, examples/cartpole-0-4.npz: 5 demonstrations of 100
frames, 50 segments. Behavioural cloning is written in NumPy below, behind the library's algorithm
seam; masks, seeds, batch order and estimators are the library's. Only the episodes are batched,
for speed; the start asserts that they equal the library's own evaluation.

How high the correlations are depends on the demonstrations: with these, main effects explain about
44 % of the variance of the returns, so that every centred estimator ranks well from few
retrainings. The order of the recipes is the point, and how many retrainings each needs.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: a worker has one thread

import numpy as np
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray
from scipy.stats import spearmanr

from r2rise import Demonstrations
from r2rise.algorithms import ProgressCallback, make_algorithm
from r2rise.algorithms.batch_order import epoch_batches
from r2rise.data.transitions import Transitions
from r2rise.design.seeds import episode_seeds
from r2rise.design.tasks import design_tasks
from r2rise.environments import Environment
from r2rise.evaluation import evaluate
from r2rise.results.result import versions
from r2rise.run.resolve import resolve
from r2rise.run.retraining import keep_going
from r2rise.statistics.estimators import MaskedReturns, estimate
from r2rise.study.choices import EstimatorName
from r2rise.study.study import Study

Floats = NDArray[np.float64]
Weights = NDArray[np.float32]
Layers = list[tuple[Weights, Weights]]
Samples = dict[str, MaskedReturns]
Summary = dict[str, float]

DEMONSTRATIONS = Demonstrations.load(Path(__file__).parents[1] / "examples" / "cartpole-0-4.npz")
RESULT = Path(__file__).parent / "results" / "fidelity.json"
LEDGERS = {"reference": 24_576, "independent": 49_152, "balanced": 12_800, "foldover": 12_800}
QUICK_LEDGERS = {"reference": 2048, "independent": 2560, "balanced": 1280, "foldover": 1280}
SIZES = (128, 256, 384, 640)
CHUNK = 128  # retrainings whose episodes are run together
LAYER_SIZES, N_EPOCHS, BATCH_SIZE, LEARNING_RATE = (4, 32, 32, 2), 10, 32, 1e-3
PAPER = "paper: plain sum, independent"
DEFAULTS = "defaults: difference, fold-over, shared seeds"
RECIPES: dict[str, tuple[str, EstimatorName]] = {  # ledger and estimator of each row
    PAPER: ("independent", "rise"),
    "rise_normalized, independent": ("independent", "rise_normalized"),
    "difference, independent": ("independent", "difference"),
    "ridge, independent": ("independent", "ridge"),
    "ridge, balanced, shared seeds": ("balanced", "ridge"),
    DEFAULTS: ("foldover", "difference"),
}


class Clone(NamedTuple):
    """A policy: all weights and biases as one vector."""

    weights: Weights

    def predict(self, observation: Weights, *, deterministic: bool = True) -> tuple[Any, None]:
        assert deterministic
        return activations(layers_of(self.weights), observation)[-1].argmax(axis=-1), None


def layers_of(flat: Weights) -> Layers:
    """Return views of one vector (or more, (..., n)) as matrices (n_in, n_out) and (1, n_out)."""
    layers, start = [], 0
    for n_in, n_out in itertools.pairwise(LAYER_SIZES):
        middle, stop = start + n_in * n_out, start + (n_in + 1) * n_out
        matrix = flat[..., start:middle].reshape(*flat.shape[:-1], n_in, n_out)
        layers.append((matrix, flat[..., None, middle:stop]))
        start = stop
    return layers


def activations(layers: Layers, inputs: Weights) -> list[Weights]:
    """Return inputs and outputs of every layer."""
    found = [inputs]
    for matrix, biases in layers[:-1]:
        found.append(np.tanh(found[-1] @ matrix + biases))
    return [*found, found[-1] @ layers[-1][0] + layers[-1][1]]


def initial_weights(seed: int) -> Weights:
    """Draw orthogonal weights (gain sqrt 2, last layer 0.01) and zero biases, as one vector."""
    generator = np.random.default_rng(seed)
    flat = np.zeros(sum((a + 1) * b for a, b in itertools.pairwise(LAYER_SIZES)), np.float32)
    for matrix, _ in layers_of(flat):
        left, _, right = np.linalg.svd(generator.standard_normal(matrix.shape), False)
        matrix[:] = left @ right * (0.01 if matrix.shape[1] == LAYER_SIZES[-1] else np.sqrt(2))
    return flat


def backpropagate(layers: Layers, inputs: Weights, targets: Weights, gradient: Layers) -> None:
    """Write the gradient of the mean cross-entropy with one-hot targets, (n, n_actions)."""
    values = activations(layers, inputs)
    exponentials = np.exp(values[-1] - values[-1].max(axis=1, keepdims=True))
    delta = (exponentials / exponentials.sum(axis=1, keepdims=True) - targets) / len(inputs)
    for number in reversed(range(len(layers))):
        np.matmul(values[number].T, delta, out=gradient[number][0])
        delta.sum(axis=0, keepdims=True, out=gradient[number][1])
        if number:
            delta = (delta @ layers[number][0].T) * (1 - values[number] ** 2)


def behavioural_cloning(
    transitions: Transitions, _environment: Environment, seed: int, *, progress: ProgressCallback
) -> Clone:
    """Train with Adam (Kingma and Ba 2015); the seed gives initial weights and batch order."""
    flat = initial_weights(seed)
    gradient, first, second = (np.zeros_like(flat) for _ in range(3))
    layers, gradient_layers = layers_of(flat), layers_of(gradient)
    targets = np.eye(LAYER_SIZES[-1], dtype=np.float32)[transitions.acts]
    update = 0
    for epoch in range(N_EPOCHS):
        for batch in epoch_batches(transitions.frame, seed, epoch, BATCH_SIZE):
            update += 1
            backpropagate(layers, transitions.obs[batch], targets[batch], gradient_layers)
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            rate = np.float32(LEARNING_RATE * np.sqrt(1 - 0.999**update) / (1 - 0.9**update))
            flat -= rate * first / (np.sqrt(second) + np.float32(1e-8))
    progress(1.0)
    return Clone(flat)


def cartpole_step(state: Floats, action: NDArray[np.int64]) -> Floats:
    """Return the next states, (..., 4): gymnasium's equations with its constants."""
    speed, angle, turning = state[..., 1], state[..., 2], state[..., 3]
    cosine, sine = np.cos(angle), np.sin(angle)
    push = (np.where(action == 1, 10.0, -10.0) + 0.05 * turning**2 * sine) / 1.1
    angular = (9.8 * sine - cosine * push) / (0.5 * (4.0 / 3.0 - 0.1 * cosine**2 / 1.1))
    change = [speed, push - 0.05 * angular * cosine / 1.1, turning, angular]
    return state + 0.02 * np.stack(change, axis=-1)


def cartpole_returns(policies: Sequence[Any], seeds: Sequence[int], n_episodes: int) -> Floats:
    """Return the returns of all policies, (n_policies, n_episodes), from their evaluation seeds."""
    own_seeds = np.concatenate([episode_seeds(seed, n_episodes) for seed in seeds])
    starts = [np_random(int(seed))[0].uniform(-0.05, 0.05, size=4) for seed in own_seeds]
    state = np.array(starts).reshape(len(policies), n_episodes, 4)
    weights = np.stack([policy.weights for policy in policies])
    returns, running = np.zeros(state.shape[:2]), np.ones(state.shape[:2], bool)
    number = np.arange(len(policies))
    for _ in range(500):
        action = activations(layers_of(weights), state.astype(np.float32))[-1].argmax(axis=-1)
        state = np.where(running[..., None], cartpole_step(state, action), state)
        returns[number] += running
        running &= (np.abs(state[..., 0]) <= 2.4) & (np.abs(state[..., 2]) <= np.pi * 24 / 360)
        left = running.any(axis=1)
        if not left.any():
            break
        if not left.all():
            state, running = state[left], running[left]
            weights, number = weights[left], number[left]
    return returns


def check_episodes(study: Study) -> None:
    """Assert that batched episodes give what the library's evaluation gives with gymnasium."""
    environment, n = Environment(study.environment), study.evaluation.n_episodes
    frames = DEMONSTRATIONS.transitions(np.ones(DEMONSTRATIONS.n_frames, bool))
    policies = [behavioural_cloning(frames, environment, s, progress=keep_going) for s in range(4)]
    for seed, batched in enumerate(cartpole_returns(policies, range(4), n)):
        own = evaluate(policies[seed], environment, study.evaluation, seed, progress=keep_going)
        assert np.array_equal(batched, own), "batched episodes differ from gymnasium's"


def studies() -> dict[str, Study]:
    """Return the resolved study, with a seed of its own, behind each ledger."""
    base: dict[str, Any] = {
        "environment": "CartPole-v1",
        "algorithm": behavioural_cloning,
        "evaluation": {"n_episodes": 20, "epsilon": 0.0},
    }
    asked = {
        "reference": Study(**base, preset="paper", seed=0),
        "independent": Study(**base, preset="paper", seed=1),
        "balanced": Study(**base, masking={"design": "balanced"}, seed=2),
        "foldover": Study(**base, seed=3),
    }
    return {name: resolve(study, DEMONSTRATIONS).study for name, study in asked.items()}


def retrain(study: Study, indices: range) -> tuple[NDArray[np.uint8], Floats]:
    """Return packed masks and mean returns (n,) of some retrainings."""
    segments = DEMONSTRATIONS.segments(study.masking)
    environment, algorithm = Environment(study.environment), make_algorithm(study.algorithm)
    tasks = design_tasks(study, len(segments), indices)
    masks = [task.mask(len(segments)) for task in tasks]
    policies = []
    for mask, task in zip(masks, tasks, strict=True):
        kept = DEMONSTRATIONS.transitions(segments.frames(mask))
        policies.append(algorithm.train(kept, environment, task.training_seed, progress=keep_going))
    evaluation_seeds = [task.evaluation_seed for task in tasks]
    returns = cartpole_returns(policies, evaluation_seeds, study.evaluation.n_episodes)
    return np.packbits(masks, axis=1), returns.mean(axis=1)


def ledger(pool: ProcessPoolExecutor, study: Study, n: int) -> MaskedReturns:
    """Retrain on the first n masks of a study."""
    chunks = [range(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
    masks, parts = zip(*pool.map(retrain, [study] * len(chunks), chunks), strict=True)
    returns, block_size = np.concatenate(parts), study.masking.block_size or 1
    print(f"{study.masking.design}: {n} retrainings, return {returns.mean():.1f}", flush=True)
    block = np.arange(n) // block_size if block_size > 1 else np.zeros(n, np.int64)
    n_frames = DEMONSTRATIONS.segments(study.masking).n_frames
    return MaskedReturns(np.concatenate(masks), returns, block, n_frames)


def spearman(one: Floats, other: Floats) -> float:
    return float(spearmanr(one, other).statistic)


def fit(sample: MaskedReturns, estimator: EstimatorName, start: int, n: int) -> Floats:
    """Return the map of n retrainings (whole blocks) of a ledger."""
    masks, returns, block = sample.packed_masks, sample.returns, sample.block
    rows = slice(start, start + n)
    few = MaskedReturns(masks[rows], returns[rows], block[rows], sample.n_frames)
    return estimate(estimator, few).importance


def compare(samples: Samples, recipe: str, reference: Floats, n: int, every: int) -> Summary:
    """Return the correlations with the reference of maps of n of `every` so many retrainings."""
    name, estimator = RECIPES[recipe]
    starts = range(0, len(samples[name]) - every + 1, every)
    values = [spearman(fit(samples[name], estimator, at, n), reference) for at in starts]
    low, middle, high = np.quantile(values, [0, 0.5, 1]).round(4).tolist()
    return {"median": middle, "min": low, "max": high, "replications": len(values)}


def compare_all(samples: Samples, reference: Floats) -> dict[str, dict[int, Summary]]:
    """Return recipe -> retrainings -> summary, and print it; replications share no retraining."""
    whole, table = len(samples["independent"]), {}
    print(f"\n| recipe | {' | '.join(map(str, (*SIZES, whole)))} |\n|{'---|' * (len(SIZES) + 2)}")
    for recipe, (name, _) in RECIPES.items():
        row = {n: compare(samples, recipe, reference, n, max(SIZES)) for n in SIZES}
        if name == "independent":
            row[whole] = compare(samples, recipe, reference, whole, whole)
        cells = [f"{row[n]['median']:.3f}" if n in row else "-" for n in (*SIZES, whole)]
        print(f"| {recipe} | {' | '.join(cells)} |")
        table[recipe] = row
    return table


def ratio(samples: Samples, reference: Floats, target: float) -> dict[str, Any]:
    """Return how many times 384 retrainings the paper's sum needs for the correlation `target`.

    Medians over disjoint parts of the ledger, of sizes that grow by sqrt(2); log-linear between.
    """
    whole = len(samples["independent"])
    sizes = [n for k in range(40) if (n := int(128 * 2 ** (k / 2))) < whole] + [whole]
    curve = {n: compare(samples, PAPER, reference, n, n) for n in sizes}
    result: dict[str, Any] = {"ratio": None, "ratio_target": target, "ratio_curve": curve}
    for before, after in itertools.pairwise(sizes):
        low, high = curve[before]["median"], curve[after]["median"]
        if low < target <= high:
            needed = before * (after / before) ** ((target - low) / (high - low))
            return {**result, "ratio": round(needed / 384, 1)}
    bound = round(whole / 384, 1)
    return {**result, "ratio_lower_bound": bound, "ratio_note": f"more than {bound}"}


def split_half_reliability(sample: MaskedReturns) -> float:
    """Return the reliability of a ridge map (Spearman 1910, Brown 1910) from its two halves."""
    half = len(sample) // 2
    r = spearman(fit(sample, "ridge", 0, half), fit(sample, "ridge", half, half))
    return 2 * r / (1 + r)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run; nothing is written")
    parser.add_argument("--workers", type=int, default=2)
    options, started, asked = parser.parse_args(), time.perf_counter(), studies()
    sizes = QUICK_LEDGERS if options.quick else LEDGERS
    check_episodes(asked["foldover"])
    with ProcessPoolExecutor(options.workers) as pool:
        samples = {name: ledger(pool, asked[name], n) for name, n in sizes.items()}
    reference = estimate("ridge", samples["reference"]).importance
    reliability = split_half_reliability(samples["reference"])
    table = compare_all(samples, reference)
    found = ratio(samples, reference, table[DEFAULTS][384]["median"])
    result = {
        "settings": {
            "defaults": asked["foldover"].model_dump(mode="json"),
            "paper": asked["independent"].model_dump(mode="json"),
            "layers, epochs, batch, rate": [LAYER_SIZES, N_EPOCHS, BATCH_SIZE, LEARNING_RATE],
            "retrainings": sizes,
            "study_seeds": {name: study.seed for name, study in asked.items()},
            "workers": options.workers,
        },
        "versions": versions(),
        "reference_reliability": round(reliability, 4),
        "spearman": table,
        **found,
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(f"\nreliability of the reference {reliability:.3f}; {result['seconds']} s")
    print(f"the paper's sum needs {found['ratio'] or found['ratio_note']} times 384 retrainings")
    if not options.quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
