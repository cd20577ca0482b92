"""LunarLander, the same on every gymnasium: the bounds and the fresh world of version 3."""

import math
import warnings
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

with warnings.catch_warnings():
    # Box2D warns that its types lack a module; as an error that crashes the interpreter.
    warnings.simplefilter("ignore", DeprecationWarning)
    import Box2D
    from gymnasium.envs.box2d.lunar_lander import LunarLander as Gymnasiums

_BOUNDS = np.array([2.5, 2.5, 10, 10, 2 * math.pi, 10, 1, 1], dtype=np.float32)


class LunarLander(Gymnasiums):
    """Gymnasium's LunarLander with four discrete actions and without wind.

    `LunarLander-v2` of gymnasium 0.29 keeps parts of the last episode in its world, so that a seed
    does not fix an episode, and leaves its bounds; version 3 of gymnasium 1.x mends both.

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
        found: tuple[NDArray[np.float32], dict[str, Any]] = super().reset(
            seed=seed, options=options
        )
        return found
