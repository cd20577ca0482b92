"""The agent's interaction with the environment."""

import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.bc.policies import Clones
from r2rise.environments import Environment, begin_episode
from r2rise.observations import GymEnv, in_space

N_ENVS = 8
"""Number of environments that are stepped in turn, so that a policy acts on a batch."""


@dataclass(frozen=True, eq=False)
class Experience:
    """The agent's transitions.

    Attributes:
        obs: (n, *obs_shape), observations.
        acts: (n, *act_shape), actions on these observations.
        next_obs: (n, *obs_shape), the observations that followed.
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
    """Environments in which an agent gathers experience. They are created on first use."""

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
        """Act with sampled actions, starting with new episodes.

        Args:
            policy: A single policy, or None for uniformly random actions.
            n_steps: Number of steps of all environments together.
            seed: Seed of the environments and of the actions. It determines both completely.
            progress: Called after every few steps.

        Returns:
            The experience of `n_steps` steps. No transition spans two episodes.
        """
        import torch

        current = self._reset(seed)
        spaces = self._environment.observation_space, self._environment.action_space
        n_rounds = -(-n_steps // len(self._envs))
        obs, acts, next_obs = (
            np.zeros((n_rounds, len(self._envs), *(space.shape or ())), space.dtype)
            for space in (*spaces, spaces[0])
        )
        random_actions = copy.deepcopy(spaces[1])
        random_actions.seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for number in range(n_rounds):
                obs[number] = current
                if policy is None:
                    acts[number] = [random_actions.sample() for _ in self._envs]
                else:
                    acts[number] = policy.predict_many(obs[number][None], deterministic=False)[0]
                next_obs[number], current = self._step(acts[number])
                progress((number + 1) / n_rounds)
        arrays = (rows.reshape(-1, *rows.shape[2:])[:n_steps] for rows in (obs, acts, next_obs))
        return Experience(*arrays)

    def _reset(self, seed: int) -> NDArray[Any]:
        """Return the first observations of new episodes."""
        seeds = (np.random.SeedSequence(seed).generate_state(N_ENVS) >> 1).tolist()
        if not self._envs:
            self._envs = [self._environment.make(env_seed) for env_seed in seeds]
        resets = [begin_episode(*pair) for pair in zip(self._envs, seeds, strict=True)]
        return np.stack([self._shown(observation) for observation, _ in resets])

    def _shown(self, observation: Any) -> NDArray[Any]:
        return in_space(observation, self._environment.observation_space).copy()

    def _step(self, actions: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the next observations, and the current ones.

        They differ where an episode has ended: there the current one starts a new episode.
        """
        next_obs, current = [], []
        for env, action in zip(self._envs, actions, strict=True):
            observation, _, terminated, truncated, _ = env.step(action)
            next_obs.append(self._shown(observation))
            current.append(self._shown(env.reset()[0]) if terminated or truncated else next_obs[-1])
        return np.stack(next_obs), np.stack(current)
