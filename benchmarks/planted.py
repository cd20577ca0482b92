"""Do maps find the planted segments? Every algorithm, against the number of retrainings.

    python benchmarks/planted.py [--only NAME ...] [--workers 2] [--quick]

Maps of the planted environments as `r2rise.explain` makes them, all settings that are not named
below being the defaults, compared with what was planted (`r2rise_envs.planted.truth`):

* AUROC of the size of the importance: decisive and harmful segments against the rest;
* AUROC of the negative importance: harmful segments against the rest;
* top-k recall: share of the k decisive and harmful segments among the k largest importances.

Every study seed has masks, training seeds and episodes of its own. A smaller number of retrainings
is the beginning of the same study; below one block of the fold-over design the defaults take
balanced masks and ridge regression. Rows are measured one by one and stored at once; `--only`
measures some and keeps the others. The tables of docs/planted.md are written anew.
"""

import argparse
import json
import re
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import r2rise
from r2rise.algorithms import make_algorithm
from r2rise.design.seeds import seeded_globals
from r2rise.environments import Environment
from r2rise.evaluation import evaluate
from r2rise.results.result import versions
from r2rise.run.resolve import resolve
from r2rise.run.retraining import keep_going
from r2rise_envs.planted import IDS, Kind, Truth, planted, truth

RESULT = Path(__file__).parent / "results" / "planted.json"
PAGE = Path(__file__).parents[1] / "docs" / "planted.md"
CORRIDOR, ROUNDS, REACH = IDS
BUDGETS = (32, 64, 128, 256, 384)
KINDS: tuple[Kind, ...] = ("decisive", "redundant", "useless", "harmful")


@dataclass(frozen=True)
class Row:
    """An algorithm on an environment: how many studies, and how large the largest."""

    environment: str
    algorithm: str
    settings: dict[str, Any] = field(default_factory=dict)
    n_seeds: int = 5
    budgets: tuple[int, ...] = BUDGETS

    @property
    def name(self) -> str:
        """What the row is called in the table."""
        return (
            f"{short(self.environment)}, {LABELS.get(self.algorithm, self.algorithm)}{self.changed}"
        )

    @property
    def changed(self) -> str:
        """The setting that is not the default, where it is but one."""
        return "".join(f", {name} {value}" for name, value in [*self.settings.items()][:1])

    def study(self, seed: int, retrainings: int) -> r2rise.Study:
        """Return one of the studies."""
        return r2rise.Study(
            environment=self.environment,
            algorithm={"name": self.algorithm, "settings": self.settings},
            seed=seed,
            budget={"retrainings": retrainings, "baseline_retrainings": 0},
        )


TABLE = "r2rise_envs.planted:Table"
LABELS = {TABLE: "the tabular learner"}
SHORT, USUAL, LONG = {"n_epochs": 10}, {"n_epochs": 30}, {"n_epochs": 100}
SHORT_SQIL = {"total_steps": 1000, "learning_rate": 1e-3, "batch_size": 64}
FAST_PPO = {
    "total_steps": 8192, "n_steps": 32, "learning_rate": 3e-3, "disc_learning_rate": 5e-3,
    "demo_batch_size": 128, "n_disc_updates": 8, "batch_size": 128, "n_epochs": 5,
    "ent_coef": 0.01, "gamma": 0.9,
}  # fmt: skip
ROWS = (
    Row(ROUNDS, "bc", SHORT),
    *[Row(name, "bc", LONG) for name in (ROUNDS, CORRIDOR, REACH)],
    *[Row(name, "bco", USUAL, n_seeds=3) for name in (ROUNDS, REACH)],
    Row(ROUNDS, "imitation-bc", SHORT, n_seeds=2),
    Row(ROUNDS, "sqil", SHORT_SQIL, n_seeds=1, budgets=(32, 64)),
    Row(ROUNDS, "gail", FAST_PPO, n_seeds=1, budgets=(64,)),
    Row(ROUNDS, "airl", FAST_PPO, n_seeds=1, budgets=(64,)),
    *[Row(name, TABLE, n_seeds=3) for name in (ROUNDS, CORRIDOR, REACH)],
)


