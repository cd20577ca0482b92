"""Write the golden ledger of the present format, and the journal of one that was cut off.

    python tests/support/make_golden_ledger.py

Golden ledgers of released formats are never rewritten: raise `FORMAT` first.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

from places import DATA

from r2rise import Demonstrations, Ledger, Study, explain
from r2rise.ledger.format import FORMAT
from r2rise.ledger.ledger import journal_path
from r2rise.ledger.record import Record

GOLDEN = DATA / f"ledger-{FORMAT.rpartition('/')[2]}"
DEMONSTRATIONS = DATA / "old" / "demonstrations.npz"
STUDY = Study(
    environment="CartPole-v1",
    algorithm={"name": "bc", "settings": {"n_updates": 40, "device": "cpu"}},
    masking={"segment_length": 10},
    evaluation={"n_episodes": 4, "max_steps": 60},
    budget={"retrainings": 32, "baseline_retrainings": 2},
    seed=3,
)
N_SAVED = 20
"""Records in the ledger file; the others are in its journal."""


def records_of(ledger: Ledger) -> Iterator[Record]:
    """Yield all records, each as if it had taken the same time."""
    for kind in ("random_policy", "baseline", "design"):
        for record in ledger.records(kind):
            yield replace(record, seconds=0.25, evaluation_seconds=0.125)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    path = GOLDEN / "ledger.npz"
    for earlier in (path, journal_path(path)):
        earlier.unlink(missing_ok=True)
    found = explain(Demonstrations.load(DEMONSTRATIONS), STUDY, ledger=path)
    found.study.save(GOLDEN / "study.yaml")
    (GOLDEN / "importance.json").write_text(json.dumps(found.importance.tolist()) + "\n")
    whole = Ledger.load(path)
    records = [*records_of(whole)]
    saved = Ledger(whole.header, records[:N_SAVED])
    saved.note_times({0: 2.5})
    saved.save(path)
    lines = [whole.header.to_json(), *(record.to_json() for record in records[N_SAVED:])]
    lines.append({"block": 0, "elapsed": 7.5})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    journal_path(path).write_text(text + json.dumps(records[0].to_json())[:50])
    path.with_name("ledger.npz.lock").unlink(missing_ok=True)
