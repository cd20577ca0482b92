"""R2RISE and other libraries' data values: the same learner, the same numbers of retrainings.

    python benchmarks/peers.py [--python shapiq=/usr/bin/python3.12 ...] [--only ROW ...]

Makes an environment for each peer in `.venv-peers/` (Python 3.11 for OpenDataVal, 3.12 for the
newest shapiq), goes on where it was interrupted, and writes `results/peers.json` and
`docs/peers.md`. The peers run in processes of their own and ask for the worth of coalitions of
segments; it is always this library that retrains. About an hour of one core.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import blocks
import numpy as np
from numpy.typing import NDArray
from peers_environments import INSTALLS, Peer, Values, python_of
from peers_game import BANK, FreeGame, Game, Masks
from peers_measures import from_independent_masks, measures
from peers_page import write_page

import r2rise
from r2rise import Study
from r2rise.design.masks import foldover_block_size
from r2rise.design.seeds import retraining_seeds
from r2rise.design.tasks import design_tasks
from r2rise.results.result import versions
from r2rise.statistics.estimators import MaskedReturns, estimate
from r2rise.study.choices import EstimatorName

Floats = NDArray[np.float64]
Peers = dict[str, Peer]

RESULTS = Path(__file__).parent / "results" / "peers.json"
BUDGETS = (128, 384, 768)
REPETITIONS = range(1, 6)
"""Seeds of the studies and of the peers; the reference has seed 0."""
OWN_INDEX_BUDGET, OWN_INDEX_SEED = 4096, 100
CURATION_SEEDS, CURATION_AMOUNTS = 32, (1600, 3200)


class Row(NamedTuple):
    """A method as it is compared.

    Attributes:
        library: Whose it is.
        method: Its name there; of R2RISE the estimator.
        shared_seeds: Whether calls share a training and an evaluation seed, as many as the masks
            of a fold-over block do; otherwise each has its own.
        own_index: Whether what it estimates is not the importance among random halves.
    """

    library: str
    method: str
    shared_seeds: bool = True
    own_index: bool = False


ROWS = {
    "r2rise": Row("r2rise", "difference"),
    "shapiq": Row("shapiq", "RegressionFBII"),
    "pydvl": Row("pydvl", "MSR-Banzhaf"),
    "opendataval-ame": Row("opendataval", "AME", own_index=True),
    "paper": Row("r2rise", "rise", shared_seeds=False),
    "shapiq-own": Row("shapiq", "RegressionFBII", shared_seeds=False),
    "shapiq-kernelshap": Row("shapiq", "KernelSHAP", own_index=True),
    "shapiq-paired": Row("shapiq", "RegressionFBII, paired"),
    "shapiq-paired-own": Row("shapiq", "RegressionFBII, paired", shared_seeds=False),
    "opendataval-banzhaf": Row("opendataval", "Data Banzhaf"),
    "pydvl-own": Row("pydvl", "MSR-Banzhaf", shared_seeds=False),
}


def native(game: Game, row: Row, budget: int, seed: int) -> Values:
    """Return a map of this library: its design, its seeds and its estimator."""
    masking = game.study.masking
    if row.method == "rise":
        masking = masking.model_copy(update={"design": "bernoulli", "block_size": 1})
    study = game.study.model_copy(update={"masking": masking, "seed": seed})
    tasks = design_tasks(study, game.n, range(budget))
    masks = np.array([task.mask(game.n) for task in tasks])
    returns = game.worth(masks, [task.seeds for task in tasks])[:, 0]
    started = time.process_time()
    name: EstimatorName = "rise" if row.method == "rise" else "difference"
    block = np.arange(budget) // foldover_block_size(game.n) * row.shared_seeds
    sample = MaskedReturns(np.packbits(masks, axis=1), returns, block, game.segments.n_frames)
    values = estimate(name, sample).importance
    return Values(values, time.process_time() - started, budget)


def values_of(game: Game, peer: Peer | None, row: Row, budget: int, seed: int) -> Values:
    """Return a peer's values, or those of this library without a peer."""
    if peer is None:
        return native(game, row, budget, seed)
    numbers = iter(range(10 * budget))
    size = foldover_block_size(game.n) if row.shared_seeds else 1

    def worth(coalitions: Masks) -> Floats:
        own = [retraining_seeds(seed, "design", next(numbers) // size) for _ in coalitions]
        return game.worth(coalitions, own)[:, 0]

    return peer.values(row.method, game.n, budget, seed, worth)


def maps(game: Game, peers: Peers, rows: Sequence[str], results: dict[str, Any]) -> None:
    """Make the maps that are missing, storing each."""
    for name, seed, budget in plan(rows):
        own = results.setdefault("maps", {}).setdefault(name, {})
        if f"{seed}-{budget}" not in own:
            found = values_of(game, peers.get(ROWS[name].library), ROWS[name], budget, seed)
            values = [float(f"{value:.6g}") for value in found.values]
            own[f"{seed}-{budget}"] = {"values": values, "calls": found.n_calls}
            store(results)
            print(name, seed, budget, flush=True)


def plan(rows: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return row, seed and budget of each map; large ones of other indices come last."""
    compared = [(name, seed, n) for name in rows for seed in REPETITIONS for n in BUDGETS]
    others = [name for name in rows if ROWS[name].own_index and ROWS[name].shared_seeds]
    return [*compared, *((name, OWN_INDEX_SEED, OWN_INDEX_BUDGET) for name in others)]


def reference(game: Game) -> dict[str, Any]:
    """Return importance among random halves, from the bank, and which segments clearly hurt."""
    if not (blocks.DATA / f"blocks_{BANK}.npz").exists():
        np.savez_compressed(blocks.DATA / f"blocks_{BANK}.npz", **blocks.make(game.case))  # type: ignore[arg-type]
    bank = blocks.load(BANK)
    found = estimate("difference", bank.sample(np.arange(len(bank.masks))))
    whole = np.ones((CURATION_SEEDS, game.n), dtype=bool)
    seeds = [retraining_seeds(0, "baseline", number) for number in range(CURATION_SEEDS)]
    gain = float(game.worth(whole, seeds).mean()) - game.random_policy
    margin = game.study.verdicts.margin * gain
    hurts = (found.importance + 2 * found.std_error < 0) & (found.importance < -margin)
    return {
        "importance": found.importance.round(4).tolist(),
        "std_error": round(float(found.std_error.mean()), 4),
        "margin": round(margin, 3),
        "hurts": np.flatnonzero(hurts).tolist(),
        "retrainings": bank.returns.size,
        "random_policy": game.random_policy,
    }


def number_dropped(game: Game) -> dict[str, Any]:
    """Return how many segments `curate` leaves out, from the largest map of the first study."""
    budget = {"retrainings": BUDGETS[-1]}
    asked = game.case.study.model_dump(exclude_unset=True) | {"budget": budget}
    asked["seed"] = REPETITIONS[0]
    importance = r2rise.explain(game.case.demonstrations, Study.parse(asked))
    again = native(game, ROWS["r2rise"], BUDGETS[-1], REPETITIONS[0]).values
    assert np.allclose(again, importance.importance), "the map is what `explain` gives"
    found = r2rise.curate(game.case.demonstrations, importance)
    return {"dropped": len(found.edits), "outcome": found.outcome}


def curation(game: Game, results: dict[str, Any]) -> dict[str, Any]:
    """Return the returns of policies trained without the k segments lowest on each map.

    What is in the results already is taken from there.
    """
    k = results["curate"]["dropped"] or len(results["reference"]["hurts"])
    lowest = np.argsort(results["reference"]["importance"], kind="stable")[:k].tolist()
    arms: dict[str, list[int]] = {"all frames": [], "reference": lowest}
    for name, own in results["maps"].items():
        for key, found in own.items():
            arms[f"{name} {key}"] = np.argsort(found["values"], kind="stable")[:k].tolist()
    known = results.get("curation", {}).get("dropped", {})
    missing = [arm for arm, dropped in arms.items() if known.get(arm) != dropped]
    masks = np.ones((len(missing), game.n), dtype=bool)
    for mask, arm in zip(masks, missing, strict=True):
        mask[arms[arm]] = False
    returns = np.zeros((CURATION_SEEDS, len(missing), len(CURATION_AMOUNTS)))
    for number in range(CURATION_SEEDS if missing else 0):
        seeds = [retraining_seeds(0, "confirm", number)] * len(missing)
        returns[number] = game.worth(masks, seeds, CURATION_AMOUNTS)
    means = returns.mean(axis=0).round(2).tolist()
    errors = (returns.std(axis=0, ddof=1) / CURATION_SEEDS**0.5).round(2).tolist()
    before = results.get("curation", {})
    return {
        "k": k,
        "seeds": CURATION_SEEDS,
        "dropped": arms,
        "returns": before.get("returns", {}) | dict(zip(missing, means, strict=True)),
        "std_error": before.get("std_error", {}) | dict(zip(missing, errors, strict=True)),
    }


def setting(game: Game) -> dict[str, Any]:
    """Return what is trained, and whether the training check chooses the same."""
    check = r2rise.check_training(game.case.demonstrations, Study(environment="CartPole-v1"))
    return {
        "n_updates": game.study.algorithm.settings["n_updates"],
        "training_check": check.curve.chosen,
        "segments": game.n,
        "seeds": list(REPETITIONS),
        "budgets": BUDGETS,
        "amounts": CURATION_AMOUNTS,
        "own_index_seed": OWN_INDEX_SEED,
        "own_index_budget": OWN_INDEX_BUDGET,
    }


def seconds(game: Game, peers: Peers, results: dict[str, Any]) -> dict[str, Any]:
    """Return the CPU seconds of methods, on a game that costs nothing, and of a retraining."""
    free = FreeGame(np.array(results["reference"]["importance"]))
    methods = {}
    for name, row in ROWS.items():
        peer = peers.get(row.library)
        runs = [values_of(free, peer, row, BUDGETS[-1], seed).seconds for seed in REPETITIONS]
        methods[name] = [round(float(one), 4) for one in (np.median(runs), min(runs), max(runs))]
    masks = np.random.default_rng(0).random((128, game.n)) < 0.5
    retraining = {}
    for kind, size in (("shared", 128), ("own", 1)):
        seeds = [retraining_seeds(0, "pilot", number // size) for number in range(128)]
        started = time.process_time()
        game.worth(masks, seeds)
        retraining[kind] = round((time.process_time() - started) / 128, 5)
    return {"methods": methods, "retraining": retraining}


def store(results: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(results) + "\n")


def answers(game: Game, peers: Peers, again: Sequence[str], results: dict[str, Any]) -> None:
    """Answer what is missing, or asked for again."""
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "reference": lambda: reference(game),
        "setting": lambda: setting(game),
        "curate": lambda: number_dropped(game),
        "seconds": lambda: seconds(game, peers, results),
    }
    for name, step in steps.items():
        if name in again or name not in results:
            results[name] = step()
            store(results)
            print(name, flush=True)
    results["curation"] = curation(game, results)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="*", default=[], metavar="LIBRARY=PATH")
    parser.add_argument("--only", nargs="*", default=list(ROWS), choices=ROWS, metavar="ROW")
    parser.add_argument("--again", nargs="*", default=[], metavar="STEP", help="Answer anew.")
    asked = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    game = Game()
    with ExitStack() as stack:
        peers = {
            library: stack.enter_context(closing(Peer(library, python_of(library, asked.python))))
            for library in INSTALLS
        }
        results["versions"] = {name: peer.versions for name, peer in peers.items()}
        results["versions"]["r2rise"] = versions()
        maps(game, peers, asked.only, results)
        answers(game, peers, asked.again, results)
    results["independent_masks"] = round(from_independent_masks(results), 4)
    results["rows"] = {name: measures(results, name) for name in results["maps"]}
    store(results)
    write_page(results)


if __name__ == "__main__":
    main()
