"""Tasks: which seeds they share, and what tells them apart."""

import dataclasses
import itertools

import numpy as np
import pytest
import worth
from hypothesis import given
from hypothesis import strategies as st

from r2rise.design.masks import make_design
from r2rise.design.seeds import Kind, retraining_seeds
from r2rise.design.tasks import baseline_tasks, crossed_tasks, design_tasks, pack_mask, study_tasks

D = 6
STUDY = worth.changed(
    worth.study(tuple(range(D))), masking={"design": "foldover", "block_size": 16}, seed=5
)
KINDS: tuple[Kind, ...] = Kind.__args__
MASKS = st.lists(st.booleans(), min_size=1, max_size=40).map(np.array)


def mask(*kept: int) -> np.ndarray:
    return np.isin(np.arange(D), kept)


@given(MASKS)
def test_a_packed_mask_is_read_back(kept):
    (task,) = crossed_tasks("certify", STUDY, [[kept]])
    assert task.mask(len(kept)).tolist() == kept.tolist()
    assert task.packed_mask == pack_mask(kept)
    assert len(task.packed_mask) == -(-len(kept) // 8)
    digits = "".join(f"{byte:08b}" for byte in task.packed_mask)
    assert digits[: len(kept)] == "".join(str(int(bit)) for bit in kept)


def test_masks_of_a_block_share_their_seeds_and_blocks_do_not():
    tasks = design_tasks(STUDY, D, range(48))
    design = make_design(STUDY.masking, D, STUDY.seed)
    for task in tasks:
        assert task.seeds == retraining_seeds(5, "design", task.index // 16)
        assert task.mask(D).tolist() == design.mask(task.index).tolist()
    assert len({task.seeds for task in tasks}) == 3


def test_pairs_of_complements_share_their_seeds_and_no_others_do():
    """The episodes, too: what all pairs share the spread between them does not show."""
    paired = worth.changed(
        STUDY, masking={"design": "foldover", "block_size": 16, "training_seeds": "pair"}
    )
    tasks = design_tasks(paired, D, range(48))
    for first, second in zip(tasks[::2], tasks[1::2], strict=True):
        assert first.seeds == second.seeds
        assert (first.mask(D) == ~second.mask(D)).all()
    assert len({task.training_seed for task in tasks}) == 24
    assert len({task.evaluation_seed for task in tasks}) == 24
    of_blocks = {seeds for b in range(24) for seeds in retraining_seeds(5, "design", b)}
    assert not of_blocks & {seed for task in tasks for seed in task.seeds}
    assert [task.key for task in design_tasks(paired, D, [7, 30])] == [tasks[7].key, tasks[30].key]


def test_a_task_of_the_design_is_the_same_whoever_asks_for_it():
    whole = {task.index: task.key for task in design_tasks(STUDY, D, range(48))}
    assert [task.key for task in design_tasks(STUDY, D, [33, 2, 40])] == [
        whole[i] for i in (33, 2, 40)
    ]


def test_baselines_keep_everything_with_seeds_of_their_own():
    random_policy, *baselines = baseline_tasks(STUDY, D, 4)
    assert (random_policy.kind, random_policy.index) == ("random_policy", 0)
    assert not random_policy.mask(D).any()
    assert [task.index for task in baselines] == [0, 1, 2, 3]
    assert all(task.kind == "baseline" and task.mask(D).all() for task in baselines)
    assert len({task.seeds for task in [random_policy, *baselines]}) == 5


def test_a_study_asks_for_random_actions_baselines_and_the_design_in_this_order():
    tasks = study_tasks(STUDY, D)
    assert [task.kind for task in tasks] == ["random_policy", *["baseline"] * 2, *["design"] * 64]


def test_masks_of_a_repetition_share_their_seeds_and_repetitions_do_not():
    masks = [[mask(0), mask(1, 2)], [mask(3), mask(4)], [mask(0), mask(1)]]
    tasks = crossed_tasks("curate", STUDY, masks)
    assert [task.index for task in tasks] == list(range(6))
    assert [task.seeds for task in tasks] == [
        retraining_seeds(5, "curate", number) for number in (0, 0, 1, 1, 2, 2)
    ]
    assert len({task.seeds for task in tasks}) == 3
    assert [task.mask(D).tolist() for task in tasks] == [
        own.tolist() for repetition in masks for own in repetition
    ]


def test_no_two_kinds_or_numbers_share_a_seed():
    seeds = [
        seed
        for kind, number in itertools.product(KINDS, range(200))
        for seed in retraining_seeds(STUDY.seed, kind, number)
    ]
    assert len(set(seeds)) == len(seeds) == 2 * 200 * len(KINDS)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "confirm"},
        {"index": 1},
        {"packed_mask": pack_mask(mask(1))},
        {"training_seed": 0},
        {"evaluation_seed": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_result_depends_on_is_in_the_key(change):
    (task,) = crossed_tasks("certify", STUDY, [[mask(0)]])
    assert dataclasses.replace(task).key == task.key
    assert dataclasses.replace(task, **change).key != task.key
