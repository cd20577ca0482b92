"""Write a golden file and the committed JSON Schema of every saved result.

    python tests/support/make_golden.py

One more result is one more line in RESULTS. Golden files of released schema versions are never
rewritten: raise the version first.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import learning
import toys
import worth
from places import DATA, ROOT

import r2rise
from r2rise import (
    Certificate,
    Comparison,
    Curation,
    ImportanceMap,
    Study,
    TrainingCheck,
    Transfer,
)
from r2rise.ask.plan import plan
from r2rise.results.edits import Edits
from r2rise.results.plan import Plan
from r2rise.results.result import Result

FIXED = {
    "created_at": "2026-01-02T03:04:05Z",
    "versions": {"r2rise": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"},
    "identity": f"sha256:{0:064}",
}
SECONDS = 1.5
DEMONSTRATIONS = toys.demonstrations(n_demos=3, length=25)
WORTH = (5.0, -3.0, 0.2, 2.5, -6.0, 1.0, 0.0, 4.0)
OTHER_WORTH = (4.0, 1.0, -2.0, 3.0, -5.0, 2.0, 0.0, -1.0)

NAMED_BY_USERS = ("settings", "kwargs", "versions")
"""Objects whose fields are no fields of a schema."""


def study(values: tuple[float, ...], budget: int) -> Study:
    """Return a study of ragged segments whose learner and noise are known."""
    return worth.changed(
        worth.study(values, budget=budget, noise=1.0),
        until={"reliability": 0.95}, verdicts={"margin": 0.2}, seed=1,
    )  # fmt: skip


@functools.cache
def golden_map(values: tuple[float, ...] = WORTH) -> ImportanceMap:
    """Return a map with everything in it: a ragged end, a null, warnings, baselines, verdicts."""
    fields = json.loads(r2rise.explain(DEMONSTRATIONS, study(values, 320)).to_json())
    fields["importance"][4] = fields["std_error"][4] = None
    fields["n_kept"][4], fields["n_masked"][4] = 0, fields["revision"]
    for name in ("verdict", "lower", "upper"):
        fields["verdicts"][name][4] = None
    fields["warnings"] = [{"code": "low_power", "detail": "A warning."}]
    return ImportanceMap.from_json(json.dumps(fields))


@functools.cache
def golden_curation() -> Curation:
    """Return a curation with trials, a confirmation and edits."""
    return r2rise.curate(DEMONSTRATIONS, golden_map())


def golden_transfer() -> Transfer:
    """Return the transfer between two learners."""
    maps = {"one": golden_map(), "other": golden_map(OTHER_WORTH)}
    return r2rise.transfer(DEMONSTRATIONS, maps, repetitions=2)


RESULTS: dict[type[Result], Callable[[], Result]] = {
    ImportanceMap: golden_map,
    Certificate: lambda: r2rise.certify(DEMONSTRATIONS, golden_map(), repetitions=3),
    Curation: golden_curation,
    Edits: lambda: Edits.of(golden_curation()),
    Comparison: lambda: r2rise.compare(golden_map(), golden_map(OTHER_WORTH), k=3),
    Transfer: golden_transfer,
    TrainingCheck: lambda: r2rise.check_training(
        worth.demonstrations(8),
        learning.study(worth=[0.3, 0.3, -0.2, 0.2, 0.3, -0.3, 0.2, 0.2]),
        maps=True,
    ),
    Plan: lambda: plan(DEMONSTRATIONS, study(WORTH, 64)),
}


def name_of(result: type[Result]) -> str:
    """Return the name of a result's schema."""
    return str(result.model_fields["schema_"].default).removeprefix("r2rise.")


def golden_path(result: type[Result]) -> Path:
    """Return where the golden file of the present version lies."""
    version = result.model_fields["schema_version"].default
    return DATA / f"{name_of(result)}-{version}.json"


def schema_path(result: type[Result]) -> Path:
    """Return where the committed JSON Schema lies."""
    return ROOT / "docs" / "schemas" / f"{name_of(result)}.schema.json"


def fixed(value: Any) -> Any:
    """Return JSON with what differs between runs and machines made the same."""
    if isinstance(value, dict):
        timed = {k: SECONDS for k, v in value.items() if "seconds" in k and isinstance(v, float)}
        rest = {k: fixed(v) for k, v in value.items()}
        return rest | timed | {name: FIXED[name] for name in FIXED.keys() & value.keys()}
    if isinstance(value, list):
        return [fixed(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def write_schemas() -> None:
    """Write the JSON Schema of every saved result."""
    for result in RESULTS:
        schema = result.model_json_schema(by_alias=True, mode="serialization")
        schema_path(result).write_text(json.dumps(schema, indent=2) + "\n")


if __name__ == "__main__":
    for result, make in RESULTS.items():
        fields = fixed(json.loads(make().to_json()))
        result.from_json(json.dumps(fields)).save(golden_path(result))
    write_schemas()
