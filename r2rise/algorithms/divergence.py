"""Detects diverged training from the parameters of the policy."""

from typing import Any

import numpy as np

from r2rise.algorithms.bc.policies import Clone
from r2rise.errors import Diverged

LARGEST_PARAMETER = 1e19
"""The squares of larger parameters overflow float32."""


def divergence(policy: Any) -> Diverged | None:
    """Return an error that describes why a policy's parameters are unusable, or None.

    The parameters of a `bc` or `bco` policy are checked, or of a policy that is a torch module or
    has torch modules as attributes. The parameters of other policies are unknown.
    """
    if isinstance(policy, Clone):
        parameters = policy.clones.parameters
        n_invalid, n = int((~(np.abs(parameters) < LARGEST_PARAMETER)).sum()), parameters.size
    else:
        n_invalid, n = _count_invalid(policy)
    if not n_invalid:
        return None
    return Diverged(
        f"training diverged: {n_invalid} of {n} parameters are NaN, infinite or beyond "
        f"{LARGEST_PARAMETER:g}; a smaller learning_rate may help."
    )


def _count_invalid(policy: Any) -> tuple[int, int]:
    """Return the number of invalid parameters of torch modules, and the number of all."""
    import torch

    candidates = (policy, *getattr(policy, "__dict__", {}).values())
    modules = [candidate for candidate in candidates if isinstance(candidate, torch.nn.Module)]
    # By id, as modules may share parameters.
    parameters = {id(tensor): tensor for module in modules for tensor in module.parameters()}
    tensors = parameters.values()
    valid = (tensor.detach().float().abs() < LARGEST_PARAMETER for tensor in tensors)
    n_invalid = sum(int((~is_valid).sum()) for is_valid in valid)
    return n_invalid, sum(tensor.numel() for tensor in tensors)
