"""By all defaults: how long is trained, what curation says, and do longer curves bear it out?

    python benchmarks/longer_training.py [--cases cartpole-5 hopper ...]

    python benchmarks/longer_training.py --page

For each case the training check, a map, a curation, and then the return of all frames and of the
curated ones from a quarter of the chosen amount to 64 times it, with training seeds that nothing
else has seen. Writes `results/longer_training.json`, case by case. `--page` writes the picture
`docs/images/longer_training.png` and the tables of `docs/training.md` from it.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from real_answers import cut

import r2rise
from r2rise import Curation, Demonstrations, ImportanceMap, Study
from r2rise.algorithms import amount_of
from r2rise.design.tasks import path_tasks
from r2rise.run.runner import Runner

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "longer_training.json"
PAGE = HERE.parent / "docs" / "training.md"
OTHER_SEED = 1000
NAMES = {
    "cartpole-5": "CartPole 5-9 (`examples/cartpole.npz`)",
    "cartpole-0": "CartPole 0-4 (`examples/cartpole-0-4.npz`)",
    "cartpole-10": "CartPole 10-14",
    "reaching": "reaching (`examples/reaching.py`)",
    "pendulum": "Pendulum, 5 x 200",
    "hopper": "Hopper, 2 x 300",
    "lunarlander": "LunarLander, 5",
}


class Case(NamedTuple):
    """Demonstrations, their environment, and how many seeds the curves have."""

    demonstrations: Demonstrations
    environment: str
    n_seeds: int


def whole(name: str) -> Demonstrations:
    return Demonstrations.load(HERE / "data" / f"{name}.npz")


CASES = {
    "cartpole-0": lambda: Case(cut("cartpole", range(5), 100), "CartPole-v1", 16),
    "cartpole-5": lambda: Case(cut("cartpole", range(5, 10), 100), "CartPole-v1", 16),
    "cartpole-10": lambda: Case(cut("cartpole", range(10, 15), 100), "CartPole-v1", 16),
    "pendulum": lambda: Case(cut("pendulum", range(5), 200), "Pendulum-v1", 8),
    "reaching": lambda: Case(reaching(), "reaching:Reaching-v0", 16),
    "hopper": lambda: Case(cut("hopper", range(2), 300), "Hopper-v4", 8),
    "lunarlander": lambda: Case(whole("lunarlander"), "r2rise/LunarLander-v0", 8),
}


def reaching() -> Demonstrations:
    """Return eight demonstrations of a reaching task, one of them of bad quality."""
    sys.path.append(str(HERE.parent / "examples"))
    import reaching as example

    found: Demonstrations = example.demonstrations()
    return found


def measured(case: Case) -> dict[str, Any]:
    """Return the figures of one case."""
    demonstrations, study = case.demonstrations, Study(environment=case.environment)
    started = time.process_time()
    importance = r2rise.explain(demonstrations, study)
    explained = time.process_time()
    curation = r2rise.curate(demonstrations, importance)
    curated = time.process_time()
    curve, confirmed = importance.study.training.curve, curation.confirmation
    assert curve is not None
    return {
        "unit": curve.unit,
        "amounts": curve.amounts,
        "mean_return": [round(mean, 1) for mean in curve.mean_return],
        "chosen": curve.chosen,
        "finding": curve.finding,
        "warnings": [notice.code for notice in importance.warnings],
        "reliability": importance.quality.reliability,
        "outcome": curation.outcome,
        "n_dropped": len(curation.edits),
        "edits": [(e.demonstration, e.start, e.stop) for e in curation.edits],
        "gain": None if confirmed is None else str(confirmed.gain),
        "in_words": curation.in_words(),
        "explain_seconds": round(explained - started, 1),
        "curate_seconds": round(curated - explained, 1),
        "curves": curves(case, importance, curation),
    }


def curves(case: Case, importance: ImportanceMap, curation: Curation) -> dict[str, Any]:
    """Return both arms' mean returns with seeds that neither map nor curation saw."""
    chosen = amount_of(importance.study.algorithm)
    assert chosen is not None
    amounts = [max(1, chosen // 4) * 2**k for k in range(9)]
    edits = {(e.demonstration, e.start, e.stop) for e in curation.edits}
    kept = np.array([tuple(importance.segment(i)) not in edits for i in range(len(importance))])
    arms = [np.ones(len(importance), dtype=bool), *([kept] if edits else [])]
    study = importance.study.model_copy(update={"seed": OTHER_SEED})
    with Runner(study, case.demonstrations) as runner:
        tasks = path_tasks("confirm", study, [arms] * case.n_seeds, amounts)
        records = runner.run(tasks)
    means = np.array([r.returns.mean() if r.status == "ok" else np.nan for r in records])
    table = means.reshape(case.n_seeds, len(arms), len(amounts))
    found = {"amounts": amounts, "n_seeds": case.n_seeds}
    for number, name in enumerate(("all_frames", "curated")[: len(arms)]):
        own = table[:, number]
        error = own.std(axis=0, ddof=1) / np.sqrt(len(own))
        found[name] = {
            "mean": own.mean(axis=0).round(1).tolist(),
            "std_error": error.round(1).tolist(),
        }
    return found


def page(text: str) -> str:
    """Return the page with the tables of the results in it."""
    known = json.loads(RESULTS.read_text())
    for mark, table in (("outcomes", outcomes(known)), ("curves", curve_rows(known))):
        start, stop = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(stop)
        text = f"{before}{start}{table}{stop}{after}"
    return text


def outcomes(known: dict[str, Any]) -> str:
    rows = [
        "| demonstrations | chosen updates | finding | outcome of `curate` | left out | "
        "`explain`, `curate` on one core |",
        "|---|---|---|---|---|---|",
    ]
    for name, own in known.items():
        rows.append(
            f"| {NAMES[name]} | {own['chosen']} | `{own['finding']}` | `{own['outcome']}` | "
            f"{own['n_dropped']} | {own['explain_seconds']:.0f} s, {own['curate_seconds']:.0f} s |"
        )
    return "\n".join(rows) + "\n"


def curve_rows(known: dict[str, Any]) -> str:
    shares = [f"x {2.0**k:g}" for k in range(-2, 7)]
    rows = [f"| | {' | '.join(shares)} |", f"|---|{'---|' * len(shares)}"]
    for name, own in known.items():
        for arm in ("all_frames", "curated"):
            means = own["curves"][arm]["mean"]
            cells = " | ".join(f"{mean:.4g}" for mean in means)
            rows.append(f"| {NAMES[name]}, {arm.replace('_', ' ')} | {cells} |")
    return "\n".join(rows) + "\n"


def draw(path: Path) -> None:
    """Draw the curves of the two CartPole sets side by side."""
    import matplotlib.pyplot as plt

    known = json.loads(RESULTS.read_text())
    figure, both = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axes, name in zip(both, ("cartpole-5", "cartpole-0"), strict=True):
        own = known[name]["curves"]
        for arm, colour, marker in (("all_frames", "0.35", "s"), ("curated", "#0072b2", "D")):
            means, errors = (np.array(own[arm][key]) for key in ("mean", "std_error"))
            axes.errorbar(
                own["amounts"], means, yerr=2 * errors, color=colour, marker=marker, capsize=3,
                label=arm.replace("_", " "),
            )  # fmt: skip
        axes.axvline(known[name]["chosen"], color="0.6", linestyle="--", label="chosen")
        axes.set_xscale("log", base=2)
        axes.set_xticks(own["amounts"], [str(a) for a in own["amounts"]], rotation=45)
        title = f"{NAMES[name].partition(' (')[0]}: {known[name]['outcome'].replace('_', ' ')}"
        axes.set(xlabel="updates", title=title)
    both[0].set_ylabel("mean return")
    both[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    if asked.page:
        text = PAGE.read_text()
        PAGE.write_text(page(text))
        draw(PAGE.parent / "images" / "longer_training.png")
        return
    for name in asked.cases:
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known[name] = measured(CASES[name]())
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        print(name, json.dumps(known[name], indent=1), flush=True)


if __name__ == "__main__":
    main()
