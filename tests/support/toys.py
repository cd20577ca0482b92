"""Fake algorithms and environments whose answers are known."""

import functools
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from pydantic import BaseModel, ConfigDict

from r2rise import Demonstrations
from r2rise.design.tasks import Task, baseline_tasks, design_tasks
from r2rise.errors import Canceled
from r2rise.run.retraining import Retrainer
from r2rise.run.shards import Shard

N_DEMOS, LENGTH = 2, 40


class OneStep(gym.Env):
    """An environment of one step whose reward is the action."""

    metadata = {"render_modes": []}

    def __init__(self, offset: float = 0.0, reward_noise: float = 0.0):
        self.observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Box(-1e6, 1e6, (1,), np.float64)
        self.offset = offset
        self.reward_noise = reward_noise

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        noise = self.reward_noise * self.np_random.standard_normal()
        info = {"success": bool(action[0] > 0)}
        return np.zeros(1, np.float32), float(action[0]) + self.offset + noise, True, False, info


def demonstrations(n_demos: int = N_DEMOS, length: int = LENGTH) -> Demonstrations:
    n = n_demos * length
    return Demonstrations(
        obs=np.linspace(-1, 1, n + n_demos, dtype=np.float32)[:, None],
        acts=np.arange(n, dtype=np.float64)[:, None],
        lengths=np.full(n_demos, length),
        rews=np.resize(np.array([1, -1], np.float32), n),  # a demonstration returns hardly anything
        terminal=np.zeros(n_demos, bool),
        meta={"source": "tests"},
    )


def tasks(retrainer: Retrainer, kind: str, indices) -> tuple[Task, ...]:
    """The retrainings of some numbers that the retrainer's study asks for."""
    n_segments = len(retrainer.segments)
    if kind == "design":
        return tuple(design_tasks(retrainer.study, n_segments, indices))
    every = baseline_tasks(retrainer.study, n_segments, max(indices) + 1)
    return tuple(task for task in every if task.kind == kind and task.index in indices)


def task(retrainer: Retrainer, kind: str, index: int) -> Task:
    return tasks(retrainer, kind, [index])[0]


def shard(retrainer: Retrainer, kind: str, indices, attempts: int = 0) -> Shard:
    return Shard(tasks(retrainer, kind, indices), attempts)


class Constant:
    """A policy that always acts the same."""

    def __init__(self, value: float):
        self.value = value

    def predict(self, observation, *, deterministic=True):
        return np.full((len(observation), 1), self.value), None


def frame_values(n_frames: int) -> np.ndarray:
    """What each frame is worth to `Additive`."""
    return np.cos(np.arange(n_frames))


class Additive:
    """Return = sum of what the kept frames are worth, plus noise of the training seed."""

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        seed_noise: float = 0.0
        seconds: float = 0.0

    def __init__(self, settings: Settings):
        self.settings = settings

    def train(self, transitions, environment, seed, *, progress):
        progress(0.5)
        time.sleep(self.settings.seconds)
        noise = np.random.default_rng(seed).normal() * self.settings.seed_noise
        worth = frame_values(int(transitions.acts.max()) + 1)[transitions.frame].sum()
        return Constant(float(worth + noise))


class AdditiveFromNext(Additive):
    """The same, but it looks at the observations that followed."""

    uses_next_obs = True


zero = Constant(0.0)


def uses_global_generators(transitions, environment, seed, *, progress):
    """Draws from every global generator: differs unless they are seeded."""
    import random

    import torch

    return Constant(random.random() + np.random.random() + float(torch.rand(1)))


def raises(transitions, environment, seed, *, progress):
    raise ValueError("no way")


raises_with_lock = functools.partial(raises, threading.Lock())


def forgets_to_return(transitions, environment, seed, *, progress):
    Constant(1.0)


class ForgetsSome(Additive):
    """Trains many masks; the second is given no policy."""

    def masks_at_once(self, n_frames, environment):
        return 2

    def warm_up(self, environment):
        return [Constant(0.0)]

    def train_many(self, demonstrations, kept, environment, seed, *, threads, progress):
        return [Constant(0.0), *[None] * (len(kept) - 1)]


def raises_on_few_frames(transitions, environment, seed, *, progress):
    if len(transitions) < 36:
        raise ValueError("too few frames")
    return Constant(1.0)


def returns_nan(transitions, environment, seed, *, progress):
    return Constant(float("nan"))


def hangs_without_first_frame(transitions, environment, seed, *, progress):
    if transitions.frame[0] != 0:
        time.sleep(60)
    return Constant(float(len(transitions)))


class Hangs:
    """Makes a file and hangs where the first frame is masked."""

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        file: str

    def __init__(self, settings: Settings):
        self.settings = settings

    def train(self, transitions, environment, seed, *, progress):
        if transitions.frame[0] != 0:
            Path(self.settings.file).touch()
            time.sleep(60)
        return Constant(float(len(transitions)))


class Together:
    """An algorithm that trains many masks at once, to constants."""

    def masks_at_once(self, n_frames, environment):
        return 64

    def warm_up(self, environment):
        return [Constant(0.0)]

    def train(self, transitions, environment, seed, *, progress):
        return Constant(float(len(transitions)))

    def train_many(self, demonstrations, kept, environment, seed, *, threads, progress):
        return [Constant(float(n)) for n in kept.sum(axis=1)]


class HangsTogether(Together):
    """Hangs in the worker process itself, deaf to a cancel."""

    def train_many(self, demonstrations, kept, environment, seed, *, threads, progress):
        if not kept.all():
            time.sleep(120)
        return super().train_many(
            demonstrations, kept, environment, seed, threads=threads, progress=progress
        )


class DiesTogether(Together):
    """Kills the worker process itself."""

    def train_many(self, demonstrations, kept, environment, seed, *, threads, progress):
        if not kept.all():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train_many(
            demonstrations, kept, environment, seed, threads=threads, progress=progress
        )


def dies_without_first_frame(transitions, environment, seed, *, progress):
    if transitions.frame[0] != 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return Constant(float(len(transitions)))


def cancels(transitions, environment, seed, *, progress):
    raise Canceled("told to stop")


class Endless(OneStep):
    """Never ends by itself."""

    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, False, info


class DictObservations(gym.Env):
    """Shows position and goal as a dict."""

    metadata = {"render_modes": []}

    def __init__(self):
        self.observation_space = spaces.Dict(
            {"position": spaces.Box(-1, 1, (2,), np.float32), "goal": spaces.Box(0, 1, (1,))}
        )
        self.action_space = spaces.Discrete(2)

    def _observation(self) -> dict[str, Any]:
        return {"position": np.array([0.5, -0.5], np.float32), "goal": np.ones(1, np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action):
        return self._observation(), float(action), True, False, {}


class Fails(gym.Env):
    """An environment that cannot do one thing."""

    metadata = {"render_modes": ["rgb_array"]}
    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, wrong="", render_mode=None):
        self._wrong = wrong

    def reset(self, *, seed=None, options=None):
        return self._observation("reset"), {}

    def step(self, action):
        action[:] = 0  # some do that
        reward = np.inf if self._wrong == "reward" else 1.0
        return self._observation("step"), reward, True, False, {}

    def render(self):
        if self._wrong == "render":
            raise RuntimeError("no screen")
        kind = np.uint16 if self._wrong == "picture" else np.uint8
        return np.zeros((4, 4, 3), kind)

    def _observation(self, what):
        if what == self._wrong:
            raise RuntimeError(f"no {what}")
        return np.full(2, np.nan if self._wrong == "observation" else 0, np.float32)
