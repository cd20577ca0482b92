"""Whether training diverged: its parameters tell."""

from typing import Any

import numpy as np

from r2rise.algorithms.bc.policies import Clone
from r2rise.errors import Diverged

LARGEST = 1e19
"""Squares of larger parameters are infinite in float32."""


def divergence(policy: Any) -> Diverged | None:
    """Return why a policy has no parameters to act by, or None.

    Looked at are the parameters of `bc` and `bco`, and of torch modules that a policy is or has as
    attributes; those of other policies are not known.
    """
    if isinstance(policy, Clone):
        parameters = policy.clones.parameters
        n_wrong, n = int((~(np.abs(parameters) < LARGEST)).sum()), parameters.size
    else:
        n_wrong, n = _of_modules(policy)
    if not n_wrong:
        return None
    return Diverged(
        f"training diverged: {n_wrong} of {n} parameters are NaN, infinite or beyond "
        f"{LARGEST:g}; a smaller learning_rate may help."
    )


def _of_modules(policy: Any) -> tuple[int, int]:
    """Return how many parameters are wrong, and how many there are."""
    import torch

    held = (policy, *getattr(policy, "__dict__", {}).values())
    modules = [thing for thing in held if isinstance(thing, torch.nn.Module)]
    parameters = {id(own): own for module in modules for own in module.parameters()}.values()
    n_wrong = sum(int((~(own.detach().float().abs() < LARGEST)).sum()) for own in parameters)
    return n_wrong, sum(own.numel() for own in parameters)
