"""Mazes with one cell per frame, in which an untrained policy does not move."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise_envs.planted.pictures import maze_picture

MOVES = ((0, 0), (-1, 0), (0, 1), (1, 0), (0, -1))
"""Row and column offset of each action: wait, up, right, down, left."""
CELL_VALUE = 3.0
"""Observation value of the agent's cell; with 1 small networks need three times the updates."""
_ACTION_SYMBOLS = ".^>v<"
"""Symbols of the expert's actions on maps, in the order of the actions."""

Cell = tuple[int, int]
Observation = NDArray[np.float32]


class _Maze(gym.Env[Observation, np.int64]):
    """Base class of the mazes; a subclass defines the map and the reward.

    Attributes:
        rows: The map: `#` wall, `T` treasure, `^>v<` the expert's path, `.` floor beside it.
        starts: Cells in which an episode may start; no path connects any two.
        dark_steps: Initial steps in which observations are zero and nothing moves.
        cells: (row, column) of every floor cell, in the order of the observation's entries.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  (gymnasium's form)
    rows: ClassVar[tuple[str, ...]]
    starts: ClassVar[tuple[Cell, ...]]
    dark_steps: ClassVar[int] = 0

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.cells = [
            (row, column)
            for row, line in enumerate(self.rows)
            for column, symbol in enumerate(line)
            if symbol != "#"
        ]
        self.observation_space = spaces.Box(0.0, CELL_VALUE, (len(self.cells),), np.float32)
        self.action_space = spaces.Discrete(len(MOVES))
        self._cell, self._steps = self.starts[0], 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Go to a start: a random one, or the one with the index `options["start"]`."""
        super().reset(seed=seed, options=options)
        random_start = int(self.np_random.integers(len(self.starts)))
        self._cell, self._steps = self.starts[int((options or {}).get("start", random_start))], 0
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move to the next cell unless it is blocked or dark."""
        old_cell = self._cell
        if self._steps >= self.dark_steps:
            self._cell = self._next_cell(old_cell, int(action))
        self._steps += 1
        return self._observation(), self._reward(old_cell, self._cell), False, False, {}

    def render(self) -> Any:
        """Return a picture of the map and the agent, for `render_mode="rgb_array"`."""
        if self.render_mode is None:
            return None
        return maze_picture(self.rows, self._cell, dark=self._steps < self.dark_steps)

    def expert_actions(self) -> NDArray[np.int64]:
        """Return the expert's action in each cell, (n_cells,); beside its path this is waiting."""
        symbols = [self.rows[row][column] for row, column in self.cells]
        actions = [max(0, _ACTION_SYMBOLS.find(symbol)) for symbol in symbols]
        return np.array(actions, dtype=np.int64)

    def is_blocked(self, action: int) -> bool:
        """Return whether an action does not move the agent from its cell."""
        return self._next_cell(self._cell, action) == self._cell

    def _next_cell(self, cell: Cell, action: int) -> Cell:
        row, column = cell[0] + MOVES[action][0], cell[1] + MOVES[action][1]
        return cell if self.rows[row][column] == "#" else (row, column)

    def _reward(self, old_cell: Cell, new_cell: Cell) -> float:
        raise NotImplementedError

    def _observation(self) -> Observation:
        observation = np.zeros(len(self.cells), dtype=np.float32)
        if self._steps >= self.dark_steps:
            observation[self.cells.index(self._cell)] = CELL_VALUE
        return observation


class PlantedCorridor(_Maze):
    """A winding corridor with one junction, which leads to a treasure.

    ## Description
    It is ten steps from the start to the junction, and another ten to the treasure. Each step
    depends on all steps before it, so a single cell with an unknown or wrong action costs the whole
    return. At the treasure the agent stays.

    ## Action Space
    `Discrete(5)`: 0 wait, 1 up, 2 right, 3 down, 4 left. Walls stop the agent.

    ## Observation Space
    `Box(0, 3, (23,), float32)`: 3 for the agent's cell, else 0.

    ## Rewards
    10 for finding the treasure, else 0.

    ## Starting State
    The left end of the corridor, always.

    ## Episode End
    Truncated after 40 steps; never terminated.

    ## Arguments
    * `render_mode`: `rgb_array` or none.
    """

    rows = (
        "###########",
        "#>>v#>>v..#",
        "###v#^#v###",
        "###>>^#>>v#",
        "#########v#",
        "#####T<<<<#",
        "###########",
    )
    starts = ((1, 1),)
    _treasure = (5, 5)

    def _next_cell(self, cell: Cell, action: int) -> Cell:
        return cell if cell == self._treasure else super()._next_cell(cell, action)

    def _reward(self, old_cell: Cell, new_cell: Cell) -> float:
        return 10.0 if old_cell != new_cell == self._treasure else 0.0


class PlantedRounds(_Maze):
    """Six rooms of four cells each; the agent goes round in one of them, drawn at random.

    ## Description
    For the first 10 steps it is dark: observations are zero, and actions have no effect. Then the
    agent goes round its room by right, down, left and up; a turnstile lets it pass in this
    direction only. The rooms share no cells, so a demonstration of one room does not help in
    another, and the returns of the rooms add up.

    ## Action Space
    `Discrete(5)`: 0 wait, 1 up, 2 right, 3 down, 4 left. Walls stop the agent.

    ## Observation Space
    `Box(0, 3, (24,), float32)`: 3 for the agent's cell, else 0. All zeros while it is dark.

    ## Rewards
    2 for passing the turnstile, below the upper left cell, else 0; hence 10 for five rounds.

    ## Starting State
    The upper left cell of one of the six rooms, each with probability 1/6, or of the room
    `options={"start": index}`.

    ## Episode End
    Truncated after 30 steps; never terminated.

    ## Arguments
    * `render_mode`: `rgb_array` or none.
    """

    rows = (
        "##########",
        "#>v#>v#>v#",
        "#^<#^<#^<#",
        "##########",
        "#>v#>v#>v#",
        "#^<#^<#^<#",
        "##########",
    )
    starts = tuple((row, column) for row in (1, 4) for column in (1, 4, 7))
    dark_steps = 10

    def _next_cell(self, cell: Cell, action: int) -> Cell:
        if cell in self.starts and MOVES[action] == (1, 0):
            return cell
        return super()._next_cell(cell, action)

    def _reward(self, old_cell: Cell, new_cell: Cell) -> float:
        cell_below = (new_cell[0] + 1, new_cell[1])
        return 2.0 if new_cell in self.starts and old_cell == cell_below else 0.0
