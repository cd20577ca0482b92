"""The amounts and training seeds of a training check, and their cost."""

from r2rise.algorithms import (
    TrainsMany,
    counts_training,
    has_no_amount,
    least_amount_of,
    make_algorithm,
)
from r2rise.ask.turnover import LONGER
from r2rise.errors import StudyError
from r2rise.study.study import Study

_TOGETHER, _ONE_BY_ONE = (16, 6), (4, 4)
"""(training seeds, doublings) for learners that train masks together, and for others."""


def amounts_tried(study: Study, n_frames: int) -> tuple[int, ...]:
    """Return the amounts of training that are tried: the least one, doubled repeatedly.

    Raises:
        StudyError: When the algorithm has no amount, or does not say how it counts its training.
    """
    least = least_amount_of(study.algorithm, n_frames)
    if has_no_amount(study.algorithm):
        raise StudyError(
            f"The algorithm {study.algorithm.name!r} has no amount of training: there is nothing "
            f"to check. Explain without a check.",
            field="algorithm.name",
        )
    if least is None:
        raise StudyError(
            f"The algorithm {study.algorithm.name!r} does not say how it counts its training, so "
            f"that it cannot be checked: give its class `training_amount` and `least_amount` "
            f"(docs/algorithms.md), or explain without a check.",
            field="algorithm.name",
        )
    return tuple(least * 2**k for k in range(_seeds_and_doublings(study)[1] + 1))


def n_checked(study: Study, n_frames: int) -> int:
    """Return how many policies a study's check evaluates, not counting random actions."""
    return n_seeds(study) * len(amounts_tried(study, n_frames))


def price_words(study: Study, n_frames: int, *, maps: bool = False) -> str:
    """Describe the cost of a study's check before it starts."""
    amounts, unit = amounts_tried(study, n_frames), unit_of(study)
    return (
        f"Training check: all frames are trained for {amounts[-1]} {unit} with {n_seeds(study)} "
        f"training seeds, and evaluated {len(amounts)} times, from {amounts[0]} {unit} on."
        f"{_maps_price_words(study) if maps else ''}"
    )


def _maps_price_words(study: Study) -> str:
    return (
        f" Then {study.masking.masks_between_looks} masks are trained for {LONGER} times the "
        f"chosen amount, and evaluated at both amounts."
    )


def unit_of(study: Study) -> str:
    """Return the unit in which the algorithm of a study counts its training, or an empty text."""
    amount = counts_training(study.algorithm)
    return amount.unit if amount else ""


def n_seeds(study: Study) -> int:
    """Return the number of training seeds of a study's check."""
    return _seeds_and_doublings(study)[0]


def _seeds_and_doublings(study: Study) -> tuple[int, int]:
    trains_many = isinstance(make_algorithm(study.algorithm), TrainsMany)
    seeds, doublings = _TOGETHER if trains_many else _ONE_BY_ONE
    training = study.training
    return training.check_seeds or seeds, training.check_doublings or doublings
