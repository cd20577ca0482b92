"""LunarLander, identical in all gymnasium versions: bounds and reset of `LunarLander-v3`."""

import math
import warnings
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

with warnings.catch_warnings():
    # Box2D warns that its types lack a module; this warning as an error crashes the interpreter.
    warnings.simplefilter("ignore", DeprecationWarning)
    import Box2D
    from gymnasium.envs.box2d.lunar_lander import LunarLander as GymnasiumLunarLander

_BOUNDS = np.array([2.5, 2.5, 10, 10, 2 * math.pi, 10, 1, 1], dtype=np.float32)


class LunarLander(GymnasiumLunarLander):
    """Gymnasium's LunarLander with four discrete actions and without wind.

    `LunarLander-v2` of gymnasium 0.29 keeps parts of the last episode in its world, so that a seed
    does not determine an episode, and its observations exceed their bounds. `LunarLander-v3` of
    gymnasium 1.x fixes both.

    ## Arguments
    * `render_mode`: `rgb_array` or None.
    """

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        low = np.append(-_BOUNDS[:6], [0, 0]).astype(np.float32)
        self.observation_space = spaces.Box(low, _BOUNDS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start in a new world."""
        self._destroy()  # type: ignore[no-untyped-call]  # gymnasium's
        self.world = Box2D.b2World(gravity=(0, self.gravity))
        result: tuple[NDArray[np.float32], dict[str, Any]] = super().reset(
            seed=seed, options=options
        )
        return result
