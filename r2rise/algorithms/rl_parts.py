"""What the algorithms that learn by acting share; imports Stable-Baselines3 and `imitation`."""

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
    """Features with mean 0 and standard deviation 1, by running averages, clipped.

    A feature that hardly ever changes would otherwise be huge when it does.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return normalised features; in training mode the averages take them in."""
        normalized: torch.Tensor = super().forward(x)
        return normalized.clamp(-_CLIP, _CLIP)


class NormalizingExtractor(FlattenExtractor):
    """The flat observation, normalised; the averages are part of the policy."""

    def __init__(self, observation_space: spaces.Space[Any]) -> None:
        super().__init__(observation_space)
        self.normalize = ClippedNorm(self.features_dim)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return (n, n_features) for (n, *obs_shape)."""
        normalized: torch.Tensor = self.normalize(super().forward(observations))
        return normalized


class LogitReward(PredictProcessedWrapper):
    """The reward of Fu et al. (2018): log D - log(1 - D) = f(s, a, s') - log pi(a | s).

    `imitation` rewards with f alone. That is negative wherever the expert is not certain, so that
    a generator whose episodes can end learns to end them.

    Args:
        base: f, the reward network.
        pi: The generator's policy.
    """

    def __init__(self, base: RewardNet, pi: ActorCriticPolicy) -> None:
        super().__init__(base)
        self._evaluate = pi.evaluate_actions  # pi itself would count as part of the reward

    def predict_processed(
        self,
        state: NDArray[Any],
        action: NDArray[Any],
        next_state: NDArray[Any],
        done: NDArray[Any],
        **_: Any,
    ) -> NDArray[Any]:
        """Return rewards (n,) of steps that the generator took."""
        reward: NDArray[Any] = self.base.predict_processed(state, action, next_state, done)
        with torch.no_grad():
            log_p = self._evaluate(torch.as_tensor(state), torch.as_tensor(action))[1]
        reward -= log_p.numpy()
        return reward


class Silence(HierarchicalLogger):
    """Keeps nothing and writes nothing, where `imitation` would make folders."""

    def __init__(self) -> None:
        super().__init__(Logger(folder=None, output_formats=[]))

    @contextlib.contextmanager
    def accumulate_means(self, name: str) -> Iterator[None]:  # noqa: ARG002
        """Do nothing."""
        yield

    def record(self, key: str, val: Any, exclude: Any = None) -> None:
        """Do nothing."""

    def dump(self, step: int = 0) -> None:
        """Do nothing."""


class Report(BaseCallback):
    """Reports how much of all environment steps is done, at each step and each update.

    Args:
        progress: Told the share; what it raises ends the training.
        total_steps: Environment steps of the whole training.
    """

    def __init__(self, progress: ProgressCallback, total_steps: int) -> None:
        super().__init__()
        self._progress, self._total_steps = progress, total_steps

    def watch(self, learner: BaseAlgorithm) -> None:
        """Also report after each update of a learner's networks."""
        for part in _with_optimizers(learner.policy):
            part.optimizer.register_step_post_hook(self.tell)

    def tell(self, *_: Any) -> None:
        """Report."""
        self._progress(min(self.num_timesteps / self._total_steps, 1.0))

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """Keep nothing: what learns must go when it is done, not when garbage is collected."""

    def _on_training_start(self) -> None:
        self.locals, self.globals = {}, {}

    def _on_step(self) -> bool:
        self.tell()
        return True

    def _on_training_end(self) -> None:
        del self.model


def _with_optimizers(policy: BasePolicy) -> list[Any]:
    return [part for part in policy.modules() if hasattr(part, "optimizer")]


@contextlib.contextmanager
def opened(environment: Environment, n_envs: int, seed: int) -> Iterator[VecEnv]:
    """Seed all generators, and make environments that step together in this process.

    Images have their channels first, as the networks want them.
    """
    set_random_seed(seed)
    seeds = np.random.SeedSequence(seed).generate_state(n_envs) >> 1
    venv: VecEnv = DummyVecEnv([functools.partial(environment.make, int(own)) for own in seeds])
    if _channels_last(venv.observation_space):
        venv = VecTransposeImage(venv)
    with contextlib.closing(venv), warnings.catch_warnings():
        # imitation logs the loss, and looks at Discrete observations, in ways that newer
        # versions of torch and numpy warn of
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
        warnings.filterwarnings("ignore", message="tried to wrap <class 'numpy")
        yield venv


def as_seen(transitions: Transitions, environment: Environment) -> Transitions:
    """Return the expert's transitions as the learner sees its own.

    Images have their channels first, and Box actions are clipped to the action space: otherwise
    actions out of bounds would tell the expert from the learner.
    """
    obs, next_obs, acts = transitions.obs, transitions.next_obs, transitions.acts
    if _channels_last(environment.observation_space):
        obs, next_obs = (VecTransposeImage.transpose_image(image) for image in (obs, next_obs))
    if isinstance(environment.action_space, spaces.Box):
        acts = np.clip(acts, environment.action_space.low, environment.action_space.high)
    return replace(transitions, obs=obs, next_obs=next_obs, acts=acts)


def _channels_last(space: spaces.Space[Any]) -> bool:
    return is_image_space(space) and not is_image_space_channels_first(cast("spaces.Box", space))


def policy_arguments(space: spaces.Space[Any], hidden_sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return `policy` and `policy_kwargs` of a Stable-Baselines3 learner.

    Vectors are normalised; images go through a CNN, or flat through the layers if they are small.
    """
    network: dict[str, Any] = {"net_arch": list(hidden_sizes)}
    if takes_cnn(space):
        return {"policy": "CnnPolicy", "policy_kwargs": network}
    if isinstance(space, spaces.Box) and not is_image_space(space):
        network["features_extractor_class"] = NormalizingExtractor
    return {"policy": "MlpPolicy", "policy_kwargs": network}


def only_what_acts(policy: BasePolicy) -> BasePolicy:
    """Return the part of a trained policy that chooses actions, without optimizers."""
    actor: BasePolicy = getattr(policy, "actor", None) or getattr(policy, "q_net", None) or policy
    for part in _with_optimizers(actor):
        del part.optimizer
    actor.set_training_mode(False)
    return actor


def scaled(acts: NDArray[Any], space: spaces.Box) -> NDArray[Any]:
    """Return Box actions scaled from their bounds to -1 to 1, as SAC keeps its own."""
    share: NDArray[Any] = (acts - space.low) / (space.high - space.low)
    return 2 * share - 1
