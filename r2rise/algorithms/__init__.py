"""What is retrained: the seam that every algorithm is behind, the registry, the algorithms."""

from r2rise.algorithms.base import (
    Algorithm,
    ChecksEnvironment,
    CountsTraining,
    NoSettings,
    Policy,
    Progress,
    TrainingAmount,
    TrainsAlong,
    TrainsMany,
)
from r2rise.algorithms.registry import (
    algorithm_names,
    amount_of,
    check_algorithm,
    counts_training,
    follows_one_path,
    leaves_amount_open,
    make_algorithm,
    names_training,
    uses_next_obs,
    with_amount,
    without_amount,
)

__all__ = [
    "Algorithm",
    "ChecksEnvironment",
    "CountsTraining",
    "NoSettings",
    "Policy",
    "Progress",
    "TrainingAmount",
    "TrainsAlong",
    "TrainsMany",
    "algorithm_names",
    "amount_of",
    "check_algorithm",
    "counts_training",
    "follows_one_path",
    "leaves_amount_open",
    "make_algorithm",
    "names_training",
    "uses_next_obs",
    "with_amount",
    "without_amount",
]