def short(environment_id: str) -> str:
    """Return what an environment is called in the tables."""
    return environment_id.removeprefix("r2rise/Planted").removesuffix("-v0")


def scores(importance: NDArray[np.float64], known: Truth) -> dict[str, float]:
    """Return how well an importance map finds what was planted."""
    strong, harmful = known.are("decisive", "harmful"), known.are("harmful")
    largest = np.argsort(-np.abs(importance), kind="stable")[: strong.sum()]
    return {
        "auroc": float(roc_auc_score(strong, np.abs(importance))),
        "auroc_harmful": float(roc_auc_score(harmful, -importance)),
        "recall": float(strong[largest].mean()),
    }


def measure(row: Row, workers: int) -> dict[str, Any]:
    """Make all maps of a row, and score them."""
    known, demonstrations = truth(row.environment), planted(row.environment).demonstrations
    found: dict[int, list[dict[str, float]]] = {budget: [] for budget in row.budgets}
    kinds: dict[str, list[float]] = {segment.kind: [] for segment in known.segments}
    started = time.perf_counter()
    for seed in range(row.n_seeds):
        with tempfile.TemporaryDirectory() as folder:
            for budget in row.budgets:
                study = row.study(seed, budget)
                design = resolve(study, demonstrations).study.masking.design
                out = Path(folder) / design  # a smaller fold-over study is extended
                result = r2rise.explain(demonstrations, study, out=out, workers=workers)
                found[budget].append(scores(result.importance, known))
                print(f"  seed {seed}, {budget}: {found[budget][-1]}", flush=True)
        for kind, values in kinds.items():
            values.append(float(result.importance[known.are(kind)].mean()))  # type: ignore[arg-type]
    return {
        "environment": row.environment,
        "algorithm": row.algorithm,
        "settings": row.settings,
        "study_seeds": row.n_seeds,
        "return_without_harmful": without_harmful(row),
        "seconds": round(time.perf_counter() - started, 1),
        "importance_by_kind": {kind: round(float(np.mean(v)), 3) for kind, v in kinds.items()},
        "scores": {budget: summary(many) for budget, many in found.items()},
    }


