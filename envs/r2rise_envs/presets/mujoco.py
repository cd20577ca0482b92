"""Gymnasium's MuJoCo tasks in version 4, which exists in gymnasium 0.29 and 1.x."""

import importlib
from typing import Any, cast

import gymnasium as gym
import mujoco


def make(task: str, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Return a MuJoCo task.

    Args:
        task: `module:class` in `gymnasium.envs.mujoco`.
        render_mode: `rgb_array` for pictures.
    """
    module, _, name = task.partition(":")
    task_class = getattr(importlib.import_module(f"gymnasium.envs.mujoco.{module}"), name)
    previous_handler = mujoco.get_mju_user_warning()
    # MuJoCo warns about an outdated attribute in HalfCheetah's file, every time, on the terminal
    # and in a file in the working directory.
    mujoco.set_mju_user_warning(lambda _: None)
    try:
        return cast("gym.Env[Any, Any]", task_class(render_mode=render_mode))
    finally:
        mujoco.set_mju_user_warning(previous_handler)
