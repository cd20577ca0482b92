"""Mazes of one cell a frame, in which a policy without an answer stays where it is."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise_envs.planted.pictures import maze_picture

MOVES = ((0, 0), (-1, 0), (0, 1), (1, 0), (0, -1))
"""Rows and columns that each action moves on by: wait, up, right, down, left."""
SHOWN = 3.0
"""Number that shows a cell; with 1 small networks would need three times as many updates."""
_ANSWERS = ".^>v<"
"""How a map shows the expert's action in a cell, in the order of the actions."""

Cell = tuple[int, int]
Observation = NDArray[np.float32]


class _Maze(gym.Env[Observation, np.int64]):
    """What the mazes have in common; a subclass draws the map and says what is paid.

    Attributes:
        rows: The map: `#` wall, `T` treasure, `^>v<` the expert's way, `.` floor beside it.
        starts: Cells in which an episode may start; no way leads from one to another.
        dark_steps: Steps at the beginning in which nothing is seen and nothing moves.
        cells: (row, column) of every floor cell, in the order of the observation's numbers.
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
            for column, sign in enumerate(line)
            if sign != "#"
        ]
        self.observation_space = spaces.Box(0.0, SHOWN, (len(self.cells),), np.float32)
        self.action_space = spaces.Discrete(len(MOVES))
        self._cell, self._steps = self.starts[0], 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Go to a start, drawn at random unless `options["start"]` is its number."""
        super().reset(seed=seed, options=options)
        drawn = int(self.np_random.integers(len(self.starts)))
        self._cell, self._steps = self.starts[int((options or {}).get("start", drawn))], 0
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move to the next cell, if nothing is in the way."""
        before = self._cell
        if self._steps >= self.dark_steps:
            self._cell = self._after(before, int(action))
        self._steps += 1
        return self._observation(), self._reward(before, self._cell), False, False, {}

    def render(self) -> Any:
        """Return a picture of the map and the agent, for `render_mode="rgb_array"`."""
        if self.render_mode is None:
            return None
        return maze_picture(self.rows, self._cell, dark=self._steps < self.dark_steps)

    def answers(self) -> NDArray[np.int64]:
        """Return the expert's action in each cell, (n_cells,); waiting beside the way."""
        signs = [self.rows[row][column] for row, column in self.cells]
        return np.array([max(0, _ANSWERS.find(sign)) for sign in signs], dtype=np.int64)

    def is_blocked(self, action: int) -> bool:
        """Say whether an action leads nowhere from the agent's cell."""
        return self._after(self._cell, action) == self._cell

    def _after(self, cell: Cell, action: int) -> Cell:
        row, column = (place + by for place, by in zip(cell, MOVES[action], strict=True))
        return cell if self.rows[row][column] == "#" else (row, column)

    def _reward(self, before: Cell, after: Cell) -> float:
        raise NotImplementedError

    def _observation(self) -> Observation:
        seen = np.zeros(len(self.cells), dtype=np.float32)
        if self._steps >= self.dark_steps:
            seen[self.cells.index(self._cell)] = SHOWN
        return seen


class PlantedCorridor(_Maze):
    """A winding corridor with one junction; behind it lies the treasure.

    ## Description
    Ten steps lead from the start to the junction and ten more from there to the treasure. Each
    step depends on those before, so a single cell without an answer, or with a wrong one, costs
    everything. Who has found the treasure stays with it.

    ## Action Space
    `Discrete(5)`: 0 wait, 1 up, 2 right, 3 down, 4 left. Walls stop the agent.

    ## Observation Space
    `Box(0, 3, (23,), float32)`: 3 for the cell where the agent stands, else 0.

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

    def _after(self, cell: Cell, action: int) -> Cell:
        return cell if cell == self._treasure else super()._after(cell, action)

    def _reward(self, before: Cell, after: Cell) -> float:
        return 10.0 if before != after == self._treasure else 0.0


class PlantedRounds(_Maze):
    """Six rooms of four cells each; in one of them, drawn at random, the agent goes its rounds.

    ## Description
    For the first 10 steps it is dark: nothing is seen, and nothing moves whatever is done. Then
    the agent goes round its room by right, down, left and up; a turnstile lets it pass in this
    direction only. The rooms have cells of their own, so what a demonstration of one room teaches
    is of no use in another, and the returns of the rooms add up.

    ## Action Space
    `Discrete(5)`: 0 wait, 1 up, 2 right, 3 down, 4 left. Walls stop the agent.

    ## Observation Space
    `Box(0, 3, (24,), float32)`: 3 for the cell where the agent stands, else 0. All zeros while it
    is dark.

    ## Rewards
    2 for passing the turnstile, below the upper left cell, else 0; so 10 for five rounds.

    ## Starting State
    The upper left cell of one of the six rooms, each with probability 1/6; or
    `options={"start": number}`.

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

    def _after(self, cell: Cell, action: int) -> Cell:
        if cell in self.starts and MOVES[action] == (1, 0):
            return cell
        return super()._after(cell, action)

    def _reward(self, before: Cell, after: Cell) -> float:
        return 2.0 if after in self.starts and before == (after[0] + 1, after[1]) else 0.0
