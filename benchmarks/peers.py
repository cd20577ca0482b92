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
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import blocks
import numpy as np
from numpy.typing import NDArray
from peers_environments import Peer, Values, python_of
from peers_measures import measures
from peers_page import write_page

import r2rise
from r2rise import Study
from r2rise.estimators import MaskedReturns, estimate
from r2rise.mapping import versions
from r2rise.masks import foldover_block_size
from r2rise.resolution import resolve
from r2rise.retraining import Retrainer, Shard, keep_going
from r2rise.seeds import Seeds, retraining_seeds
from r2rise.study_parts import EstimatorName
from r2rise.tasks import Task, baseline_tasks, design_tasks, pack_mask

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

RESULTS = Path(__file__).parent / "results" / "peers.json"
BANK = "cartpole-5"
BUDGETS = (128, 384, 768)
REPETITIONS = range(1, 6)
"""Seeds of the studies and of the peers; the reference has seed 0."""
OWN_INDEX_BUDGET, OWN_INDEX_SEED = 8192, 100
CURATION_SEEDS, CURATION_AMOUNTS = 32, (1600, 3200)
MASKS_AT_ONCE = 64


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
    "opendataval-banzhaf": Row("opendataval", "Data Banzhaf"),
    "pydvl-own": Row("pydvl", "MSR-Banzhaf", shared_seeds=False),
    "opendataval-ame-own": Row("opendataval", "AME", shared_seeds=False, own_index=True),
}


class Game:
    """What sets of segments are worth: the mean return of the policy trained on them.

    Attributes:
        seconds: Spent on retraining.
        n_retrained: Retrainings done; what was known already is not done again.
    """

    def __init__(self) -> None:
        self.case = blocks.CASES[BANK]()
        self.study = resolve(self.case.study, self.case.demonstrations).study
        self._retrainer = Retrainer(self.study, self.case.demonstrations)
        self.segments = self._retrainer.segments
        self._known: dict[tuple[bytes, Seeds, int], float] = {}
        self.seconds, self.n_retrained = 0.0, 0
        chance, *_ = self._retrainer.run(
            Shard(tuple(baseline_tasks(self.study, self.n, 0))), keep_going
        )
        self.random_policy = float(chance.returns.mean())

    @property
    def n(self) -> int:
        """Number of segments."""
        return len(self.segments)

    def worth(self, masks: Masks, seeds: Sequence[Seeds], amounts: Sequence[int] = (0,)) -> Floats:
        """Return mean returns, (n_masks, n_amounts); without any frame those of random actions.

        Args:
            masks: (n_masks, n_segments).
            seeds: Of each mask.
            amounts: Of training; 0 is the study's.
        """
        started = time.perf_counter()
        keys = [(pack_mask(mask), own) for mask, own in zip(masks, seeds, strict=True)]
        for mask, own in keys:
            if not any(mask):
                self._known |= {(mask, own, amount): self.random_policy for amount in amounts}
        missing = [key for key in dict.fromkeys(keys) if (*key, amounts[0]) not in self._known]
        for start in range(0, len(missing), MASKS_AT_ONCE):
            tasks = [
                Task("design", 0, mask, *own, amount)
                for mask, own in missing[start : start + MASKS_AT_ONCE]
                for amount in amounts
            ]
            records = self._retrainer.run(Shard(tuple(tasks)), keep_going)
            self.n_retrained += len(records)
            for task, record in zip(tasks, records, strict=True):
                if record.status != "ok":
                    raise SystemExit(f"A retraining failed: {record.reason}")
                key = (task.packed_mask, task.seeds, task.amount)
                self._known[key] = float(record.returns.mean())
        self.seconds += time.perf_counter() - started
        return np.array([[self._known[*key, amount] for amount in amounts] for key in keys])


