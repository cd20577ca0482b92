"""Soft Q imitation learning, in the implementation of the `imitation` library."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

import numpy as np
from gymnasium import spaces
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from r2rise.algorithms.amounts import ENVIRONMENT_STEPS
from r2rise.algorithms.base import Policy, ProgressCallback, TrainingAmount
from r2rise.algorithms.rl_spaces import check_spaces, refuse
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment
from r2rise.errors import require

if TYPE_CHECKING:
    from imitation.algorithms import sqil
    from imitation.data.types import Transitions as ImitationTransitions
    from stable_baselines3.common.vec_env import VecEnv


class SQIL:
    """Soft Q imitation learning (Reddy et al. 2020): reward 1 for the expert's steps, else 0.

    The learner is DQN for Discrete actions and SAC for Box actions. Half of each batch comes from
    the demonstrations.
    """

    uses_next_obs = True
    training_amount: ClassVar[TrainingAmount] = ENVIRONMENT_STEPS

    class Settings(BaseModel):
        """Settings of `sqil`.

        Attributes:
            total_steps: Environment steps of a training.
            learning_starts: Steps of random actions before the first update.
            train_every: Steps between updates.
            n_updates: Updates each time.
            batch_size: Frames in an update, half of them from the demonstrations.
            buffer_size: The learner's latest steps that are kept.
            hidden_sizes: Units of each hidden layer (for images after the CNN).
            learning_rate: Adam's step size.
            gamma: Discount of a step.
            tau: Share by which the target network moves after each step.
            exploration: Share of random actions in the end (Discrete actions only).
            exploration_share: Share of the training over which it falls from 1 to that.
            ent_coef: Weight of the entropy, or `auto` (Box actions only).
        """

        model_config = ConfigDict(frozen=True, extra="forbid")

        total_steps: int = Field(default=10_000, ge=1)
        learning_starts: int = Field(default=100, ge=1)
        train_every: int = Field(default=1, ge=1)
        n_updates: int = Field(default=1, ge=1)
        batch_size: int = Field(default=128, ge=2)
        buffer_size: int = Field(default=50_000, ge=1)
        hidden_sizes: tuple[PositiveInt, ...] = (64, 64)
        learning_rate: float = Field(default=3e-4, gt=0)
        gamma: float = Field(default=0.99, gt=0, le=1)
        tau: float = Field(default=0.005, gt=0, le=1)
        exploration: float = Field(default=0.05, ge=0, le=1)
        exploration_share: float = Field(default=0.1, gt=0, le=1)
        ent_coef: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"

        @model_validator(mode="after")
        def _check_learning_starts(self) -> Self:
            if self.learning_starts >= self.total_steps:
                raise ValueError(
                    f"learning_starts {self.learning_starts} leaves none of the total_steps "
                    f"{self.total_steps} to learn"
                )
            return self

    def __init__(self, settings: Settings) -> None:
        require("imitation", "The algorithm 'sqil'", "imitation")
        self.settings = settings

    def check_environment(self, environment: Environment) -> None:
        """Check that DQN or SAC can handle the spaces.

        Raises:
            EnvironmentMismatch: If neither can.
        """
        check_spaces("sqil", environment, (spaces.Discrete, spaces.Box))
        space = environment.action_space
        if isinstance(space, spaces.Box) and (space.low == space.high).any():
            refuse("sqil", environment, f"expected actions that can vary, got {space}")

    def least_amount(self, n_frames: int) -> int:  # noqa: ARG002  (training is measured in steps)
        """Return a quarter of `total_steps`, but enough for an update; see `CountsTraining`."""
        return max(self.settings.total_steps // 4, self.settings.learning_starts + 1)

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

        reporter = parts.ProgressReporter(progress, self.settings.total_steps)
        reporter.report()
        with parts.make_vec_env(environment, 1, seed) as venv:
            expert = parts.convert_for_learner(transitions, environment)
            trainer = self._trainer(venv, _to_imitation(expert, environment))
            trainer.rl_algo.set_logger(parts.SilentLogger())
            reporter.watch(trainer.rl_algo)
            trainer.train(total_timesteps=self.settings.total_steps, callback=reporter)
        progress(1.0)
        policy: Policy = parts.extract_actor(trainer.policy)
        return policy

    def _trainer(self, venv: "VecEnv", expert: "ImitationTransitions") -> "sqil.SQIL":
        from imitation.algorithms import sqil
        from stable_baselines3 import DQN, SAC

        from r2rise.algorithms.rl_parts import SilentLogger, policy_arguments

        settings, is_discrete = self.settings, isinstance(venv.action_space, spaces.Discrete)
        arguments = policy_arguments(venv.observation_space, settings.hidden_sizes)
        trainer = sqil.SQIL(
            venv=venv,
            demonstrations=expert,
            policy=arguments["policy"],
            custom_logger=SilentLogger(),
            rl_algo_class=DQN if is_discrete else SAC,
            rl_kwargs={
                "policy_kwargs": arguments["policy_kwargs"],
                "learning_starts": settings.learning_starts,
                "train_freq": settings.train_every,
                "gradient_steps": settings.n_updates,
                "batch_size": settings.batch_size,
                "buffer_size": min(settings.buffer_size, settings.total_steps),
                "learning_rate": settings.learning_rate,
                "gamma": settings.gamma,
                "tau": settings.tau,
                "target_update_interval": 1,
                "device": "cpu",
                **(self._dqn_arguments() if is_discrete else {"ent_coef": settings.ent_coef}),
            },
        )
        # imitation puts the expert's buffer on a GPU if there is one, whatever the learner's device
        cast("Any", trainer.rl_algo.replay_buffer).expert_buffer.device = trainer.rl_algo.device
        return trainer

    def _dqn_arguments(self) -> dict[str, Any]:
        return {
            "exploration_final_eps": self.settings.exploration,
            "exploration_fraction": self.settings.exploration_share,
        }


def _to_imitation(expert: Transitions, environment: Environment) -> "ImitationTransitions":
    """Return the expert's transitions in the form of the learner's replay buffer."""
    from imitation.data.types import Transitions as ImitationTransitions

    from r2rise.algorithms.rl_parts import scale_actions

    space = environment.action_space
    return ImitationTransitions(
        obs=expert.obs,
        acts=scale_actions(expert.acts, space) if isinstance(space, spaces.Box) else expert.acts,
        infos=np.array([{}] * len(expert)),
        next_obs=expert.next_obs,
        dones=expert.terminal,
    )
