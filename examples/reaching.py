"""An environment of your own, and demonstrations of mixed quality in it.

    r2rise explain reaching.npz --env reaching:Reaching-v0 --out out

after `python reaching.py` has written `reaching.npz`; both run in the folder of this file.
"""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from r2rise import Demonstrations

STEPS = 60
REACH = 0.05
"""Way of one step at full speed."""
CLOSE = 0.05


class Reaching(gym.Env):
    """Move a point to a goal in the plane; the reward is minus the distance."""

    metadata = {"render_modes": []}

    def __init__(self):
        self.observation_space = spaces.Box(-4.0, 4.0, (4,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        return self._observation(), {}

    def step(self, action):
        self.position = np.clip(self.position + REACH * np.clip(action, -1, 1), -1, 1)
        distance = float(np.linalg.norm(self.goal - self.position))
        success = distance < CLOSE
        return self._observation(), -distance, success, False, {"is_success": success}

    def _observation(self):
        return np.concatenate([self.position, self.goal - self.position]).astype(np.float32)


def demonstrations(random_shares=(0.0, 0.0, 0.8, 0.1, 0.1, 0.0, 0.1, 0.1), seed=0):
    """Return a demonstration for each share of its actions that is random."""
    rng = np.random.default_rng(seed)
    parts = [_demonstration(share, rng) for share in random_shares]
    obs, acts, rews = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    lengths = np.array([len(own[1]) for own in parts])
    terminal = lengths < STEPS
    return Demonstrations(obs=obs, acts=acts, rews=rews, lengths=lengths, terminal=terminal)


def _demonstration(random_share, rng):
    env = Reaching()
    observation, _ = env.reset(seed=int(rng.integers(2**31)))
    obs, acts, rews, ended = [observation], [], [], False
    while not ended and len(acts) < STEPS:
        towards = np.clip((env.goal - env.position) / REACH, -1, 1)
        at_random = rng.random() < random_share
        action = (rng.uniform(-1, 1, 2) if at_random else towards).astype(np.float32)
        observation, reward, ended, _, _ = env.step(action)
        obs.append(observation), acts.append(action), rews.append(reward)
    return np.array(obs), np.array(acts), np.array(rews, np.float32)


gym.register("Reaching-v0", entry_point=Reaching, max_episode_steps=STEPS)

if __name__ == "__main__":
    demonstrations().save("reaching.npz")
