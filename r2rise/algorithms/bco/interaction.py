"""The agent's own interaction with the environment."""

import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.bc.policies import Clones
from r2rise.environments import Environment, GymEnv, begin_episode

SIDE_BY_SIDE = 8
"""Environments that are stepped in turn, so that a policy acts on a batch."""


@dataclass(frozen=True, eq=False)
class Experience:
    """What the agent did and saw.

    Attributes:
        obs: (n, *obs_shape), observations in which it acted.
        acts: (n, *act_shape), its actions.
        next_obs: (n, *obs_shape), observations that followed.
    """

    obs: NDArray[Any]
    acts: NDArray[Any]
    next_obs: NDArray[Any]

    def __len__(self) -> int:
        return len(self.acts)

    def __add__(self, other: "Experience") -> "Experience":
        return Experience(
            np.concatenate([self.obs, other.obs]),
            np.concatenate([self.acts, other.acts]),
            np.concatenate([self.next_obs, other.next_obs]),
        )


class Interaction:
    """Environments in which an agent gathers experience; made when first needed."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._envs: list[GymEnv] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for env in self._envs:
            env.close()

    def gather(
        self, policy: Clones | None, n_steps: int, seed: int, progress: ProgressCallback
    ) -> Experience:
        """Act from new episodes on, with sampled actions.

        Args:
            policy: One policy, or None for uniformly random actions.
            n_steps: Steps in all.
            seed: Of the environments and of the actions; nothing else changes them.
            progress: Called after every few steps.

        Returns:
            The experience of `n_steps` steps; no pair bridges two episodes.
        """
        import torch

        now = self._reset(seed)
        spaces = self._environment.observation_space, self._environment.action_space
        rounds = -(-n_steps // len(self._envs))
        obs, acts, next_obs = (
            np.zeros((rounds, len(self._envs), *(space.shape or ())), space.dtype)
            for space in (*spaces, spaces[0])
        )
        random_actions = copy.deepcopy(spaces[1])
        random_actions.seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for number in range(rounds):
                obs[number] = now
                if policy is None:
                    acts[number] = [random_actions.sample() for _ in self._envs]
                else:
                    acts[number] = policy.predict_many(obs[number][None], deterministic=False)[0]
                next_obs[number], now = self._step(acts[number])
                progress((number + 1) / rounds)
        flat = (rows.reshape(-1, *rows.shape[2:])[:n_steps] for rows in (obs, acts, next_obs))
        return Experience(*flat)

    def _reset(self, seed: int) -> NDArray[Any]:
        """Return the first observations of new episodes."""
        seeds = (np.random.SeedSequence(seed).generate_state(SIDE_BY_SIDE) >> 1).tolist()
        if not self._envs:
            self._envs = [self._environment.make(own) for own in seeds]
        begun = [begin_episode(env, own) for env, own in zip(self._envs, seeds, strict=True)]
        return np.stack([observation for observation, _ in begun])

    def _step(self, actions: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return what followed the actions, and what is seen now: the first of a new episode."""
        followed, now = [], []
        for env, action in zip(self._envs, actions, strict=True):
            observation, _, terminated, truncated, _ = env.step(action)
            followed.append(np.array(observation))
            now.append(env.reset()[0] if terminated or truncated else observation)
        return np.stack(followed), np.stack(now)