def native(game: Game, row: Row, budget: int, seed: int) -> Values:
    """Return a map of this library: its design, its seeds and its estimator."""
    name: EstimatorName = "rise" if row.method == "rise" else "difference"
    masking = game.study.masking
    if name == "rise":
        masking = masking.model_copy(update={"design": "bernoulli", "block_size": 1})
    study = game.study.model_copy(update={"masking": masking, "seed": seed})
    tasks = design_tasks(study, game.n, range(budget))
    masks = np.array([task.mask(game.n) for task in tasks])
    returns = game.worth(masks, [task.seeds for task in tasks])[:, 0]
    started = time.perf_counter()
    block = np.arange(budget) // foldover_block_size(game.n) * row.shared_seeds
    sample = MaskedReturns(np.packbits(masks, axis=1), returns, block, game.segments.n_frames)
    values = estimate(name, sample).importance
    return Values(values, time.perf_counter() - started, budget)


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


def measured(game: Game, values: Callable[[Game], Values]) -> dict[str, Any]:
    """Return a map and what it took, JSON-ready."""
    seconds, retrained = game.seconds, game.n_retrained
    found = values(game)
    return {
        "values": [float(f"{value:.6g}") for value in found.values],
        "overhead_seconds": round(found.seconds, 4),
        "retraining_seconds": round(game.seconds - seconds, 2),
        "retrained": game.n_retrained - retrained,
        "calls": found.n_calls,
    }


def maps(game: Game, rows: Sequence[str], pythons: list[str], results: dict[str, Any]) -> None:
    """Make the maps that are missing, storing each."""
    with ExitStack() as stack:
        peers: dict[str, Peer] = {}
        for library in {ROWS[name].library for name in rows} - {"r2rise"}:
            peers[library] = stack.enter_context(Peer(library, python_of(library, pythons)))
            results.setdefault("versions", {})[library] = peers[library].versions
        for name, seed, budget in plan(rows):
            own = results.setdefault("maps", {}).setdefault(name, {})
            if f"{seed}-{budget}" not in own:
                peer = peers.get(ROWS[name].library)
                make = partial(values_of, peer=peer, row=ROWS[name], budget=budget, seed=seed)
                own[f"{seed}-{budget}"] = measured(game, make)
                store(results)
                print(name, seed, budget, f"{game.seconds:.0f} s of retraining", flush=True)


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
        "std_error": round(float(found.std_error[0]), 4),
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
    """Return the returns of policies trained without the k segments lowest on each map."""
    k = results["curate"]["dropped"] or len(results["reference"]["hurts"])
    arms = {"reference": np.array(results["reference"]["importance"])}
    for name, own in results["maps"].items():
        arms |= {f"{name} {key}": np.array(found["values"]) for key, found in own.items()}
    masks = np.ones((1 + len(arms), game.n), dtype=bool)
    for mask, values in zip(masks[1:], arms.values(), strict=True):
        mask[np.argsort(values, kind="stable")[:k]] = False
    returns = np.zeros((CURATION_SEEDS, len(masks), len(CURATION_AMOUNTS)))
    for number in range(CURATION_SEEDS):
        seeds = [retraining_seeds(0, "confirm", number)] * len(masks)
        returns[number] = game.worth(masks, seeds, CURATION_AMOUNTS)
    means = returns.mean(axis=0).round(2).tolist()
    error = (returns[:, 0].std(axis=0, ddof=1) / CURATION_SEEDS**0.5).round(2).tolist()
    return {
        "k": k,
        "seeds": CURATION_SEEDS,
        "all_frames_std_error": error,
        "returns": dict(zip(["all frames", *arms], means, strict=True)),
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


def store(results: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(results) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="*", default=[], metavar="LIBRARY=PATH")
    parser.add_argument("--only", nargs="*", default=list(ROWS), choices=ROWS, metavar="ROW")
    asked = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    game = Game()
    maps(game, asked.only, asked.python, results)
    results["versions"]["r2rise"] = versions()
    for name, make in {
        "reference": lambda: reference(game),
        "setting": lambda: setting(game),
        "curate": lambda: number_dropped(game),
    }.items():
        if name not in results:
            results[name] = make()
            store(results)
    results["curation"] = curation(game, results)
    results["rows"] = {name: measures(results, name) for name in asked.only}
    store(results)
    write_page(results)


if __name__ == "__main__":
    main()
