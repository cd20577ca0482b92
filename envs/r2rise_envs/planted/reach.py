"""A point in the plane that is steered to one of six goals, with continuous actions."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise_envs.planted.pictures import plane_picture

Floats = NDArray[np.float32]

N_GOALS = 6
DISTANCE = 1.25
"""Distance of every goal from the centre, where the point starts."""
STEP = 0.1
"""Distance covered in one step at speed 1."""
FRICTION = 0.5
"""Largest speed at which the point does not move."""
RADIUS = 0.3
"""Distance from a goal below which it is reached."""
DARK_STEPS = 10
"""Steps before the goal is shown."""
REWARD = 10.0
_LIMIT = 1.5

GOALS = DISTANCE * np.array(
    [(np.cos(angle), np.sin(angle)) for angle in 2 * np.pi * np.arange(N_GOALS) / N_GOALS]
)


class PlantedReach(gym.Env[Floats, Floats]):
    """Wait until a lamp shows one of six goals, then steer the point there.

    ## Description
    For the first 10 steps the lamp is dark and the point is locked: actions have no effect. Then
    the goal is shown, and the point moves by a tenth of the action. Friction stops it where the
    norm of an action is at most 0.5, so an untrained policy does not move. The goals form a regular
    hexagon: their directions add up to zero, and training for one goal does not help with another.

    ## Action Space
    `Box(-1, 1, (2,), float32)`: speed in x and y.

    ## Observation Space
    `Box(float32)` of 8 numbers:

    | index | meaning | from | to |
    |---|---|---|---|
    | 0 to 5 | 1 for the goal that is shown, else 0 | 0 | 1 |
    | 6 | x | -1.5 | 1.5 |
    | 7 | y | -1.5 | 1.5 |

    ## Rewards
    10 for coming closer than 0.3 to the goal, else 0.

    ## Starting State
    The centre, (0, 0). The goal is random, or `options={"start": index}`.

    ## Episode End
    Terminated when the goal is reached; truncated after 30 steps.

    ## Arguments
    * `render_mode`: `rgb_array` or none.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  (gymnasium's form)
    starts = tuple(range(N_GOALS))

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        low = np.array([0.0] * N_GOALS + [-_LIMIT] * 2, dtype=np.float32)
        high = np.array([1.0] * N_GOALS + [_LIMIT] * 2, dtype=np.float32)
        self.observation_space = spaces.Box(low, high, dtype=np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._goal, self._steps, self._position = 0, 0, np.zeros(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Go to the centre; the goal is random unless `options["start"]` is its index."""
        super().reset(seed=seed, options=options)
        random_goal = int(self.np_random.integers(N_GOALS))
        self._goal = int((options or {}).get("start", random_goal))
        self._steps, self._position = 0, np.zeros(2)
        return self._observation(), {}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Move the point by the action, unless it is dark or friction stops it."""
        speed = np.asarray(action, dtype=np.float64)
        if self._is_lit and np.linalg.norm(speed) > FRICTION:
            self._position = np.clip(self._position + STEP * speed, -_LIMIT, _LIMIT)
        self._steps += 1
        reached = bool(np.linalg.norm(GOALS[self._goal] - self._position) < RADIUS)
        return self._observation(), REWARD if reached else 0.0, reached, False, {}

    def render(self) -> Any:
        """Return a picture of the goals and the point, for `render_mode="rgb_array"`."""
        if self.render_mode is None:
            return None
        return plane_picture(self._position, GOALS, self._goal if self._is_lit else None, _LIMIT)

    @property
    def _is_lit(self) -> bool:
        return self._steps >= DARK_STEPS

    def _observation(self) -> Floats:
        lamp = np.zeros(N_GOALS)
        lamp[self._goal] = self._is_lit
        return np.concatenate([lamp, self._position]).astype(np.float32)