def summary(many: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean, lowest and highest of each score over the study seeds."""
    columns = {name: [one[name] for one in many] for name in many[0]}
    return {
        name: {
            "mean": round(float(np.mean(values)), 4),
            "min": round(min(values), 4),
            "max": round(max(values), 4),
        }
        for name, values in columns.items()
    }


def without_harmful(row: Row) -> dict[str, float]:
    """Return what the algorithm reaches without the harmful segments: can it learn the task?"""
    demonstrations = planted(row.environment).demonstrations
    study = resolve(row.study(0, 384), demonstrations).study
    environment, algorithm = Environment(study.environment), make_algorithm(study.algorithm)
    harmless = demonstrations.segments().frames(~truth(row.environment).are("harmful"))
    transitions, returns, started = demonstrations.transitions(harmless), [], time.perf_counter()
    for seed in range(3):
        with seeded_globals(seed, 1):
            policy = algorithm.train(transitions, environment, seed, progress=keep_going)
            own = evaluate(policy, environment, study.evaluation, seed, progress=keep_going)
        returns.append(own.mean())
    seconds = (time.perf_counter() - started) / 3
    return {"mean": round(float(np.mean(returns)), 2), "seconds": round(seconds, 3)}


def planted_table() -> str:
    """Return what is planted and what it is worth as a table in markdown."""
    lines = [
        "| environment | segments | importance of each | each left out alone | all of them |",
        "|---|---|---|---|---|",
    ]
    for name in IDS:
        known = truth(name)
        joint = {number: one.joint for one in known.lessons for number in one.segments}
        groups: dict[tuple[str, float, float, float], int] = {}
        for number, one in enumerate(known.segments):
            worth = (one.importance, one.leave_one_out, joint.get(number, one.importance))
            groups[one.kind, *worth] = groups.get((one.kind, *worth), 0) + 1
        for (kind, *worth), count in sorted(groups.items(), key=lambda item: -item[0][1]):
            cells = " | ".join(f"{value:+.2f}" if value else "0" for value in worth)
            lines.append(f"| {short(name)} | {count} {kind} | {cells} |")
    return "\n".join(lines)


def kinds_table(rows: list[dict[str, Any]]) -> str:
    """Return the mean importance of each kind in the largest maps as a table in markdown."""
    lines = ["| environment, algorithm | " + " | ".join(KINDS) + " |", "|---|---|---|---|---|"]
    for name in IDS:
        known = truth(name)
        means = [known.importance[known.are(kind)].mean() for kind in KINDS]
        lines.append(f"| {short(name)}, **truth** | {' | '.join(f'{m:+.2f}' for m in means)} |")
        for stored in rows:
            row = row_of(stored)
            if row.environment == name:
                means = [stored["importance_by_kind"][kind] for kind in KINDS]
                cells = " | ".join(f"{round(mean, 2) + 0.0:+.2f}" for mean in means)
                lines.append(f"| {row.name} | {cells} |")
    return "\n".join(lines)


def found_table(rows: list[dict[str, Any]]) -> str:
    """Return what maps find, against retrainings, as a table in markdown."""
    head = "| environment, algorithm | return | " + " | ".join(map(str, BUDGETS)) + " |"
    lines = [head, "|---" * (len(BUDGETS) + 2) + "|"]
    for stored in rows:
        row = row_of(stored)
        cells = [cell(stored["scores"].get(str(budget))) for budget in BUDGETS]
        learns = f"{stored['return_without_harmful']['mean']:.1f}"
        lines.append(f"| {row.name} | {learns} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(found: dict[str, dict[str, float]] | None) -> str:
    """Return AUROC with the lowest of the studies, AUROC of harmful ones, and recall."""
    if found is None:
        return "-"
    auroc, harmful, recall = (found[name] for name in ("auroc", "auroc_harmful", "recall"))
    lowest = f" ({auroc['min']:.2f})"
    return f"{auroc['mean']:.2f}{lowest}, {harmful['mean']:.2f}, {recall['mean']:.2f}"


def stored_rows() -> list[dict[str, Any]]:
    """Return the results of all rows that were measured."""
    rows: list[dict[str, Any]] = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    return rows


def row_of(stored: dict[str, Any]) -> Row:
    """Return the row that a result is of."""
    return Row(stored["environment"], stored["algorithm"], stored["settings"])


def page(text: str) -> str:
    """Return the page with its three tables as the stored results give them."""
    rows = stored_rows()
    for table in (planted_table(), kinds_table(rows), found_table(rows)):
        print(table, end="\n\n")
        head = re.escape(table.splitlines()[0])
        text = re.sub(rf"^{head}\n(\|.*\n)+", table + "\n", text, flags=re.MULTILINE)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="rows that contain one of these")
    parser.add_argument("--quick", action="store_true", help="a small run; nothing is written")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 is this one")
    options = parser.parse_args()
    for row in ROWS:
        if options.only and not any(part in row.name for part in options.only):
            continue
        print(row.name, flush=True)
        if options.quick:
            quick = Row(row.environment, row.algorithm, row.settings, 1, row.budgets[:2])
            print(json.dumps(measure(quick, options.workers), indent=1))
            continue
        found = measure(row, options.workers)
        rows = {row_of(stored).name: stored for stored in stored_rows()} | {row.name: found}
        kept = [rows[row.name] for row in ROWS if row.name in rows]
        result = {"versions": versions(), "rows": kept}
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not options.quick:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
