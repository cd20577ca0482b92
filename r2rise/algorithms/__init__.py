"""What is retrained: the seam that every algorithm is behind, the registry, the algorithms."""

from r2rise.algorithms.base import (
    Algorithm,
    ChecksEnvironment,
    NoSettings,
    Policy,
    Progress,
    TrainsMany,
)
from r2rise.algorithms.registry import (
    algorithm_identity,
    algorithm_names,
    check_algorithm,
    make_algorithm,
    uses_next_obs,
)

__all__ = [
    "Algorithm",
    "ChecksEnvironment",
    "NoSettings",
    "Policy",
    "Progress",
    "TrainsMany",
    "algorithm_identity",
    "algorithm_names",
    "check_algorithm",
    "make_algorithm",
    "uses_next_obs",
]
