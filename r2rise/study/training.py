"""The part of a study that sets the amount of training per mask, and how it was chosen."""

from typing import Literal

from pydantic import Field

from r2rise.study.parts import StudyPart

Finding = Literal["settled", "still_rising", "falls_with_training", "not_monotone", "undecided"]
"""Outcome of a training curve; all but `settled` are warnings."""


class TrainingCurve(StudyPart):
    """Returns of all frames over the amount of training, and the amount that was chosen.

    Attributes:
        unit: `updates` or `environment steps`.
        amounts: (n_amounts,) that were tried, increasing.
        mean_return: (n_amounts,) over training seeds.
        std_error: (n_amounts,) of these means.
        n_seeds: Training seeds that succeeded at every amount.
        random_policy: Mean return of random actions.
        chosen: The amount of every retraining.
        finding: `settled` where larger amounts were shown to change little; else why not: the
            return `still_rising` or lower than before (`falls_with_training`), both
            (`not_monotone`), or too noisy to say (`undecided`). Then the largest is chosen.
    """

    unit: str
    amounts: tuple[int, ...]
    mean_return: tuple[float, ...]
    std_error: tuple[float, ...]
    n_seeds: int
    random_policy: float
    chosen: int
    finding: Finding

    @property
    def beats_random(self) -> bool:
        """Whether the return is two standard errors above random actions at some amount."""
        pairs = zip(self.mean_return, self.std_error, strict=True)
        return any(mean - 2 * error > self.random_policy for mean, error in pairs)


class MapTurnover(StudyPart):
    """How alike the maps of one block of masks are at an amount of training and at four times it.

    Attributes:
        amounts: Both amounts.
        n_masks: Masks of the block, which share one training seed.
        spearman: Rank correlation of the maps without their noise, with its 95 % interval; null
            where a map is constant or its reliability unknown or 0.
        lower: Its lower end.
        upper: Its upper end.
    """

    amounts: tuple[int, int]
    n_masks: int
    spearman: float | None
    lower: float | None
    upper: float | None


class Training(StudyPart):
    """How the amount of training is chosen where the algorithm's settings name none.

    Attributes:
        check_seeds: Training seeds of the training check; 16, or 4 where masks are trained one by
            one, when left out.
        check_doublings: How often the smallest amount is doubled; 6, or 4 likewise.
        curve: What the check found, where it chose the amount.
        turnover: How the map turns over with training, where that was asked.
    """

    check_seeds: int | None = Field(default=None, ge=2, le=256)
    check_doublings: int | None = Field(default=None, ge=2, le=10)
    curve: TrainingCurve | None = None
    turnover: MapTurnover | None = None
