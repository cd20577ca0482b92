"""Walks in the plane, whose actions can be told from where they led."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from r2rise import Demonstrations
from r2rise.environments import Environment
from r2rise.study.specs import EnvironmentSpec

SEED, LENGTH, N_DEMOS = 5, 20, 6
STEPS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
ACTIONS = {
    "discrete": spaces.Discrete(4, start=2),
    "multidiscrete": spaces.MultiDiscrete([3, 3]),
    "box": spaces.Box(-1.0, 1.0, (2,), np.float32),
}
QUICK = {"interactions": 400, "inverse_epochs": 40, "n_epochs": 3, "device": "cpu"}


class Walk(gym.Env):
    """A walk in the plane for LENGTH steps: what was done can be told from where it led.

    Beyond x = `flip_at` every move goes the other way.
    """

    metadata = {"render_modes": []}

    def __init__(self, kind="discrete", image=False, flip_at=None):
        self.kind, self.image, self.flip_at = kind, image, flip_at
        self.action_space = ACTIONS[kind]
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        if image:
            self.observation_space = spaces.Box(0, 255, (10, 10, 2), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.at = 0, self.np_random.uniform(-1, 1, 2)
        if self.image:
            self.at = self.at % 10
        return self.seen(), {}

    def step(self, action):
        flipped = self.flip_at is not None and self.at[0] > self.flip_at
        self.at = self.at + (-1 if flipped else 1) * self.move(action)
        if self.image:
            self.at = self.at % 10
        self.time += 1
        return self.seen(), float(self.at[0]), False, self.time == LENGTH, {}

    def move(self, action):
        if self.kind == "discrete":
            return STEPS[action - 2]
        return np.asarray(action) - (1 if self.kind == "multidiscrete" else 0)

    def seen(self):
        if not self.image:
            return self.at.astype(np.float32)
        picture = np.zeros((10, 10, 2), np.uint8)
        x, y = self.at.astype(int)
        picture[x, y, 0] = 255
        return picture


def walk(**kwargs):
    return Environment(EnvironmentSpec(id="tests:Walk", factory=Walk, kwargs=kwargs))


def demonstrations(environment, act=None, n=N_DEMOS):
    """Walks of random actions, or of those that `act` chooses from an observation."""
    obs, acts = [], []
    for number in range(n):
        env = environment.make(100 + number)
        obs.append(env.reset(seed=number)[0])
        for _ in range(LENGTH):
            acts.append(env.action_space.sample() if act is None else act(obs[-1]))
            obs.append(env.step(acts[-1])[0])
    return Demonstrations(obs=np.array(obs), acts=np.array(acts), lengths=np.full(n, LENGTH))


def masks(demos, n=4):
    """Masks of whole pairs, as retraining makes them: the first keeps less than a batch."""
    kept = np.random.default_rng(0).random((n, demos.n_frames)) < np.linspace(0.2, 0.9, n)[:, None]
    return demos.trainable(kept, next_obs=True)
