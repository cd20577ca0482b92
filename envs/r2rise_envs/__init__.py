"""Environments with known answers for R2RISE. `register` makes their gymnasium ids known."""

import gymnasium as gym

from r2rise_envs import presets
from r2rise_envs.presets import needed_extra

__all__ = ["JUNCTIONS_ID", "needed_extra", "register"]

JUNCTIONS_ID = "r2rise/Junctions-v0"


def register() -> None:
    """Register the environments with gymnasium; called through `r2rise.environments`."""
    if JUNCTIONS_ID not in gym.registry:
        gym.register(JUNCTIONS_ID, entry_point="r2rise_envs.junctions:Junctions")
    presets.register()
