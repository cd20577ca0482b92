"""Whether the map depends on training: one block of masks at an amount and at four times it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from r2rise.ask.compare import corrected, rank_correlation
from r2rise.data.segments import Segments
from r2rise.design.masks import make_design, mask_matrix
from r2rise.design.tasks import Task, path_tasks
from r2rise.errors import NotReady
from r2rise.ledger.record import Record
from r2rise.run.runner import RunsTasks
from r2rise.statistics.estimators import Estimate, MaskedReturns, estimate
from r2rise.statistics.reliability import reliability
from r2rise.statistics.stopping import estimator_name
from r2rise.study.study import Study
from r2rise.study.training import MapTurnover

LONGER = 4
"""Factor by which the policies of the second map are trained longer."""


def map_turnover(runner: RunsTasks, amount: int) -> MapTurnover:
    """Compare the map at an amount of training with the one at four times as much.

    Both use the masks of the design's first block and the same training seed, so that they differ
    only in training.

    Args:
        runner: A runner of the study, whose own amount does not matter.
        amount: Amount of training in the algorithm's unit.

    Raises:
        NotReady: When too few retrainings succeed for a map, or the time limit came first.
    """
    study, segments = runner.study, runner.segments
    tasks = turnover_tasks(study, len(segments), amount)
    records = runner.run(tasks)
    if len(records) < len(tasks):
        raise NotReady("Time ran out before the maps at two amounts of training were complete.")
    amounts = (amount, LONGER * amount)
    maps = [_estimate_map([r for r in records if r.amount == a], study, segments) for a in amounts]
    first, second = (estimated.importance for estimated in maps)
    in_both = np.isfinite(first) & np.isfinite(second)
    spearman = rank_correlation("spearman", first[in_both], second[in_both])
    result = corrected(spearman, *(reliability(estimated).value for estimated in maps))
    return MapTurnover(
        amounts=amounts,
        n_masks=len(tasks) // 2,
        spearman=result.value,
        lower=result.lower,
        upper=result.upper,
    )


def turnover_tasks(study: Study, n_segments: int, amount: int) -> list[Task]:
    """Return the tasks of the map turnover: the design's first block at both amounts."""
    masks = mask_matrix(
        make_design(study.masking, n_segments, study.seed), range(study.masking.masks_between_looks)
    )
    return path_tasks("training_maps", study, [list(masks)], (amount, LONGER * amount))


def _estimate_map(records: Sequence[Record], study: Study, segments: Segments) -> Estimate:
    masking = study.masking.model_copy(
        update={"block_size": study.masking.masks_between_looks, "training_seeds": "block"}
    )
    renumbered = [replace(record, index=number) for number, record in enumerate(records)]
    sample = MaskedReturns.of(renumbered, segments, masking)
    try:
        return estimate(estimator_name(study), sample)
    except NotReady:
        return estimate("ridge", sample)
