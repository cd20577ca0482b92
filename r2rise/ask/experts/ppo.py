"""PPO of Stable-Baselines3. Imported only where an expert is trained."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecEnv,
    VecMonitor,
    VecNormalize,
)

from r2rise.ask.experts.networks import Images, Vectors
from r2rise.ask.experts.recipes import Recipe, image_pixels
from r2rise.environments import Environment
from r2rise.files import atomic_file
from r2rise.run.progress import OnProgress, Progress

N_CHECKS = 50
"""How often, in the course of training, the best expert so far is looked for."""


def open_envs(environment: Environment, recipe: Recipe) -> VecEnv:
    """Return environments side by side, whose rewards are scaled for training alone.

    They raise when something that they give is not a finite number.
    """
    envs = VecMonitor(DummyVecEnv([lambda: environment.make(0)] * recipe.n_envs))
    return VecNormalize(VecCheckNan(envs, raise_exception=True), norm_obs=False, gamma=recipe.gamma)


def make_ppo(envs: VecEnv, recipe: Recipe, seed: int) -> PPO:
    """Return PPO before its first step; it seeds the environments."""
    return PPO(
        "MlpPolicy",
        envs,
        n_steps=recipe.n_steps,
        batch_size=recipe.even_batch_size,
        n_epochs=recipe.n_epochs,
        learning_rate=_Falling(recipe.learning_rate),
        gamma=recipe.gamma,
        gae_lambda=recipe.gae_lambda,
        ent_coef=recipe.ent_coef,
        clip_range=recipe.clip_range,
        policy_kwargs=_network(envs.observation_space),
        seed=seed,
        device=recipe.device,
    )


class _Falling:
    """A step size that falls linearly to 0."""

    def __init__(self, start: float) -> None:
        self._start = start

    def __call__(self, remaining: float) -> float:
        return remaining * self._start


def _network(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return the network for observations: two hidden layers, or what sees images and no more."""
    if image_pixels(space) is not None:
        return {
            "features_extractor_class": Images,
            "net_arch": [],
            "activation_fn": torch.nn.ReLU,
        }
    if isinstance(space, spaces.Box):
        return {"features_extractor_class": Vectors}
    return {}


class Keeper(BaseCallback):
    """Keeps the best model so far in a file, measures vectors, and tells progress.

    Attributes:
        steps: Of the environment, when the kept model was found.
    """

    def __init__(self, out: Path, total: int, on_progress: OnProgress | None) -> None:
        super().__init__()
        self.steps = 0
        self._out = out
        self._total = total
        self._on_progress = on_progress
        self._best: float | None = None
        self._next_check = 0
        self._seen: NDArray[Any] | None = None

    def keep(self) -> None:
        """Write the model if it is the first, or the best so far by its last 100 episodes."""
        returns = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        mean = float(np.mean(returns)) if returns else -np.inf
        if self._best is None or mean > self._best:
            saved = io.BytesIO()  # it refuses other files than Python's own
            self.model.save(saved)
            with atomic_file(self._out) as file:
                file.write(saved.getvalue())
            self._best, self.steps = mean, self.num_timesteps

    def _on_step(self) -> bool:
        if self._on_progress and self.n_calls % 16 == 0:
            done = min(self.num_timesteps, self._total)
            self._on_progress(Progress(done, self._total, failed=0, resumed=0))
        return True

    def _on_rollout_start(self) -> None:
        extractor = self.model.policy.features_extractor
        if isinstance(extractor, Vectors) and self._seen is not None:
            extractor.learn(self._seen)  # here, so that no update sees another scale than its data
        if self.num_timesteps >= self._next_check and self.model.ep_info_buffer:
            self._next_check += self._total // N_CHECKS
            self.keep()

    def _on_rollout_end(self) -> None:
        seen: NDArray[Any] = self.locals["rollout_buffer"].observations
        self._seen = seen.reshape(-1, *seen.shape[2:])
