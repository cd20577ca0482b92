"""MinAtar's games (Young and Tian 2019, arXiv 1903.03176) with reproducible episodes."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

_ZOOM = 16  # pixels of the side of a cell in pictures
_COLOURS = np.array(
    [
        (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178),
        (213, 94, 0), (204, 121, 167), (255, 255, 255), (128, 128, 128), (160, 82, 45),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""Colour of an empty cell, then of each channel; in a cell the last set channel is drawn."""


class MinAtar(gym.Env[NDArray[np.float32], np.int64]):
    """A MinAtar game, with sticky actions (probability 0.1) and difficulty ramping.

    ## Action Space
    `Discrete(n)`: the game's minimal actions; action 0 does nothing.

    ## Observation Space
    `Box(0, 1, (10, 10, n_channels), float32)`: 1 where there is an object of the channel's type.

    ## Rewards
    Those of the game.

    ## Starting State
    That of the game. `reset(seed=...)` seeds all randomness of the episode. A sticky action never
    carries over from the previous episode.

    ## Episode End
    Terminated when the game is over.

    ## Arguments
    * `game`: `asterix`, `breakout`, `freeway`, `seaquest` or `space_invaders`.
    * `render_mode`: `rgb_array` or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  (gymnasium's form)

    def __init__(self, game: str, render_mode: str | None = None) -> None:
        import minatar

        self.render_mode = render_mode
        self._game = minatar.Environment(game)
        self._actions = self._game.minimal_action_set()
        self.action_space = spaces.Discrete(len(self._actions))
        self.observation_space = spaces.Box(0.0, 1.0, tuple(self._game.state_shape()), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new game; without a seed the random numbers of the last seed continue."""
        super().reset(seed=seed, options=options)
        self._game.seed(int(self.np_random.integers(2**32)))
        self._game.last_action = 0
        self._game.reset()
        return self._observation(), {}

    def step(
        self, action: np.int64
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Take the action, or with probability 0.1 repeat the last one."""
        reward, ended = self._game.act(self._actions[int(action)])
        return self._observation(), float(reward), bool(ended), False, {}

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]  # gymnasium's is vague
        """Return a picture of the game, (160, 160, 3) uint8."""
        if self.render_mode != "rgb_array":
            return None
        state = self._game.state()
        colour_indices = (state * np.arange(1, state.shape[2] + 1)).max(axis=2)
        small: NDArray[np.uint8] = _COLOURS[colour_indices]
        picture: NDArray[np.uint8] = small.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)
        return picture

    def _observation(self) -> NDArray[np.float32]:
        state: NDArray[np.float32] = self._game.state().astype(np.float32)
        return state
