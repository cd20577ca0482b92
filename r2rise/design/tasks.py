"""Tasks: pending retrainings, as plain data that any process can execute."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from r2rise.design.masks import make_design, mask_matrix
from r2rise.design.seeds import Kind, Seeds, pair_seeds, retraining_seeds
from r2rise.study.study import Study

TaskKey = tuple[Kind, int, bytes, int, int, int]

_CHUNK_SIZE = 256


@dataclass(frozen=True, eq=False)
class Task:
    """One retraining: its purpose, mask, seeds and amount of training.

    Attributes:
        kind: Purpose of the retraining.
        index: Index among the tasks of its kind.
        packed_mask: `pack_mask` of the (n_segments,) bool mask.
        training_seed: Seed of the training.
        evaluation_seed: Seed of the evaluation episodes.
        amount: Amount of training in the algorithm's unit; 0 stands for the study's amount.
    """

    kind: Kind
    index: int
    packed_mask: bytes
    training_seed: int
    evaluation_seed: int
    amount: int

    @property
    def key(self) -> TaskKey:
        """All fields: everything that the result depends on, and the purpose."""
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
        """Return the mask, (n_segments,) bool, True where a segment is kept."""
        packed = np.frombuffer(self.packed_mask, dtype=np.uint8)
        return np.unpackbits(packed, count=n_segments).astype(bool)


def pack_mask(mask: NDArray[np.bool_]) -> bytes:
    """Pack a mask with 8 segments per byte, the first segment in the highest bit."""
    return np.packbits(mask).tobytes()


def study_tasks(study: Study, n_segments: int) -> list[Task]:
    """Return all tasks of a resolved study: random actions, baselines, then the design."""
    return [
        *baseline_tasks(study, n_segments, study.budget.baseline_retrainings),
        *design_tasks(study, n_segments, range(study.budget.retrainings)),
    ]


def baseline_tasks(study: Study, n_segments: int, count: int) -> list[Task]:
    """Return the task of random actions and `count` baselines, each with its own seeds."""
    all_kept, none_kept = np.ones(n_segments, dtype=bool), np.zeros(n_segments, dtype=bool)
    return [
        _task("random_policy", 0, none_kept, retraining_seeds(study.seed, "random_policy", 0)),
        *(
            _task("baseline", index, all_kept, retraining_seeds(study.seed, "baseline", index))
            for index in range(count)
        ),
    ]


def design_tasks(study: Study, n_segments: int, indices: Iterable[int]) -> list[Task]:
    """Return the tasks of the masks `indices` of the design.

    The masks of a block share their training and evaluation seeds. With one training seed per pair
    only the masks of a pair share them: the spread between pairs is the noise estimate, and it
    would miss the effect of seeds, of training or of episodes, that all pairs share.
    """
    design = make_design(study.masking, n_segments, study.seed)
    paired = study.masking.training_seeds == "pair"
    all_indices, tasks = list(indices), []
    for start in range(0, len(all_indices), _CHUNK_SIZE):
        chunk = all_indices[start : start + _CHUNK_SIZE]
        packed_masks = np.packbits(mask_matrix(design, chunk), axis=1)
        for index, packed_mask in zip(chunk, packed_masks, strict=True):
            seeds = (
                pair_seeds(study.seed, index // 2)
                if paired
                else retraining_seeds(study.seed, "design", index // design.block_size)
            )
            tasks.append(Task("design", index, packed_mask.tobytes(), *seeds, amount=0))
    return tasks


def crossed_tasks(
    kind: Kind, study: Study, masks: Iterable[Iterable[NDArray[np.bool_]]]
) -> list[Task]:
    """Return one task for each mask of each repetition.

    Args:
        kind: Purpose of the tasks; each kind has its own training and evaluation seeds.
        study: A resolved study.
        masks: The masks of each repetition, which share one training and one evaluation seed.
    """
    pairs = [(repetition, mask) for repetition, group in enumerate(masks) for mask in group]
    return [
        _task(kind, index, mask, retraining_seeds(study.seed, kind, repetition))
        for index, (repetition, mask) in enumerate(pairs)
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
        kind: Purpose of the tasks; each kind has its own training and evaluation seeds.
        study: A study; its amount of training is not used.
        masks: The masks of each repetition, equally many in each. Those of a repetition share one
            training and one evaluation seed.
        amounts: Increasing amounts in the algorithm's unit; 0 stands for the study's amount.
        first_index: Index of the first task among those of its kind.

    Returns:
        Tasks ordered by repetition, then mask, then amount.
    """
    triples = [
        (repetition, mask, amount)
        for repetition, group in enumerate(masks)
        for mask in group
        for amount in amounts
    ]
    return [
        _task(kind, index, mask, retraining_seeds(study.seed, kind, repetition), amount)
        for index, (repetition, mask, amount) in enumerate(triples, first_index)
    ]


def _task(kind: Kind, index: int, mask: NDArray[np.bool_], seeds: Seeds, amount: int = 0) -> Task:
    return Task(kind, index, pack_mask(mask), *seeds, amount=amount)
