"""How algorithms measure their amount of training, and the settings that determine it."""

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from r2rise.algorithms.base import TrainingAmount, TrainsAlong
from r2rise.errors import StudyError

UPDATES = TrainingAmount("n_updates", "updates", automatic=True, instead="n_epochs")
ENVIRONMENT_STEPS = TrainingAmount("total_steps", "environment steps", automatic=False)
LEAST_UPDATES = 100


class UpdatesOrEpochs(BaseModel):
    """Settings of an algorithm that counts its training in updates.

    Attributes:
        n_updates: Updates, as many whatever a mask keeps; null where `n_epochs` is given, and
            where the training check is to choose.
        n_epochs: Instead, passes over the kept frames: the more are kept, the more updates.
        batch_size: Frames per update.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_updates: int | None = Field(default=None, ge=1)
    n_epochs: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=32, ge=1)

    @model_validator(mode="after")
    def _check_single_amount(self) -> Self:
        if self.n_updates is not None and self.n_epochs is not None:
            raise ValueError(
                f"give either n_updates or n_epochs, got {self.n_updates} and {self.n_epochs}"
            )
        return self

    def least_updates(self, n_frames: int) -> int:
        """Return the smallest number of updates worth trying: one epoch, but at least 100."""
        return max(LEAST_UPDATES, n_frames // self.batch_size)

    def updates(self, per_epoch: int) -> int:
        """Return the number of updates of a training run with `per_epoch` updates in an epoch.

        Raises:
            StudyError: If no setting determines how long to train.
        """
        if self.n_updates is not None:
            return self.n_updates
        if self.n_epochs is not None:
            return self.n_epochs * per_epoch
        raise StudyError(
            "algorithm.settings does not say how long to train: give n_updates or n_epochs, or "
            "let `r2rise explain` choose n_updates.",
            field="algorithm.settings",
        )


def check_along(algorithm: TrainsAlong, amounts: Sequence[int]) -> None:
    """Check that a single training run can return policies at these amounts.

    Raises:
        ValueError: If the settings do not allow it, or the amounts do not increase.
    """
    if not algorithm.trains_along():
        raise ValueError(
            "With these settings, one training does not give policies of several amounts: train "
            "one policy for each amount if trains_along() is False."
        )
    if not amounts or amounts[0] < 1 or list(amounts) != sorted(set(amounts)):
        raise ValueError(f"Expected increasing amounts from 1 on, got {list(amounts)}.")
