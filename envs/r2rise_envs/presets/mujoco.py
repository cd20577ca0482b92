"""Gymnasium's MuJoCo tasks, version 4, which 0.29 and 1.x both have."""

import importlib
from typing import Any, cast

import gymnasium as gym
import mujoco


def make(task: str, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Return a task of gymnasium's.

    Args:
        task: `module:class` in `gymnasium.envs.mujoco`.
        render_mode: `rgb_array` for pictures.
    """
    module, _, name = task.partition(":")
    maker = getattr(importlib.import_module(f"gymnasium.envs.mujoco.{module}"), name)
    before = mujoco.get_mju_user_warning()
    # MuJoCo 4 finds an outdated attribute in HalfCheetah's file, and would say so each time on
    # the screen and in a file of the working directory.
    mujoco.set_mju_user_warning(lambda _: None)
    try:
        return cast("gym.Env[Any, Any]", maker(render_mode=render_mode))
    finally:
        mujoco.set_mju_user_warning(before)
