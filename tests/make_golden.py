"""Write the golden importance map and the committed JSON Schema.

    python tests/make_golden.py

Golden files of released schema versions are never rewritten: raise the version first.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import toys

import r2rise
from r2rise.importance import SCHEMA_VERSION, ImportanceMap

TESTS = Path(__file__).parent
VERSIONS = {"r2rise": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"}


def golden_map() -> ImportanceMap:
    """Return a small map with everything in it: a ragged end, nulls, warnings, baselines."""
    demonstrations = toys.demonstrations(n_demos=3, length=25)
    study = r2rise.Study(
        environment="toys:OneStep",
        algorithm={"name": "toys:Additive", "settings": {"seed_noise": 0.5}},
        budget={"retrainings": 64, "baseline_retrainings": 2},
        evaluation={"n_episodes": 2, "max_steps": 5},
        seed=1,
    )
    found = r2rise.explain(demonstrations, study)
    importance, std_error = found.importance.copy(), found.std_error.copy()
    importance[4] = std_error[4] = np.nan
    n_kept, n_masked = found.n_kept.copy(), found.n_masked.copy()
    n_kept[4], n_masked[4] = 0, 64
    changes = {
        "created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "versions": VERSIONS,
        "importance": importance.round(6),
        "std_error": std_error.round(6),
        "n_kept": n_kept,
        "n_masked": n_masked,
    }
    return found.model_copy(update=changes)


if __name__ == "__main__":
    golden_map().save(TESTS / "data" / f"importance_map-{SCHEMA_VERSION}.json")
    schema = ImportanceMap.model_json_schema(by_alias=True, mode="serialization")
    text = json.dumps(schema, indent=2) + "\n"
    (TESTS.parent / "docs" / "importance_map.schema.json").write_text(text)
