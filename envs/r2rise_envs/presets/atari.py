"""Atari games as in the paper: 84x84 grey pictures, 4 stacked, score hidden."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import ale_py
import cv2
import gymnasium as gym
import numpy as np
from ale_py import roms
from gymnasium import spaces
from numpy.typing import NDArray

Image = NDArray[np.uint8]

SIDE = 84  # side of an observation in pixels
STACK = 4  # pictures in an observation
FRAME_SKIP = 4  # game frames per action
MAX_NO_OPS = 30  # game frames before the agent's first action


@dataclass(frozen=True)
class Game:
    """The properties in which the games differ.

    Attributes:
        hidden_rows: First row of the screen (210 rows) that shows the score, and one past the last.
        needs_serve: Whether the game waits for FIRE at the start and after each lost life.
    """

    hidden_rows: tuple[int, int]
    needs_serve: bool = False


GAMES = {
    "beam_rider": Game((0, 41)),  # score, sector, enemies and torpedoes left
    "breakout": Game((0, 17), needs_serve=True),  # score, lives, player
    "enduro": Game((160, 192)),  # distance, day, cars left
    "pong": Game((0, 24)),
    "qbert": Game((0, 15)),
    "seaquest": Game((0, 20)),
    "space_invaders": Game((0, 21)),
}


class Atari(gym.Env[Image, np.int64]):
    """An Atari game with the preprocessing of Mnih et al. (2015) and without its score.

    ## Action Space
    `Discrete(n)`: the game's minimal actions. Each is repeated for 4 game frames.

    ## Observation Space
    `Box(0, 255, (84, 84, 4), uint8)`: the newest picture last. A picture is the pixelwise maximum
    of the last two of the 4 frames, in grey, with the rows of the score black, scaled down by area.

    ## Rewards
    Those of the game, not clipped.

    ## Starting State
    The picture after 1 to 30 (random) game frames without action, repeated 4 times. Breakout's ball
    is served automatically, here and after each lost life: the agent's action is ignored in such a
    step.

    ## Episode End
    Terminated when the game is over, not when a life is lost.

    ## Arguments
    * `game`: one of `GAMES`.
    * `render_mode`: `rgb_array` (the whole screen, score included) or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012  (gymnasium's form)

    def __init__(self, game: str, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self._rules = GAMES[game]
        self._ale = _load_game(game)
        self._start = self._ale.cloneSystemState()
        self._actions = self._ale.getMinimalActionSet()
        self.action_space = spaces.Discrete(len(self._actions))
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, STACK), np.uint8)
        self._pictures: deque[Image] = deque(maxlen=STACK)
        self._lives = 0
        self._must_serve = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Image, dict[str, Any]]:
        """Start a new game; without a seed the random numbers of the last seed continue."""
        super().reset(seed=seed, options=options)
        self._ale.restoreSystemState(self._start)
        self._ale.reset_game()  # also resets what that state lacks, such as the screen
        for _ in range(self.np_random.integers(1, MAX_NO_OPS + 1)):
            self._ale.act(ale_py.Action.NOOP)
        if self._rules.needs_serve:
            self._ale.act(ale_py.Action.FIRE)
        self._lives, self._must_serve = self._ale.lives(), False
        self._pictures.extend([self._picture(self._ale.getScreenGrayscale())] * STACK)
        return self._observation(), {"lives": self._lives}

    def step(self, action: np.int64) -> tuple[Image, float, bool, bool, dict[str, Any]]:
        """Repeat an action for 4 game frames."""
        ale_action = ale_py.Action.FIRE if self._must_serve else self._actions[int(action)]
        screens: deque[Image] = deque(maxlen=2)
        reward, ended = 0.0, False
        for frames_left in reversed(range(FRAME_SKIP)):
            reward += self._ale.act(ale_action)
            ended = self._ale.game_over(with_truncation=False)
            if frames_left < 2 or ended:
                screens.append(self._ale.getScreenGrayscale())
            if ended:
                break
        lives = self._ale.lives()
        self._must_serve = self._rules.needs_serve and lives < self._lives
        self._lives = lives
        self._pictures.append(self._picture(np.maximum(screens[0], screens[-1])))
        return self._observation(), float(reward), ended, False, {"lives": lives}

    def render(self) -> Image | None:  # type: ignore[override]  # gymnasium's is vague
        """Return the screen, (210, 160, 3) uint8."""
        if self.render_mode != "rgb_array":
            return None
        screen: Image = self._ale.getScreenRGB()
        return screen

    def _picture(self, screen: Image) -> Image:
        first, stop = self._rules.hidden_rows
        screen[first:stop] = 0
        return cv2.resize(screen, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)

    def _observation(self) -> Image:
        return np.stack(self._pictures, axis=-1)


def _load_game(game: str) -> ale_py.ALEInterface:
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("max_num_frames_per_episode", 0)  # no limit: the registered step limit applies
    ale.loadROM(cast("Path", roms.get_rom_path(game)))
    ale.reset_game()
    return ale
