import pickle
import time
from dataclasses import replace

import numpy as np
import pytest
import toys
from needs import to_train

from r2rise import Study
from r2rise.design.seeds import seeded_globals
from r2rise.design.tasks import design_tasks
from r2rise.errors import Canceled
from r2rise.files import cache_folder
from r2rise.ledger.record import EMPTY_MASK
from r2rise.run.engines import InlineEngine
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going, pack, unpack_retrainer
from r2rise.run.shards import Shard

N_FRAMES = toys.N_DEMOS * toys.LENGTH


def retrainer(algorithm=toys.Additive, **study) -> Retrainer:
    asked = Study(
        environment=toys.OneStep,
        algorithm=algorithm,
        masking={"segment_length": 10, **study.pop("masking", {})},
        evaluation={"n_episodes": 3},
        budget=32,
        **study,
    )
    demonstrations = toys.demonstrations()
    return Retrainer(resolve(asked, demonstrations).study, demonstrations)


def test_a_record_is_the_return_of_what_the_mask_keeps():
    ours = retrainer()
    for index in range(6):
        record = ours.retrain(toys.task(ours, "design", index), keep_going)
        mask = toys.task(ours, "design", index).mask(8)
        worth = toys.frame_values(N_FRAMES)[np.repeat(mask, 10)].sum()
        np.testing.assert_allclose(record.returns, [worth] * 3)
        assert (record.status, record.reason) == ("ok", "")


@pytest.mark.parametrize("frame_stack", [1, 4])
@pytest.mark.parametrize("algorithm", [toys.Additive, toys.AdditiveFromNext])
def test_what_shows_a_masked_frame_is_left_out_too(algorithm, frame_stack):
    ours = retrainer(algorithm, masking={"frame_stack": frame_stack})
    task = toys.task(ours, "design", 1)
    kept = np.repeat(task.mask(8), 10)
    whole = np.array(
        [
            all(
                kept[t]
                for t in range(frame - frame_stack + 1, frame + 1 + ours.uses_next_obs)
                if t // toys.LENGTH == frame // toys.LENGTH
            )
            for frame in range(N_FRAMES)
        ]
    )
    assert ours.uses_next_obs == (algorithm is toys.AdditiveFromNext)
    assert (whole.sum() < kept.sum()) == (frame_stack > 1 or ours.uses_next_obs)
    record = ours.retrain(task, keep_going)
    np.testing.assert_allclose(record.returns, [toys.frame_values(N_FRAMES)[whole].sum()] * 3)


@pytest.mark.parametrize("algorithm", to_train(["bc", "imitation-bc"]))
def test_a_mask_that_leaves_nothing_to_train_on_is_an_empty_mask(algorithm):
    asked = Study(
        environment=toys.OneStep,
        algorithm={"name": algorithm, "settings": {"n_updates": 5}},
        masking={"segment_length": 3, "frame_stack": 15},
        evaluation={"n_episodes": 2},
        budget=64,
    )
    demonstrations = toys.demonstrations()
    ours = Retrainer(resolve(asked, demonstrations).study, demonstrations)
    tasks = toys.tasks(ours, "design", range(4))
    kept = ours.segments.frames(np.array([task.mask(len(ours.segments)) for task in tasks]))
    trained = demonstrations.trainable(kept, frame_stack=15).any(axis=1).tolist()
    records = ours.run(Shard(tasks), keep_going)
    assert [record.status == "ok" for record in records] == trained
    assert [record.reason for record in records if record.status == "failed"] == (
        [EMPTY_MASK] * trained.count(False)
    )
    assert False in trained


def test_masks_of_a_block_share_their_seeds():
    ours = retrainer()
    seeds = [toys.task(ours, "design", index).seeds for index in range(64)]
    assert len(set(seeds[:32])) == len(set(seeds[32:])) == 1
    assert seeds[0] != seeds[32]
    assert len({toys.task(ours, "baseline", i).seeds for i in range(20)}) == 20


def test_in_the_papers_design_every_mask_has_its_own_seed():
    ours = retrainer(preset="paper")
    assert len({toys.task(ours, "design", index).seeds for index in range(50)}) == 50


def test_a_baseline_keeps_all_frames_and_random_actions_need_no_training():
    ours = retrainer()
    failing = retrainer(toys.raises)
    whole = toys.frame_values(N_FRAMES).sum()
    np.testing.assert_allclose(
        ours.retrain(toys.task(ours, "baseline", 4), keep_going).returns, [whole] * 3
    )
    assert failing.retrain(toys.task(failing, "random_policy", 0), keep_going).status == "ok"


