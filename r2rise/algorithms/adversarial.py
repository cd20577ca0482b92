"""Generative adversarial imitation learning and adversarial inverse reinforcement learning.

Both are the implementations of the `imitation` library, with Stable-Baselines3's PPO as the
generator.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from gymnasium import spaces
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from r2rise.algorithms.amounts import ENVIRONMENT_STEPS
from r2rise.algorithms.base import Policy, ProgressCallback, TrainingAmount
from r2rise.algorithms.batch_order import SharedOrder
from r2rise.algorithms.rl_spaces import check_spaces, refuse, takes_cnn
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment
from r2rise.errors import require

if TYPE_CHECKING:
    from imitation.algorithms.adversarial.common import AdversarialTrainer
    from imitation.rewards.reward_nets import RewardNet
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecEnv

_ACTIONS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete)
_CHANNELS = (16, 32, 64)
_DOWNSAMPLING = {"kernel_size": 3, "stride": 2, "padding": 1}
_IMAGES_AT_ONCE = 256
"""Images of expert and generator each per backward pass, which then takes about a second."""


class AdversarialSettings(BaseModel):
    """Settings of `gail` and `airl`.

    A round: PPO acts for `n_envs` x `n_steps` steps, rewarded by the reward network, and is
    updated; then the reward network is updated `n_disc_updates` times.

    Attributes:
        total_steps: Environment steps of a training, rounded down to whole rounds.
        n_envs: Environments that step together.
        n_steps: Steps of each environment in a round.
        demo_batch_size: Frames of the demonstrations in an update of the reward network, and as
            many of the generator's; fewer where fewer are kept (large images: a multiple of 256,
            where there are more than that).
        n_disc_updates: Updates of the reward network in a round.
        disc_learning_rate: Adam's step size for the reward network.
        reward_hidden_sizes: Units of each hidden layer of the reward network (vectors only; for
            images it is a CNN of three layers).
        shaped: Whether the reward is shaped by a potential of the state (Fu et al. 2018).
        hidden_sizes: Units of each hidden layer of the policy (for images after the CNN).
        learning_rate: Adam's step size for the policy.
        n_epochs: PPO's passes over the steps of a round.
        batch_size: Steps in an update of PPO; a divisor of `n_envs` x `n_steps`.
        gamma: Discount of a step.
        gae_lambda: Decay of PPO's advantages.
        ent_coef: Weight of PPO's entropy bonus.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    total_steps: int = Field(default=50_000, ge=1)
    n_envs: int = Field(default=8, ge=1)
    n_steps: int = Field(default=128, ge=1)
    demo_batch_size: int = Field(default=256, ge=1)
    n_disc_updates: int = Field(default=4, ge=1)
    disc_learning_rate: float = Field(default=1e-3, gt=0)
    reward_hidden_sizes: tuple[PositiveInt, ...] = (32, 32)
    shaped: bool = False
    hidden_sizes: tuple[PositiveInt, ...] = (64, 64)
    learning_rate: float = Field(default=1e-3, gt=0)
    n_epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=128, ge=2)
    gamma: float = Field(default=0.99, gt=0, le=1)
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    ent_coef: float = Field(default=0.0, ge=0)

    @property
    def round_steps(self) -> int:
        """Environment steps of a round."""
        return self.n_envs * self.n_steps

    @model_validator(mode="after")
    def _check_rounds(self) -> Self:
        if self.round_steps % self.batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} does not divide the {self.round_steps} steps of a "
                f"round (n_envs x n_steps)"
            )
        if self.total_steps < self.round_steps:
            raise ValueError(
                f"total_steps {self.total_steps} is less than one round of {self.round_steps} "
                f"(n_envs x n_steps)"
            )
        return self


