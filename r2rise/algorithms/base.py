"""The seam between R2RISE and an imitation-learning algorithm."""

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
    """What training gives: acts on batches, as in Stable-Baselines3."""

    def predict(
        self, observation: NDArray[Any], *, deterministic: bool = True
    ) -> tuple[NDArray[Any], Any]:
        """Return actions (n, *act_shape) for observations (n, *obs_shape), and a state (unused)."""


class ProgressCallback(Protocol):
    """Told how far a training is; call it at least every few seconds."""

    def __call__(self, fraction: float, /) -> None:
        """Report the share done, 0 to 1.

        Raises:
            Canceled: When the work is to stop; let it pass.
        """


class NoSettings(BaseModel):
    """The settings of an algorithm that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@runtime_checkable
class TrainsMany(Protocol):
    """An algorithm that also trains many masks at once."""

    def masks_at_once(self, n_frames: int, environment: Environment) -> int:
        """Return how many masks make a sensible shard: a fixed rule, a power of two, at least 2."""

    def warm_up(self, environment: Environment) -> Sequence[Policy]:
        """Get ready (compile, load), and return a policy of no use but of the real kind."""

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
            threads: Threads to use; they change no bit.
            progress: To be called now and then.

        Returns:
            A policy for each mask.
        """


@dataclass(frozen=True)
class TrainingAmount:
    """How an algorithm counts its training.

    Attributes:
        setting: The setting that holds the amount; None there means that it is to be chosen.
        unit: `updates` or `environment steps`.
        automatic: Whether the training check chooses the amount where a study names none.
        instead: Another setting that says how long to train if that one is None, or None.
    """

    setting: str
    unit: str
    automatic: bool
    instead: str | None = None


@runtime_checkable
class CountsTraining(Protocol):
    """An algorithm that says how it counts its training, so that the amount can be chosen."""

    training_amount: ClassVar[TrainingAmount]

    def least_amount(self, n_frames: int) -> int:
        """Return the smallest amount worth trying on so many frames."""


@runtime_checkable
class TrainsAlong(Protocol):
    """An algorithm whose policies at several amounts lie on one path."""

    def trains_along(self) -> bool:
        """Say whether they do with its settings: False with a schedule that knows its end."""

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
        """Train a policy for each mask once, and return what it is at several amounts.

        Args:
            demonstrations: All frames, one copy for all masks.
            kept: (n_masks, n_frames) bool, at least one frame for each mask.
            environment: As for `train`.
            seed: As for `train`.
            amounts: Increasing; they replace that of the settings.
            threads: Threads to use; they change no bit.
            progress: To be called now and then.

        Returns:
            For each amount what `train_many` gives when trained to it alone, bit for bit.
        """


@runtime_checkable
class ChecksEnvironment(Protocol):
    """An algorithm that knows which environments it can handle."""

    def check_environment(self, environment: Environment) -> None:
        """Check the spaces, before anything is spent.

        Raises:
            EnvironmentMismatch: When it cannot handle them.
        """


class Algorithm(Protocol):
    """An imitation-learning algorithm as a black box.

    A class with these is built with its settings, `Algorithm(settings)`; one without a `Settings`
    model is built without arguments. A plain function of the signature of `train` is an algorithm
    without settings.

    One that learns from `next_obs` says so with `uses_next_obs = True`: then frames that a masked
    frame follows are left out, too.
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
            transitions: At least one kept frame; masked frames are left out, nothing is zeroed.
            environment: The environment's spaces, and `make(seed)`.
            seed: Shared by all masks of a block. The same seed and transitions give the same
                policy; torch's, NumPy's and Python's global generators are seeded with it.
            progress: To be called now and then.
        """
