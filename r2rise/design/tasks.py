"""Tasks: retrainings to be done, as plain data that any process can carry out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from r2rise.design.masks import make_design, stacked
from r2rise.design.seeds import Kind, Seeds, pair_seeds, retraining_seeds
from r2rise.study.study import Study

TaskKey = tuple[Kind, int, bytes, int, int, int]

_MASKS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Task:
    """One retraining: what it is for, which segments it keeps, its seeds and how long it trains.

    Attributes:
        kind: What it is for.
        index: Its number among those of its kind.
        packed_mask: `pack_mask` of the (n_segments,) bool mask.
        training_seed: Seed of training.
        evaluation_seed: Seed of the evaluation episodes.
        amount: How long it trains, in the algorithm's unit; 0 is as long as the study says.
    """

    kind: Kind
    index: int
    packed_mask: bytes
    training_seed: int
    evaluation_seed: int
    amount: int

    @property
    def key(self) -> TaskKey:
        """All that its result depends on, and what it is for."""
        return (
            self.kind,
            self.index,
            self.packed_mask,
            self.training_seed,
            self.evaluation_seed,
            self.amount,
        )

    @property
    def seeds(self) -> Seeds:
        """Training and evaluation seed."""
        return Seeds(self.training_seed, self.evaluation_seed)

    def mask(self, n_segments: int) -> NDArray[np.bool_]:
        """Return the segments kept, (n_segments,) bool."""
        packed = np.frombuffer(self.packed_mask, dtype=np.uint8)
        return np.unpackbits(packed, count=n_segments).astype(bool)


def pack_mask(mask: NDArray[np.bool_]) -> bytes:
    """Return 8 segments a byte, the first in the highest bit."""
    return np.packbits(mask).tobytes()


def study_tasks(study: Study, n_segments: int) -> list[Task]:
    """Return what a resolved study asks for: random actions, baselines, then the design."""
    return [
        *baseline_tasks(study, n_segments, study.budget.baseline_retrainings),
        *design_tasks(study, n_segments, range(study.budget.retrainings)),
    ]


def baseline_tasks(study: Study, n_segments: int, count: int) -> list[Task]:
    """Return random actions and `count` retrainings on all frames, each with its own seeds."""
    whole, none = np.ones(n_segments, dtype=bool), np.zeros(n_segments, dtype=bool)
    return [
        _task("random_policy", 0, none, retraining_seeds(study.seed, "random_policy", 0)),
        *(
            _task("baseline", index, whole, retraining_seeds(study.seed, "baseline", index))
            for index in range(count)
        ),
    ]


def design_tasks(study: Study, n_segments: int, indices: Iterable[int]) -> list[Task]:
    """Return the tasks of some masks of the design.

    Those of a block share their seeds; with a training seed for each pair, those of a pair, since
    what all pairs share the spread between them does not show, be it training or episodes.
    """
    design = make_design(study.masking, n_segments, study.seed)
    paired = study.masking.training_seeds == "pair"
    wanted, tasks = list(indices), []
    for start in range(0, len(wanted), _MASKS_AT_ONCE):
        some = wanted[start : start + _MASKS_AT_ONCE]
        packed = np.packbits(stacked(design, some), axis=1)
        for index, mask in zip(some, packed, strict=True):
            seeds = (
                pair_seeds(study.seed, index // 2)
                if paired
                else retraining_seeds(study.seed, "design", index // design.block_size)
            )
            tasks.append(Task("design", index, mask.tobytes(), *seeds, amount=0))
    return tasks


def crossed_tasks(
    kind: Kind, study: Study, masks: Iterable[Iterable[NDArray[np.bool_]]]
) -> list[Task]:
    """Return one task for each mask of each repetition.

    Args:
        kind: What they are for; each kind has training and evaluation seeds of its own.
        study: A resolved study.
        masks: For each repetition its masks, which share one training and one evaluation seed.
    """
    pairs = [(number, mask) for number, own in enumerate(masks) for mask in own]
    return [
        _task(kind, index, mask, retraining_seeds(study.seed, kind, number))
        for index, (number, mask) in enumerate(pairs)
    ]


def path_tasks(
    kind: Kind,
    study: Study,
    masks: Iterable[Sequence[NDArray[np.bool_]]],
    amounts: Sequence[int],
    *,
    first_index: int = 0,
) -> list[Task]:
    """Return one task for each amount of training of each mask of each repetition.

    Args:
        kind: What they are for; each kind has training and evaluation seeds of its own.
        study: The study; its own amount of training does not matter.
        masks: For each repetition its masks, as many for each; they share one training and one
            evaluation seed.
        amounts: In the algorithm's unit, increasing; 0 is as long as the study says.
        first_index: Number of the first of them among those of the kind.

    Returns:
        Repetition by repetition, mask by mask, amount by amount.
    """
    triples = [
        (number, mask, amount)
        for number, own in enumerate(masks)
        for mask in own
        for amount in amounts
    ]
    return [
        _task(kind, index, mask, retraining_seeds(study.seed, kind, number), amount)
        for index, (number, mask, amount) in enumerate(triples, first_index)
    ]


def _task(kind: Kind, index: int, mask: NDArray[np.bool_], seeds: Seeds, amount: int = 0) -> Task:
    return Task(kind, index, pack_mask(mask), *seeds, amount=amount)