class _Adversarial:
    """The alternating training that both algorithms share. They differ in the reward."""

    uses_next_obs = True
    training_amount: ClassVar[TrainingAmount] = ENVIRONMENT_STEPS
    name: str

    def __init__(self, settings: AdversarialSettings) -> None:
        require("imitation", f"The algorithm {self.name!r}", "imitation")
        self.settings = settings

    def check_environment(self, environment: Environment) -> None:
        """Check that PPO and the reward network can handle the spaces.

        Raises:
            EnvironmentMismatch: If they cannot.
        """
        check_spaces(self.name, environment, _ACTIONS)
        space = environment.action_space
        if takes_cnn(environment.observation_space) and not isinstance(space, spaces.Discrete):
            refuse(self.name, environment, f"images need Discrete actions, got {space}")

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,
        *,
        progress: ProgressCallback,
    ) -> Policy:
        """Train on the kept transitions; see `Algorithm.train`."""
        from r2rise.algorithms import rl_parts as parts

        settings = self.settings
        n_rounds = settings.total_steps // settings.round_steps
        reporter = parts.ProgressReporter(progress, n_rounds * settings.round_steps)
        reporter.report()
        with parts.make_vec_env(environment, settings.n_envs, seed) as venv:
            expert = parts.convert_for_learner(transitions, environment)
            generator = self._generator(venv)
            reward = self._reward(venv, generator)
            reporter.watch(generator)
            reward.register_forward_hook(reporter.report)
            batch_size, minibatch_size = self._batch_sizes(venv, len(expert))
            trainer = self._trainer_class()(
                demonstrations=cast("Any", SharedOrder(expert, seed, batch_size)),
                demo_batch_size=batch_size,
                demo_minibatch_size=minibatch_size,
                venv=venv,
                gen_algo=generator,
                reward_net=reward,
                n_disc_updates_per_round=settings.n_disc_updates,
                disc_opt_kwargs={"lr": settings.disc_learning_rate},
                allow_variable_horizon=True,
                custom_logger=parts.SilentLogger(),
            )
            trainer.gen_callback = cast("Any", reporter)  # replaces the default, which logs
            _alternate(trainer, n_rounds, reporter)
        progress(1.0)
        policy: Policy = parts.extract_actor(generator.policy)
        return policy

    def least_amount(self, n_frames: int) -> int:  # noqa: ARG002  (training is measured in steps)
        """Return a quarter of `total_steps`, but at least one round; see `CountsTraining`."""
        return max(self.settings.total_steps // 4, self.settings.round_steps)

    def _trainer_class(self) -> "type[AdversarialTrainer]":
        raise NotImplementedError

    def _batch_sizes(self, venv: "VecEnv", n_kept: int) -> tuple[int, int]:
        """Return the batch size of the reward network, and the size of its minibatches."""
        size = min(self.settings.demo_batch_size, n_kept)
        if not takes_cnn(venv.observation_space) or size <= _IMAGES_AT_ONCE:
            return size, size
        return size - size % _IMAGES_AT_ONCE, _IMAGES_AT_ONCE

    def _generator(self, venv: "VecEnv") -> "PPO":
        from stable_baselines3 import PPO

        from r2rise.algorithms.rl_parts import policy_arguments

        settings = self.settings
        return PPO(
            **policy_arguments(venv.observation_space, settings.hidden_sizes),
            env=venv,
            n_steps=settings.n_steps,
            batch_size=settings.batch_size,
            n_epochs=settings.n_epochs,
            learning_rate=settings.learning_rate,
            gamma=settings.gamma,
            gae_lambda=settings.gae_lambda,
            ent_coef=settings.ent_coef,
            device="cpu",
        )

    def _reward(self, venv: "VecEnv", generator: "PPO") -> "RewardNet":  # noqa: ARG002
        """Return the network that is trained to distinguish expert steps from generator steps."""
        from imitation.rewards import reward_nets as nets

        from r2rise.algorithms.rl_parts import ClippedNorm

        observation_space, action_space = venv.observation_space, venv.action_space
        base: RewardNet
        potential: Any
        if takes_cnn(observation_space):
            cnn: dict[str, Any] = {**_DOWNSAMPLING, "hwc_format": False}
            base = nets.CnnRewardNet(observation_space, action_space, hid_channels=_CHANNELS, **cnn)
            potential = nets.BasicPotentialCNN(observation_space, _CHANNELS, **cnn)
        else:
            sizes = self.settings.reward_hidden_sizes
            mlp: dict[str, Any] = {"hid_sizes": sizes, "normalize_input_layer": ClippedNorm}
            base = nets.BasicRewardNet(observation_space, action_space, **mlp)
            potential = nets.BasicPotentialMLP(observation_space, **mlp)
        if not self.settings.shaped:
            return base
        return nets.ShapedRewardNet(base, potential, self.settings.gamma)


def _alternate(trainer: "AdversarialTrainer", n_rounds: int, reporter: Any) -> None:
    """Do the same as `trainer.train`, but call the reporter instead of showing a progress bar."""
    from imitation.util.networks import training

    for _ in range(n_rounds):
        trainer.train_gen()
        for _ in range(trainer.n_disc_updates_per_round):
            with training(trainer.reward_train):
                trainer.train_disc()
            reporter.report()


class GAIL(_Adversarial):
    """Generative adversarial imitation learning (Ho and Ermon 2016)."""

    name = "gail"

    class Settings(AdversarialSettings):
        """Settings of `gail`."""

    def _trainer_class(self) -> "type[AdversarialTrainer]":
        from imitation.algorithms.adversarial import gail

        return gail.GAIL


class AIRL(_Adversarial):
    """Adversarial inverse reinforcement learning (Fu et al. 2018)."""

    name = "airl"

    class Settings(AdversarialSettings):
        """Settings of `airl`; its reward changes sign, and asks for a slower generator."""

        total_steps: int = Field(default=60_000, ge=1)
        n_steps: int = Field(default=256, ge=1)
        demo_batch_size: int = Field(default=1024, ge=1)
        shaped: bool = True
        learning_rate: float = Field(default=5e-4, gt=0)
        gamma: float = Field(default=0.95, gt=0, le=1)
        ent_coef: float = Field(default=0.01, ge=0)

    def _trainer_class(self) -> "type[AdversarialTrainer]":
        from imitation.algorithms.adversarial import airl

        return airl.AIRL

    def _reward(self, venv: "VecEnv", generator: "PPO") -> "RewardNet":
        from r2rise.algorithms.rl_parts import LogitReward

        return LogitReward(super()._reward(venv, generator), generator.policy)
