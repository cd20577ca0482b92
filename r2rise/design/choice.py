"""Resolves `auto`: segment length, design, block size and estimator, from budget and data."""

import logging
import math
from collections.abc import Iterator

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.segments import FINEST_SEGMENT_LENGTH, MIN_SEGMENTS, with_longer_segments
from r2rise.data.stacking import n_stacked
from r2rise.design.masks import DESIGNS, foldover_block_size, masks_for_intervals
from r2rise.errors import StudyError
from r2rise.study.choices import EstimatorName
from r2rise.study.notices import Notice
from r2rise.study.parts import Masking
from r2rise.study.study import Study

logger = logging.getLogger(__name__)

DEFAULT_RETRAININGS = 2048
"""Largest budget assumed in the choice of segments where a study may stop early."""


def with_segment_length(study: Study, demonstrations: Demonstrations) -> Study:
    """Resolve an `auto` segment length to the shortest for which the budget gives intervals.

    A choice above the shortest length is logged and not added to the map's notices: a resumed run
    would miss the notice, since it starts from the resolved study.
    """
    masking, budget = study.masking, _expected_retrainings(study)
    if masking.segment_length != "auto":
        return study
    options = list(_segment_lengths(masking, demonstrations))
    seeds = masking.training_seeds
    affordable = [(option, n) for option, n in options if masks_for_intervals(n, seeds) <= budget]
    chosen, n_segments = affordable[0] if affordable else options[-1]
    study = study.model_copy(update={"masking": chosen})
    finest, n_finest = options[0]
    if chosen == finest:
        return study
    length = chosen.segment_length
    description = "Whole demonstrations" if length == "all" else f"Segments of {length} frames"
    logger.warning(
        f"{description} ({n_segments}) were chosen for {budget} retrainings: {n_finest} segments "
        f"of {finest.segment_length} frames would take {masks_for_intervals(n_finest, seeds)} "
        f"(a larger budget; or use them anyway, with segment_length {finest.segment_length})."
    )
    return study


def frame_stack_notices(masking: Masking, demonstrations: Demonstrations) -> list[Notice]:
    """Check the number of frames that one observation shows.

    Returns:
        A notice if observations show several frames, and the study does not say so.

    Raises:
        StudyError: When there are not so many frames.
    """
    longest = int(demonstrations.lengths.max())
    if masking.frame_stack > longest:
        raise StudyError(
            f"masking.frame_stack should be the number of frames that one observation shows, such "
            f"as 4, got {masking.frame_stack}: the longest demonstration has {longest} frames.",
            field="masking.frame_stack",
        )
    n_shown = n_stacked(demonstrations) if masking.frame_stack == 1 else 1
    if n_shown == 1:
        return []
    detail = (
        f"Each observation seems to show the last {n_shown} frames. A masked frame is then visible "
        f"in the {n_shown - 1} kept after it: set masking.frame_stack to {n_shown}."
    )
    return [Notice(code="stacked_observations", detail=detail)]


def _expected_retrainings(study: Study) -> int:
    budget = study.budget.retrainings
    return min(budget, DEFAULT_RETRAININGS) if study.until.may_end_early else budget


def _segment_lengths(
    masking: Masking, demonstrations: Demonstrations
) -> Iterator[tuple[Masking, int]]:
    """Yield maskings of 10, 20, 40, ... frames and whole demonstrations, with their segment counts.

    Lengths that give fewer than 4 segments are left out, except the shortest length.
    """
    finest = masking.model_copy(update={"segment_length": FINEST_SEGMENT_LENGTH})
    for option in with_longer_segments(finest, demonstrations.lengths):
        n_segments = len(demonstrations.segments(option))
        if option == finest or n_segments >= MIN_SEGMENTS:
            yield option, n_segments


def resolve_masking(study: Study, n_segments: int) -> Masking:
    """Fill in design and block size.

    Raises:
        StudyError: When block size, design, training seeds and budget are incompatible.
    """
    masking, budget = study.masking, study.budget.retrainings
    paired = masking.training_seeds == "pair"
    name = masking.design
    if name == "auto":
        smallest = masking.block_size or foldover_block_size(n_segments)
        # Early stopping compares blocks of different training seeds; with pairs one block suffices.
        min_blocks = 2 if study.until.may_end_early and not paired else 1
        fits = masking.keep_probability == 0.5 and budget >= min_blocks * smallest
        name = "foldover" if fits else "balanced"
    design = DESIGNS[name]
    if masking.block_size is not None:
        design.check_block_size(masking.block_size, n_segments)
    if paired and not design.in_pairs:
        raise StudyError(
            f"masking.training_seeds 'pair' is for the foldover design, but the budget of "
            f"{budget} retrainings is less than one block of {foldover_block_size(n_segments)}.",
            field="masking.training_seeds",
        )
    default_size = design.default_block_size(n_segments, budget, masking.training_seeds)
    size = masking.block_size or default_size
    return masking.model_copy(update={"design": name, "block_size": size})


def round_budget(study: Study, masking: Masking) -> tuple[int, list[Notice]]:
    """Round a fold-over budget up to whole blocks.

    Returns:
        The budget, and a notice if it was rounded and is not merely an upper bound.
    """
    retrainings = study.budget.retrainings
    block_size = masking.block_size or 1
    rounded = -(-retrainings // block_size) * block_size
    if not has_pairs(masking) or rounded == retrainings:
        return retrainings, []
    if study.until.may_end_early:
        return rounded, []
    detail = (
        f"{retrainings} retrainings rounded up to {rounded}: whole fold-over blocks of "
        f"{block_size}."
    )
    return rounded, [Notice(code="budget_rounded", detail=detail)]


def has_pairs(masking: Masking) -> bool:
    """Return whether the masks of a resolved study come in pairs of complements."""
    return masking.design != "auto" and DESIGNS[masking.design].in_pairs


def resolve_estimator(study: Study, masking: Masking, n_segments: int) -> EstimatorName:
    """Resolve `auto`: least squares where masks are twice the coefficients or more, else ridge.

    The masks are those of a block, or of the budget where every mask has its own seed.

    Raises:
        StudyError: When blocks are too short for the requested difference estimator.
    """
    block_size = masking.block_size or 1
    n_masks = block_size if block_size > 1 else study.budget.retrainings
    if study.estimator == "auto":
        return "difference" if n_masks >= 2 * (n_segments + 1) else "ridge"
    if study.estimator == "difference" and 1 < block_size < n_segments + 2:
        raise StudyError(
            f"The difference estimator needs blocks of at least {n_segments + 2} masks for "
            f"{n_segments} segments, but masking.block_size is {block_size}: use longer blocks or "
            f"estimator 'ridge'.",
            field="estimator",
        )
    return study.estimator


def resolve_shard_size(study: Study, masking: Masking, preferred_size: int) -> int:
    """Return the study's shard size, or else one near `preferred_size` that fits the blocks.

    Raises:
        StudyError: When shards would split pairs, or neither divide a block nor be whole blocks.
    """
    block_size = masking.block_size or 1
    default = preferred_size if block_size == 1 else math.gcd(preferred_size, block_size)
    size = study.execution.shard_size or default
    keeps_pairs = size % 2 == 0 or not has_pairs(masking)
    if not keeps_pairs or (block_size % size and size % block_size):
        raise StudyError(
            f"execution.shard_size {size} does not fit blocks of {block_size} masks: expected a "
            f"divisor or a multiple{'' if keeps_pairs else ', and an even number'}.",
            field="execution.shard_size",
        )
    return size
