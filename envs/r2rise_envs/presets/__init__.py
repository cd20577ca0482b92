"""Presets: common environments, under ids that include their wrappers.

Registration imports no optional package. Creating an environment requires its packages.
"""

import importlib
from dataclasses import dataclass, field
from typing import Any, cast

import gymnasium as gym

from r2rise.errors import MissingExtra, require


@dataclass(frozen=True)
class Preset:
    """The definition of one environment id.

    Attributes:
        factory: `module:name` of the class or function that creates the environment.
        extra: The extra of R2RISE that installs the packages.
        packages: Modules that must be installed.
        max_episode_steps: Steps after which an episode is truncated.
        settings: Keyword arguments of the factory.
    """

    factory: str
    extra: str
    packages: tuple[str, ...]
    max_episode_steps: int
    settings: dict[str, Any] = field(default_factory=dict)

    def check_installed(self, name: str) -> None:
        """Check that the packages of this environment are installed.

        Raises:
            MissingExtra: When one is not; the message has the command that installs it.
        """
        for package in self.packages:
            require(package, f"The environment {name!r}", self.extra)


def _minatar(game: str) -> Preset:
    factory = "r2rise_envs.presets.minatar:MinAtar"
    return Preset(factory, "minatar", ("minatar",), 2500, {"game": game})


def _atari(game: str) -> Preset:
    factory = "r2rise_envs.presets.atari:Atari"
    return Preset(factory, "atari", ("ale_py", "cv2"), 27_000, {"game": game})


def _mujoco(task: str) -> Preset:
    factory = "r2rise_envs.presets.mujoco:make"
    return Preset(factory, "mujoco", ("mujoco", "imageio"), 1000, {"task": task})


def _minigrid(task: str, max_episode_steps: int, **settings: int) -> Preset:
    factory = "r2rise_envs.presets.minigrid:make"
    arguments = {"task": task, **settings}
    return Preset(factory, "minigrid", ("minigrid",), max_episode_steps, arguments)


_LUNAR_LANDER = "r2rise_envs.presets.lunar_lander:LunarLander"

PRESETS = {
    "r2rise/BeamRider-v0": _atari("beam_rider"),
    "r2rise/Breakout-v0": _atari("breakout"),
    "r2rise/Enduro-v0": _atari("enduro"),
    "r2rise/Pong-v0": _atari("pong"),
    "r2rise/Qbert-v0": _atari("qbert"),
    "r2rise/Seaquest-v0": _atari("seaquest"),
    "r2rise/SpaceInvaders-v0": _atari("space_invaders"),
    "r2rise/MinAtar-Asterix-v0": _minatar("asterix"),
    "r2rise/MinAtar-Breakout-v0": _minatar("breakout"),
    "r2rise/MinAtar-Freeway-v0": _minatar("freeway"),
    "r2rise/MinAtar-Seaquest-v0": _minatar("seaquest"),
    "r2rise/MinAtar-SpaceInvaders-v0": _minatar("space_invaders"),
    "r2rise/Ant-v0": _mujoco("ant_v4:AntEnv"),
    "r2rise/HalfCheetah-v0": _mujoco("half_cheetah_v4:HalfCheetahEnv"),
    "r2rise/Hopper-v0": _mujoco("hopper_v4:HopperEnv"),
    "r2rise/Walker2d-v0": _mujoco("walker2d_v4:Walker2dEnv"),
    "r2rise/LunarLander-v0": Preset(_LUNAR_LANDER, "box2d", ("Box2D", "pygame"), 1000),
    "r2rise/DoorKey-v0": _minigrid("DoorKeyEnv", 250, size=5),
    "r2rise/DoorKey-6x6-v0": _minigrid("DoorKeyEnv", 360, size=6),
    "r2rise/Empty-v0": _minigrid("EmptyEnv", 100, size=5),
    "r2rise/FourRooms-v0": _minigrid("FourRoomsEnv", 100),
    "r2rise/LavaGap-v0": _minigrid("LavaGapEnv", 100, size=5),
    "r2rise/Unlock-v0": _minigrid("UnlockEnv", 288),
}
"""All presets by id."""


def register() -> None:
    """Register all presets with gymnasium, including those with missing packages."""
    for name, preset in PRESETS.items():
        if name not in gym.registry:
            gym.register(
                name,
                entry_point=f"{__name__}:make",
                max_episode_steps=preset.max_episode_steps,
                kwargs={"preset": name},
            )


def make(preset: str, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Return the environment of a preset, without its step limit.

    Args:
        preset: Id of the preset.
        render_mode: `rgb_array` for pictures.

    Raises:
        MissingExtra: When a package of the preset is not installed.
    """
    definition = PRESETS[preset]
    definition.check_installed(preset)
    module, _, name = definition.factory.partition(":")
    factory = getattr(importlib.import_module(module), name)
    return cast("gym.Env[Any, Any]", factory(**definition.settings, render_mode=render_mode))


def needed_extra(name: str) -> str | None:
    """Return the extra that an environment needs and that is not installed, or None."""
    if name not in PRESETS:
        return None
    try:
        PRESETS[name].check_installed(name)
    except MissingExtra:
        return PRESETS[name].extra
    return None
