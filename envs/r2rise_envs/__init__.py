"""Environments for R2RISE, some with known importance. `register` adds their gymnasium ids."""

import gymnasium as gym

from r2rise_envs import presets
from r2rise_envs.presets import needed_extra

__all__ = ["JUNCTIONS_ID", "needed_extra", "register"]

JUNCTIONS_ID = "r2rise/Junctions-v0"

_PLANTED = {  # id: (entry point, step limit)
    "r2rise/PlantedCorridor-v0": ("r2rise_envs.planted.mazes:PlantedCorridor", 40),
    "r2rise/PlantedRounds-v0": ("r2rise_envs.planted.mazes:PlantedRounds", 30),
    "r2rise/PlantedReach-v0": ("r2rise_envs.planted.reach:PlantedReach", 30),
}


def register() -> None:
    """Register the environments with gymnasium; called by the entry point `r2rise.environments`."""
    if JUNCTIONS_ID not in gym.registry:
        gym.register(JUNCTIONS_ID, entry_point="r2rise_envs.junctions:Junctions")
    for name, (entry_point, max_steps) in _PLANTED.items():
        if name not in gym.registry:
            gym.register(name, entry_point=entry_point, max_episode_steps=max_steps)
    presets.register()
