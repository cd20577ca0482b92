"""The seam between R2RISE and an imitation-learning algorithm."""

from typing import Any, Protocol

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from r2rise.demonstrations import Transitions
from r2rise.environments import Environment


class Policy(Protocol):
    """What training gives: acts on batches, as in Stable-Baselines3."""

    def predict(
        self, observation: NDArray[Any], *, deterministic: bool = True
    ) -> tuple[NDArray[Any], Any]:
        """Return actions (n, *act_shape) for observations (n, *obs_shape), and a state (unused)."""


class Progress(Protocol):
    """Told how far a training is; call it at least every few seconds."""

    def __call__(self, fraction: float, /) -> None:
        """Report the share done, 0 to 1.

        Raises:
            Canceled: When the work is to stop; let it pass.
        """


class NoSettings(BaseModel):
    """The settings of an algorithm that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Algorithm(Protocol):
    """An imitation-learning algorithm as a black box.

    A class with these is built with its settings, `Algorithm(settings)`; one without a `Settings`
    model is built without arguments. A plain function of the signature of `train` is an algorithm
    without settings.
    """

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,
        *,
        progress: Progress,
    ) -> Policy:
        """Train a policy from the kept transitions.

        Args:
            transitions: At least one kept frame; masked frames are left out, nothing is zeroed.
            environment: The environment's spaces, and `make(seed)`.
            seed: Shared by all masks of a block. The same seed and transitions give the same
                policy; torch's, NumPy's and Python's global generators are seeded with it.
            progress: To be called now and then.
        """
