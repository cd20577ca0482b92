"""Error rates of the answers (verdicts, stopping, planner, certificate, curation) by simulation.

    python benchmarks/answers_check.py [--studies 500] [--processes 2]

Every study is a world of known importance (`simulation.py`), answered by the real code. Writes
`results/answers.json` and prints it. About 8 minutes on 2 cores.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from simulation import ALL_FRAMES_RETURN, N_SEGMENTS, SimulatedEngine, World, demonstrations
from simulation import mixed_effects as effects_of

import r2rise
from r2rise import ImportanceMap, Study

RESULTS = Path(__file__).parent / "results" / "answers.json"
MARGIN = 0.02 * ALL_FRAMES_RETURN
DEMONSTRATIONS = demonstrations()
Counts = dict[str, float]


def study(seed: int, **fields: Any) -> Study:
    named = {"name": "bc", "settings": {"n_updates": 100}}  # nothing is trained in these worlds
    return Study(
        environment="CartPole-v1", algorithm=named, seed=seed, **({"budget": 192} | fields)
    )


def explained(world: World, asked: Study) -> ImportanceMap:
    return r2rise.explain(DEMONSTRATIONS, asked, engine=SimulatedEngine(world))


def verdicts(seed: int, until: dict[str, Any] | None = None) -> Counts:
    """Return counts of right and wrong verdicts and of intervals that cover, for one study."""
    effects = effects_of(seed)
    world = World(effects)
    asked = study(seed, until=until, budget={}) if until else study(seed)
    found = explained(world, asked)
    assert found.verdicts is not None
    said = np.array(found.verdicts.verdict)
    margin = found.verdicts.margin or MARGIN
    declared = np.isin(said, ["helps", "hurts"])
    right = np.where(effects > 0, "helps", "hurts")
    again = explained(world, study(seed + 10**6, budget=found.retrainings.done))
    return {
        "declared": declared.sum(),
        "no_effect_declared": (declared & (effects == 0)).sum(),
        "wrong_sign": (declared & (effects != 0) & (said != right)).sum(),
        "negligible": (said == "negligible").sum(),
        "negligible_wrongly": ((said == "negligible") & (np.abs(effects) > margin)).sum(),
        "unresolved": (said == "unresolved").sum(),
        "covered": ((found.verdicts.lower <= effects) & (effects <= found.verdicts.upper)).sum(),
        "segments": N_SEGMENTS,
        "reliability": found.quality.reliability or 0.0,
        "came_back": float(spearmanr(found.importance, again.importance).statistic),
        "retrainings": found.retrainings.done,
        "goal_reached": found.stopped is not None and found.stopped.reason == "goal",
    }


def planned(seed: int) -> Counts:
    """Return what a pilot predicts for one study and what comes of it."""
    world = World(effects_of(seed, size=2.0))
    found = r2rise.plan(DEMONSTRATIONS, study(seed), engine=SimulatedEngine(world))
    predicted = found.study.prediction
    if predicted is None:
        return {"refused": 1}
    exactly = found.study.model_copy(
        update={"until": r2rise.Until(), "budget": r2rise.Budget(retrainings=predicted.retrainings)}
    )
    one = explained(world, exactly)
    other = explained(world, exactly.model_copy(update={"seed": seed + 10**6}))
    came_back = float(spearmanr(one.importance, other.importance).statistic)
    return {
        "refused": 0,
        "predicted": predicted.reliability,
        "found": one.quality.reliability or 0.0,
        "came_back": came_back,
        "inside": predicted.reliability_low
        <= (one.quality.reliability or 0.0)
        <= predicted.reliability_high,
    }


def curated(seed: int) -> Counts:
    """Return the gains that curation states, less the true one, in the unit of returns."""
    effects = effects_of(seed, size=2.0)
    world = World(effects, training_noise=12.0)
    importance = explained(world, study(seed))
    found = r2rise.curate(DEMONSTRATIONS, importance, engine=SimulatedEngine(world))
    if found.confirmation is None:
        return {"confirmed": 0, "tried": 0}
    dropped = np.array([(edit.demonstration * 100 + edit.start) // 10 for edit in found.edits])
    true_gain = -float(effects[dropped].sum())
    chosen = max(found.trials, key=lambda trial: trial.gain.mean)
    stated = found.confirmation.gain
    return {
        "tried": 1,
        "confirmed": found.outcome == "gain",
        "bias_of_choice": chosen.gain.mean - true_gain,
        "bias_of_confirmation": stated.mean - true_gain,
        "covered": (stated.lower or 0.0) <= true_gain <= (stated.upper or 0.0),
        "true_gain": true_gain,
    }


def certified(seed: int, shuffled: bool) -> Counts:
    """Return whether a true or a shuffled map passes, in whole or at one end."""
    world = World(effects_of(seed))
    importance = explained(world, study(seed))
    if shuffled:
        order = np.random.default_rng([seed, 7]).permutation(N_SEGMENTS)
        importance = importance.model_copy(update={"importance": importance.importance[order]})
    found = r2rise.certify(DEMONSTRATIONS, importance, engine=SimulatedEngine(world))
    better = found.area_top_random.is_above_zero and found.area_random_bottom.is_above_zero
    return {
        "passed": found.outcome == "pass",
        "right_at_one_end": found.outcome in ("right_at_bottom", "right_at_top"),
        "failed": found.outcome == "fail",
        "areas": better,
    }


def nothing(seed: int, level: float) -> Counts:
    """Return which answers say that there is nothing to tell apart, all effects being equal."""
    world = World(np.full(N_SEGMENTS, level), seed_effects=0.0)
    importance = explained(world, study(seed))
    certificate = r2rise.certify(DEMONSTRATIONS, importance, engine=SimulatedEngine(world))
    curation = r2rise.curate(DEMONSTRATIONS, importance, engine=SimulatedEngine(world))
    p = importance.quality.equal_importance_p
    return {
        "explain": p is None or p >= 0.05,
        "certify": certificate.outcome != "pass",
        "curate": curation.outcome == "no_gain",
    }


def repeat(
    pool: ProcessPoolExecutor, one: Callable[[int], Counts], n: int
) -> dict[str, NDArray[np.float64]]:
    """Return the counts of n simulated studies, each (n,) or shorter where some lack them."""
    rows = list(pool.map(one, range(n), chunksize=5))
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row[name] for row in rows if name in row], float) for name in names}


def verdict_rates(found: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    declared, negligible = found["declared"].sum(), found["negligible"].sum()
    return {
        "studies": len(found["declared"]),
        "false_discoveries": found["no_effect_declared"].sum() / max(declared, 1),
        "wrong_signs": found["wrong_sign"].sum() / max(declared, 1),
        "negligible_wrongly": found["negligible_wrongly"].sum() / max(negligible, 1),
        "resolved": 1 - found["unresolved"].sum() / found["segments"].sum(),
        "coverage": found["covered"].sum() / found["segments"].sum(),
        "reliability_stated": found["reliability"].mean(),
        "reliability_true": found["came_back"].mean(),
        "retrainings": float(np.median(found["retrainings"])),
        "goal_reached": found["goal_reached"].mean(),
    }


def means(found: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    rates = {name: float(values.mean()) for name, values in found.items()}
    for name in ("bias_of_choice", "bias_of_confirmation"):
        if name in found:
            values = found[name]
            rates[f"{name}_std_error"] = float(values.std(ddof=1) / np.sqrt(len(values)))
    return {"studies": max(len(values) for values in found.values()), **rates}


def check(n: int, n_null: int, processes: int) -> dict[str, dict[str, float]]:
    reliable = partial(verdicts, until={"reliability": 0.9})
    resolved = partial(verdicts, until={"verdicts": True})
    with ProcessPoolExecutor(processes) as pool:
        return {
            "verdicts, 192 retrainings": verdict_rates(repeat(pool, verdicts, n)),
            "stopped at reliability 0.9": verdict_rates(repeat(pool, reliable, n)),
            "stopped when all verdicts are resolved": verdict_rates(repeat(pool, resolved, n)),
            "planner": means(repeat(pool, planned, n)),
            "curation": means(repeat(pool, curated, n)),
            "certificate, true maps": means(repeat(pool, partial(certified, shuffled=False), n)),
            "certificate, shuffled maps": means(repeat(pool, partial(certified, shuffled=True), n)),
            "no segment has an effect": means(repeat(pool, partial(nothing, level=0.0), n_null)),
            "all segments equal and helpful": means(
                repeat(pool, partial(nothing, level=3.0), n_null)
            ),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--null-studies", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    warnings.simplefilter("error")
    found = check(given.studies, given.null_studies, given.processes)
    text = json.dumps(
        {case: {k: round(float(v), 4) for k, v in rates.items()} for case, rates in found.items()},
        indent=2,
    )
    RESULTS.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
