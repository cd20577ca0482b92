"""The interface between R2RISE and an imitation-learning algorithm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment


class Policy(Protocol):
    """A trained policy. It acts on batches, as in Stable-Baselines3."""

    def predict(
        self, observation: NDArray[Any], *, deterministic: bool = True
    ) -> tuple[NDArray[Any], Any]:
        """Return actions (n, *act_shape) for observations (n, *obs_shape), and an unused state."""


class ProgressCallback(Protocol):
    """Receives the progress of a training run. Call it at least every few seconds."""

    def __call__(self, fraction: float, /) -> None:
        """Report the fraction of the work that is done, from 0 to 1.

        Raises:
            Canceled: If the work has to stop. Do not catch it.
        """


class NoSettings(BaseModel):
    """The settings of an algorithm that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@runtime_checkable
class TrainsMany(Protocol):
    """An algorithm that can also train many masks at once."""

    def masks_at_once(self, n_frames: int, environment: Environment) -> int:
        """Return the number of masks of a shard: a power of two, at least 2, by a fixed rule."""

    def warm_up(self, environment: Environment) -> Sequence[Policy]:
        """Compile and load what training needs. Return a placeholder policy of the real type."""

    def train_many(
        self,
        demonstrations: Demonstrations,
        kept: NDArray[np.bool_],
        environment: Environment,
        seed: int,
        *,
        threads: int,
        progress: ProgressCallback,
    ) -> Sequence[Policy]:
        """Train a policy for each mask of a block.

        Args:
            demonstrations: All frames, one copy for all masks.
            kept: (n_masks, n_frames) bool, at least one frame for each mask.
            environment: As for `train`.
            seed: As for `train`. A mask's policy does not depend on the others.
            threads: Number of threads. It does not change a single bit of the result.
            progress: Called from time to time.

        Returns:
            A policy for each mask.
        """


@dataclass(frozen=True)
class TrainingAmount:
    """How an algorithm measures its amount of training.

    Attributes:
        setting: The setting that holds the amount. Its value None means "not chosen yet".
        unit: `updates` or `environment steps`.
        automatic: Whether the training check chooses the amount if a study does not set it.
        instead: Another setting that determines the amount if `setting` is None; or None.
    """

    setting: str
    unit: str
    automatic: bool
    instead: str | None = None


@runtime_checkable
class CountsTraining(Protocol):
    """An algorithm that declares its amount of training, so that the amount can be chosen."""

    training_amount: ClassVar[TrainingAmount]

    def least_amount(self, n_frames: int) -> int:
        """Return the smallest amount that is worth trying on `n_frames` frames."""


@runtime_checkable
class TrainsAlong(Protocol):
    """An algorithm that can return policies at several amounts from a single training run."""

    def trains_along(self) -> bool:
        """Return whether its settings allow it.

        They do not if the schedule depends on the total amount, as a decaying step size does.
        """

    def train_along(
        self,
        demonstrations: Demonstrations,
        kept: NDArray[np.bool_],
        environment: Environment,
        seed: int,
        amounts: Sequence[int],
        *,
        threads: int,
        progress: ProgressCallback,
    ) -> list[Sequence[Policy]]:
        """Train a policy for each mask once, and return its state after each of several amounts.

        Args:
            demonstrations: All frames, one copy for all masks.
            kept: (n_masks, n_frames) bool, at least one frame for each mask.
            environment: As for `train`.
            seed: As for `train`.
            amounts: Strictly increasing. They replace the amount of the settings.
            threads: Number of threads. It does not change a single bit of the result.
            progress: Called from time to time.

        Returns:
            For each amount, bit for bit what `train_many` returns if trained for that amount.
        """


@runtime_checkable
class ChecksEnvironment(Protocol):
    """An algorithm that checks whether it can handle an environment."""

    def check_environment(self, environment: Environment) -> None:
        """Check the spaces before any training starts.

        Raises:
            EnvironmentMismatch: If the algorithm cannot handle them.
        """


class Algorithm(Protocol):
    """An imitation-learning algorithm as a black box.

    A class is instantiated with its settings, `Algorithm(settings)`, or without arguments if it has
    no `Settings` model. A plain function with the signature of `train` is an algorithm without
    settings.

    An algorithm that learns from `next_obs` declares `uses_next_obs = True`. Frames that precede a
    masked frame are then left out as well, because their `next_obs` is the masked observation.
    """

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,
        *,
        progress: ProgressCallback,
    ) -> Policy:
        """Train a policy from the kept transitions.

        Args:
            transitions: The kept frames, at least one. Masked frames are left out, not zeroed.
            environment: The environment's spaces, and `make(seed)`.
            seed: Shared by all masks of a block. The same seed and transitions give the same
                policy. The global generators of torch, NumPy and Python are seeded with it.
            progress: Called from time to time.
        """
