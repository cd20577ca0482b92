"""Does the map depend on training? One block of masks at the chosen amount and at four times it."""

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
"""How many times longer the second map's policies are trained."""


def map_turnover(runner: RunsTasks, amount: int) -> MapTurnover:
    """Compare the map at an amount of training with the one at four times as much.

    Both are of the masks of the design's first block, with one and the same training seed: what
    differs between them is training.

    Args:
        runner: Of a study whose own amount does not matter.
        amount: In the algorithm's unit.

    Raises:
        NotReady: When too few retrainings succeed for a map, or time ended.
    """
    study, segments = runner.study, runner.segments
    tasks = turnover_tasks(study, len(segments), amount)
    records = runner.run(tasks)
    if len(records) < len(tasks):
        raise NotReady("Time ended before the maps at two amounts of training were done.")
    amounts = (amount, LONGER * amount)
    maps = [_map([r for r in records if r.amount == a], study, segments) for a in amounts]
    known = np.isfinite(maps[0].importance) & np.isfinite(maps[1].importance)
    found = rank_correlation("spearman", maps[0].importance[known], maps[1].importance[known])
    own = corrected(found, *(reliability(one).value for one in maps))
    return MapTurnover(
        amounts=amounts,
        n_masks=len(tasks) // 2,
        spearman=own.value,
        lower=own.lower,
        upper=own.upper,
    )


def turnover_tasks(study: Study, n_segments: int, amount: int) -> list[Task]:
    """Return the masks of the design's first block at both amounts."""
    masks = mask_matrix(
        make_design(study.masking, n_segments, study.seed), range(study.masking.masks_between_looks)
    )
    return path_tasks("training_maps", study, [list(masks)], (amount, LONGER * amount))


def _map(records: Sequence[Record], study: Study, segments: Segments) -> Estimate:
    masking = study.masking.model_copy(
        update={"block_size": study.masking.masks_between_looks, "training_seeds": "block"}
    )
    own = [replace(record, index=number) for number, record in enumerate(records)]
    sample = MaskedReturns.of(own, segments, masking)
    try:
        return estimate(estimator_name(study), sample)
    except NotReady:
        return estimate("ridge", sample)
