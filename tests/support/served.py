"""Studies for real servers."""

import json

import r2rise

SMALL = r2rise.Study(
    environment="CartPole-v1",
    algorithm={"name": "bc", "settings": {"n_epochs": 2}},
    masking={"segment_length": 10},
    evaluation={"n_episodes": 2, "max_steps": 100},
    budget={"retrainings": 64, "baseline_retrainings": 2},
)
LONG = SMALL.model_copy(
    update={"budget": r2rise.Budget(retrainings=50_000, baseline_retrainings=2)}
)
THOROUGH = r2rise.Study(
    environment="CartPole-v1",
    algorithm={"name": "bc", "settings": {"n_epochs": 200}},
    execution={"shard_size": 4},
    budget=512,
)


def without_times(found: r2rise.ImportanceMap) -> str:
    fields = json.loads(found.to_json())
    del fields["created_at"]
    return json.dumps(fields)
