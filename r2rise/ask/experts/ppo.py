"""PPO of Stable-Baselines3; imported only where an expert is trained."""

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
"""Number of times during training that the current expert is compared with the best so far."""


def open_envs(environment: Environment, recipe: Recipe) -> VecEnv:
    """Return parallel environments whose rewards are scaled, for training only.

    They raise when an observation or reward is not finite.
    """
    envs = VecMonitor(DummyVecEnv([lambda: environment.make(0)] * recipe.n_envs))
    return VecNormalize(VecCheckNan(envs, raise_exception=True), norm_obs=False, gamma=recipe.gamma)


def make_ppo(envs: VecEnv, recipe: Recipe, seed: int) -> PPO:
    """Return an untrained PPO model; making it seeds the environments."""
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
    """A learning rate that falls linearly to 0; model files refer to this class by name."""

    def __init__(self, start: float) -> None:
        self._start = start

    def __call__(self, remaining: float) -> float:
        return remaining * self._start


def _network(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return the network settings: a feature extractor alone for images, else two hidden layers."""
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
    """Saves the best model so far, updates the statistics of vectors, and reports progress.

    Attributes:
        steps: Steps of the environment at which the saved model was the best.
    """

    def __init__(self, out: Path, total: int, on_progress: OnProgress | None) -> None:
        super().__init__()
        self.steps = 0
        self._out = out
        self._total = total
        self._on_progress = on_progress
        self._best: float | None = None
        self._next_check = 0
        self._observations: NDArray[Any] | None = None

    def keep(self) -> None:
        """Save the model if it is the first, or the best so far by its last 100 episodes."""
        returns = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        mean = float(np.mean(returns)) if returns else -np.inf
        if self._best is None or mean > self._best:
            content = (
                io.BytesIO()
            )  # Stable-Baselines3 accepts only file types of the standard library
            self.model.save(content)
            with atomic_file(self._out) as file:
                file.write(content.getvalue())
            self._best, self.steps = mean, self.num_timesteps

    def _on_step(self) -> bool:
        if self._on_progress and self.n_calls % 16 == 0:
            done = min(self.num_timesteps, self._total)
            self._on_progress(Progress(done, self._total, failed=0, resumed=0))
        return True

    def _on_rollout_start(self) -> None:
        extractor = self.model.policy.features_extractor
        if isinstance(extractor, Vectors) and self._observations is not None:
            extractor.learn(
                self._observations
            )  # here: an update and its data must have the same scale
        if self.num_timesteps >= self._next_check and self.model.ep_info_buffer:
            self._next_check += self._total // N_CHECKS
            self.keep()

    def _on_rollout_end(self) -> None:
        observations: NDArray[Any] = self.locals["rollout_buffer"].observations
        self._observations = observations.reshape(-1, *observations.shape[2:])
