"""Shared parts of the algorithms that learn by interaction.

Importing this module imports Stable-Baselines3 and `imitation`.
"""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from imitation.rewards.reward_nets import PredictProcessedWrapper, RewardNet
from imitation.util.logger import HierarchicalLogger
from imitation.util.networks import RunningNorm
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecTransposeImage

from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.rl_spaces import takes_cnn
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment

_CLIP = 10.0  # standard deviations, as in Stable-Baselines3's VecNormalize


class ClippedNorm(RunningNorm):
    """Normalises features to mean 0 and standard deviation 1 by running averages, and clips them.

    Without clipping, a feature that hardly ever changes would become huge when it does change.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return normalised features. In training mode, first update the averages with them."""
        normalized: torch.Tensor = super().forward(x)
        return normalized.clamp(-_CLIP, _CLIP)


class NormalizingExtractor(FlattenExtractor):
    """Flattens and normalises observations. The running averages are part of the policy."""

    def __init__(self, observation_space: spaces.Space[Any]) -> None:
        super().__init__(observation_space)
        self.normalize = ClippedNorm(self.features_dim)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return (n, n_features) for (n, *obs_shape)."""
        normalized: torch.Tensor = self.normalize(super().forward(observations))
        return normalized


class LogitReward(PredictProcessedWrapper):
    """The reward of Fu et al. (2018): log D - log(1 - D) = f(s, a, s') - log pi(a | s).

    `imitation` uses f alone as the reward. f is negative wherever the expert is not certain. A
    generator that can end its episodes would then learn to end them early.

    Args:
        base: f, the reward network.
        pi: The generator's policy.
    """

    def __init__(self, base: RewardNet, pi: ActorCriticPolicy) -> None:
        super().__init__(base)
        self._evaluate = pi.evaluate_actions  # not pi: a module attribute would join the parameters

    def predict_processed(
        self,
        state: NDArray[Any],
        action: NDArray[Any],
        next_state: NDArray[Any],
        done: NDArray[Any],
        **_: Any,
    ) -> NDArray[Any]:
        """Return the rewards, (n,), of the generator's steps."""
        reward: NDArray[Any] = self.base.predict_processed(state, action, next_state, done)
        with torch.no_grad():
            log_p = self._evaluate(torch.as_tensor(state), torch.as_tensor(action))[1]
        reward -= log_p.numpy()
        return reward


class SilentLogger(HierarchicalLogger):
    """Discards everything, where `imitation` would create log folders."""

    def __init__(self) -> None:
        super().__init__(Logger(folder=None, output_formats=[]))

    @contextlib.contextmanager
    def accumulate_means(self, name: str) -> Iterator[None]:  # noqa: ARG002
        """Discard the means."""
        yield

    def record(self, key: str, val: Any, exclude: Any = None) -> None:
        """Discard the value."""

    def dump(self, step: int = 0) -> None:
        """Write nothing."""


class ProgressReporter(BaseCallback):
    """Reports the fraction of all environment steps done, at each step and each update.

    Args:
        progress: Receives the fraction. An exception that it raises ends the training.
        total_steps: Environment steps of the whole training.
    """

    def __init__(self, progress: ProgressCallback, total_steps: int) -> None:
        super().__init__()
        self._progress, self._total_steps = progress, total_steps

    def watch(self, learner: BaseAlgorithm) -> None:
        """Also report after each update of a learner's networks."""
        for module in _modules_with_optimizers(learner.policy):
            module.optimizer.register_step_post_hook(self.report)

    def report(self, *_: Any) -> None:
        """Report the current fraction. The arguments, those of torch's hooks, are ignored."""
        self._progress(min(self.num_timesteps / self._total_steps, 1.0))

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """Keep no reference to the learner, so that its memory is freed as soon as it is done."""

    def _on_training_start(self) -> None:
        self.locals, self.globals = {}, {}

    def _on_step(self) -> bool:
        self.report()
        return True

    def _on_training_end(self) -> None:
        del self.model


def _modules_with_optimizers(policy: BasePolicy) -> list[Any]:
    return [module for module in policy.modules() if hasattr(module, "optimizer")]


@contextlib.contextmanager
def make_vec_env(environment: Environment, n_envs: int, seed: int) -> Iterator[VecEnv]:
    """Seed all global generators, and make environments that step together in this process.

    Images are transposed to channels first, as the networks expect them.
    """
    set_random_seed(seed)
    seeds = np.random.SeedSequence(seed).generate_state(n_envs) >> 1
    venv: VecEnv = DummyVecEnv(
        [functools.partial(environment.make, int(env_seed)) for env_seed in seeds]
    )
    if _channels_last(venv.observation_space):
        venv = VecTransposeImage(venv)
    with contextlib.closing(venv), warnings.catch_warnings():
        # Newer versions of torch and numpy warn about how imitation logs the loss and handles
        # Discrete observations.
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
        warnings.filterwarnings("ignore", message="tried to wrap <class 'numpy")
        yield venv


def convert_for_learner(transitions: Transitions, environment: Environment) -> Transitions:
    """Return the expert's transitions in the form of the learner's own.

    Images are transposed to channels first. Box actions are clipped to the action space: otherwise
    actions out of bounds would distinguish the expert from the learner.
    """
    obs, next_obs, acts = transitions.obs, transitions.next_obs, transitions.acts
    if _channels_last(environment.observation_space):
        obs, next_obs = (VecTransposeImage.transpose_image(images) for images in (obs, next_obs))
    if isinstance(environment.action_space, spaces.Box):
        acts = np.clip(acts, environment.action_space.low, environment.action_space.high)
    return replace(transitions, obs=obs, next_obs=next_obs, acts=acts)


def _channels_last(space: spaces.Space[Any]) -> bool:
    return is_image_space(space) and not is_image_space_channels_first(cast("spaces.Box", space))


def policy_arguments(space: spaces.Space[Any], hidden_sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return `policy` and `policy_kwargs` of a Stable-Baselines3 learner.

    Vectors are normalised. Images go through a CNN; small ones are flattened and go through an MLP.
    """
    policy_kwargs: dict[str, Any] = {"net_arch": list(hidden_sizes)}
    if takes_cnn(space):
        return {"policy": "CnnPolicy", "policy_kwargs": policy_kwargs}
    if isinstance(space, spaces.Box) and not is_image_space(space):
        policy_kwargs["features_extractor_class"] = NormalizingExtractor
    return {"policy": "MlpPolicy", "policy_kwargs": policy_kwargs}


def extract_actor(policy: BasePolicy) -> BasePolicy:
    """Return the part of a trained policy that chooses actions, without its optimizers."""
    actor: BasePolicy = getattr(policy, "actor", None) or getattr(policy, "q_net", None) or policy
    for module in _modules_with_optimizers(actor):
        del module.optimizer
    actor.set_training_mode(False)
    return actor


def scale_actions(acts: NDArray[Any], space: spaces.Box) -> NDArray[Any]:
    """Return Box actions scaled from their bounds to [-1, 1], as in SAC's replay buffer."""
    fraction: NDArray[Any] = (acts - space.low) / (space.high - space.low)
    return 2 * fraction - 1
