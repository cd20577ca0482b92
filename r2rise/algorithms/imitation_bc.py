"""Behavioural cloning in the implementation of the `imitation` library."""

import warnings
from typing import Any, ClassVar, Literal, cast

import numpy as np
from gymnasium import spaces
from pydantic import Field, PositiveInt

from r2rise.algorithms.amounts import UPDATES, UpdatesOrEpochs
from r2rise.algorithms.base import Policy, ProgressCallback, TrainingAmount
from r2rise.algorithms.batch_order import SharedOrder
from r2rise.algorithms.rl_spaces import check_spaces
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment
from r2rise.errors import require


class ImitationBC:
    """`imitation.algorithms.bc.BC`, one retraining after another.

    All masks of a block share initial weights and batch order. If fewer frames than one batch are
    kept, the batch size is the number of kept frames.
    """

    training_amount: ClassVar[TrainingAmount] = UPDATES

    class Settings(UpdatesOrEpochs):
        """Settings of `imitation`'s BC, with its defaults.

        Attributes:
            n_updates, n_epochs, batch_size: Those of `UpdatesOrEpochs`.
            learning_rate: Adam's step size.
            ent_weight: Weight of the entropy bonus.
            l2_weight: Weight of the L2 penalty.
            hidden_sizes: Units of each hidden layer.
            activation: Non-linearity of the hidden layers.
        """

        learning_rate: float = Field(default=1e-3, gt=0)
        ent_weight: float = Field(default=1e-3, ge=0)
        l2_weight: float = Field(default=0.0, ge=0)
        hidden_sizes: tuple[PositiveInt, ...] = (32, 32)
        activation: Literal["tanh", "relu"] = "tanh"

    def __init__(self, settings: Settings) -> None:
        require("imitation", "The algorithm 'imitation-bc'", "imitation")
        self.settings = settings

    def check_environment(self, environment: Environment) -> None:
        """Check that the policy can handle the spaces.

        Raises:
            EnvironmentMismatch: If it cannot.
        """
        actions = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete)
        check_spaces("imitation-bc", environment, actions, bounded=False)

    def least_amount(self, n_frames: int) -> int:
        """Return the smallest number of updates worth trying; see `CountsTraining`."""
        return self.settings.least_updates(n_frames)

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,
        *,
        progress: ProgressCallback,
    ) -> Policy:
        """Train on the kept transitions; see `Algorithm.train`."""
        from imitation.algorithms.bc import BC
        from imitation.util.logger import HierarchicalLogger
        from stable_baselines3.common.logger import Logger

        settings = self.settings
        batches = SharedOrder(transitions, seed, settings.batch_size)
        n_updates = settings.updates(batches.per_epoch)
        trainer = BC(
            observation_space=environment.observation_space,
            action_space=environment.action_space,
            rng=np.random.default_rng(seed),
            policy=self._initial_policy(environment),
            demonstrations=cast("Any", batches),
            batch_size=batches.size,
            optimizer_kwargs={"lr": settings.learning_rate},
            ent_weight=settings.ent_weight,
            l2_weight=settings.l2_weight,
            device="cpu",
            custom_logger=HierarchicalLogger(Logger(folder=None, output_formats=[])),
        )
        with warnings.catch_warnings():
            # imitation logs its first batch whatever the interval, and newer torch warns about how
            warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
            trainer.train(
                n_batches=n_updates,
                on_batch_end=_reporter(progress, n_updates),
                log_interval=n_updates + 1,
                progress_bar=False,
            )
        policy: Policy = trainer.policy
        return policy

    def _initial_policy(self, environment: Environment) -> Any:
        import torch
        from stable_baselines3.common.policies import ActorCriticPolicy

        activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[self.settings.activation]
        return ActorCriticPolicy(
            environment.observation_space,
            environment.action_space,
            lr_schedule=lambda _: self.settings.learning_rate,
            net_arch=list(self.settings.hidden_sizes),
            activation_fn=activation,
        )


def _reporter(progress: ProgressCallback, n_updates: int) -> Any:
    """Return a callback without arguments that reports one more update at each call."""
    n_done = iter(range(1, n_updates + 1))
    return lambda: progress(next(n_done) / n_updates)