def test_global_generators_are_seeded_and_put_back():
    import random

    import torch

    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    ours = retrainer(toys.uses_global_generators)
    first = ours.retrain(toys.task(ours, "baseline", 0), keep_going)
    ours.retrain(toys.task(ours, "design", 3), keep_going)
    again = ours.retrain(toys.task(ours, "baseline", 0), keep_going)
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert first.returns.tolist() == again.returns.tolist()
    assert (
        first.returns.tolist()
        != ours.retrain(toys.task(ours, "baseline", 1), keep_going).returns.tolist()
    )
    assert before == after


def test_threads_are_put_back():
    import torch

    before = torch.get_num_threads()
    with seeded_globals(0, 1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        (toys.raises, "ValueError: no way (toys.py:"),
        (
            toys.forgets_to_return,
            "TypeError: training should return a policy with a method predict",
        ),
        (toys.returns_nan, "EnvironmentMismatch: policy.predict returned actions that are not"),
    ],
)
def test_a_failure_is_a_record_with_its_reason(algorithm, reason):
    ours = retrainer(algorithm)
    record = ours.retrain(toys.task(ours, "design", 0), keep_going)
    assert record.status == "failed"
    assert record.reason.startswith(reason)
    assert record.returns.shape == (0,)


def test_a_mask_that_gets_no_policy_does_not_act_at_random():
    ours = retrainer(toys.ForgetsSome)
    records = ours.run(toys.shard(ours, "design", range(2)), keep_going)
    assert [record.status for record in records] == ["failed", "failed"]
    assert records[0].reason.startswith("TypeError: training should return a policy")


def test_a_mask_that_keeps_nothing_is_a_failed_record():
    ours = retrainer(masking={"segment_length": "all"})
    masks = [toys.task(ours, "design", index).mask(2).any() for index in range(8)]
    records = [ours.retrain(toys.task(ours, "design", index), keep_going) for index in range(8)]
    assert not all(masks)
    assert [record.reason == EMPTY_MASK for record in records] == [not kept for kept in masks]
    assert [record.status == "ok" for record in records] == masks


def test_cancel_passes_through():
    ours = retrainer(toys.cancels)
    with pytest.raises(Canceled):
        ours.retrain(toys.task(ours, "design", 0), keep_going)


def alike(record) -> dict:
    return replace(record, seconds=0.0, evaluation_seconds=0.0, attempts=1).to_json()


def test_another_process_gets_the_same_records():
    demonstrations = toys.demonstrations()
    asked = Study(environment=toys.OneStep, algorithm=lambda *a, **k: toys.Constant(3.0), budget=32)
    study = resolve(asked, demonstrations).study
    here = Retrainer(study, demonstrations)
    ours = here.run(toys.shard(here, "design", (0, 1)), keep_going)
    packed = pack(study, demonstrations.unpack(cache_folder()))
    theirs = unpack_retrainer(packed).run(toys.shard(here, "design", (0, 1), 1), keep_going)
    assert [r.attempts for r in theirs] == [2, 2]
    for one, other in zip(ours, theirs, strict=True):
        assert alike(one) == alike(other)
    assert pickle.loads(pickle.dumps(theirs))[0].returns.tolist() == [3.0] * 20


class TestTimeLimit:
    def records(self, algorithm, limit=3.0, indices=tuple(range(6))):
        asked = Study(
            environment=toys.OneStep,
            algorithm=algorithm,
            masking={"segment_length": 10, "design": "foldover"},
            budget=32,
            execution={"time_limit": limit},
        )
        demonstrations = toys.demonstrations()
        engine = InlineEngine()
        study = resolve(asked, demonstrations).study
        engine.start(study, demonstrations)
        engine.submit(Shard(tuple(design_tasks(study, 8, indices))))
        try:
            return [record for records in engine.results() for record in records]
        finally:
            engine.close()

    def test_within_the_limit_records_are_those_of_this_process(self):
        found = self.records(toys.Additive)
        here = retrainer()
        ours = here.run(toys.shard(here, "design", range(6)), keep_going)
        assert [r.returns.tolist()[:3] for r in found] == [r.returns.tolist() for r in ours]

    @pytest.mark.parametrize(
        ("algorithm", "reason"),
        [
            pytest.param(
                toys.hangs_without_first_frame, "timeout: no result after 3 s",
                marks=pytest.mark.slow,
            ),
            (toys.dies_without_first_frame, "worker_died: exit status -9"),
        ],
    )  # fmt: skip
    def test_only_the_retraining_that_hangs_or_dies_fails(self, algorithm, reason):
        started = time.monotonic()
        found = self.records(algorithm, indices=range(4))
        kept_first = [bool(record.packed_mask[0] & 0x80) for record in found]
        assert [record.status == "ok" for record in found] == kept_first
        assert {record.reason.partition(";")[0] for record in found} == {"", reason}
        assert time.monotonic() - started < 120
