"""A learner simple enough to compute the exact importance of every segment."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.algorithms import Policy, ProgressCallback
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment

REACH = 0.5
"""Frames farther than this from an observation do not affect its action."""
_TOLERANCE = 1e-6  # of equal distances, for rounding errors


class Table:
    """A lookup table of frames, for observations that are vectors.

    Discrete actions: the most frequent action of the kept frames with exactly this observation, the
    lowest in a tie; action 0 where there is no such frame. Box actions: the mean action of the
    nearest kept frames, all ties included, within a distance of 0.5; zeros where there is none.
    Training and prediction are deterministic.
    """

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,  # noqa: ARG002  (nothing is random)
        *,
        progress: ProgressCallback,
    ) -> Policy:
        """Store the frames; see `Algorithm.train`."""
        progress(1.0)
        obs = transitions.obs.astype(np.float64)
        if isinstance(environment.action_space, spaces.Discrete):
            return _Votes(obs, transitions.acts, int(environment.action_space.n))
        return _Nearest(obs, transitions.acts)


class _Votes:
    """The most frequent action of each observation."""

    def __init__(self, obs: NDArray[Any], acts: NDArray[Any], n_actions: int) -> None:
        self._votes: dict[bytes, NDArray[np.int64]] = {}
        for observation, action in zip(obs, acts, strict=True):
            no_votes = np.zeros(n_actions, dtype=np.int64)
            self._votes.setdefault(observation.tobytes(), no_votes)[action] += 1

    def predict(
        self,
        observation: NDArray[Any],
        *,
        deterministic: bool = True,  # noqa: ARG002  (nothing is random)
    ) -> tuple[NDArray[Any], None]:
        votes_by_row = [self._votes.get(row.tobytes()) for row in observation.astype(np.float64)]
        return np.array([0 if votes is None else votes.argmax() for votes in votes_by_row]), None


class _Nearest:
    """The mean action of the nearest frames."""

    def __init__(self, obs: NDArray[Any], acts: NDArray[Any]) -> None:
        self._obs, self._acts = obs, acts

    def predict(
        self,
        observation: NDArray[Any],
        *,
        deterministic: bool = True,  # noqa: ARG002  (nothing is random)
    ) -> tuple[NDArray[Any], None]:
        if not len(self._obs):
            return np.zeros((len(observation), *self._acts.shape[1:]), self._acts.dtype), None
        distances = np.linalg.norm(observation[:, None] - self._obs, axis=2)
        smallest = distances.min(axis=1, keepdims=True)
        is_nearest = (distances <= smallest + _TOLERANCE) & (smallest <= REACH)
        weights = is_nearest / np.maximum(is_nearest.sum(axis=1, keepdims=True), 1)
        return (weights @ self._acts).astype(self._acts.dtype), None
