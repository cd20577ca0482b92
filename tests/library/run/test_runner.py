"""The runner: what it retrains, what it retries, when it stops, and whose records are whose."""

import dataclasses

import numpy as np
import pytest
import toys
import worth
from engines import Backwards

import r2rise
from r2rise import Ledger
from r2rise.design.tasks import Task, baseline_tasks, crossed_tasks, study_tasks
from r2rise.errors import StudyFailed
from r2rise.ledger.ledger import LedgerHeader
from r2rise.ledger.record import EMPTY_MASK, Record
from r2rise.run.engines import InlineEngine
from r2rise.run.resolve import resolve
from r2rise.run.runner import Runner, make_engine
from r2rise.run.shards import missing_shards, to_retry

WORTH = (5.0, -3.0, 1.0, 2.0, 6.0, -1.0)
D = len(WORTH)
DEMONSTRATIONS = worth.demonstrations(D)


def resolved(**parts) -> r2rise.Study:
    return resolve(worth.changed(worth.study(WORTH), **parts), DEMONSTRATIONS).study


def runner(study: r2rise.Study, **more) -> Runner:
    return Runner(study, DEMONSTRATIONS, **more)


def masks(n: int) -> list[list[np.ndarray]]:
    """Return n repetitions of two masks."""
    return [[np.arange(D) < 2 + i % 3, np.arange(D) >= 3] for i in range(n)]


def test_records_come_in_the_order_of_the_tasks_whatever_the_order_of_the_work():
    study = resolved()
    tasks = crossed_tasks("certify", study, masks(10))
    with runner(study, engine=Backwards()) as backwards:
        found = backwards.run(tasks)
    assert [record.key for record in found] == [task.key for task in tasks]
    want = [np.array(WORTH)[task.mask(D)].sum() for task in tasks]
    np.testing.assert_allclose([record.returns.mean() for record in found], want)
    with runner(study) as inline:
        again = inline.run(tasks)
    assert [(r.key, r.returns.tolist()) for r in again] == [
        (r.key, r.returns.tolist()) for r in found
    ]


def test_what_the_ledger_holds_is_not_retrained(tmp_path):
    study, told = resolved(), []
    with runner(study, ledger=tmp_path / "a.npz", on_progress=told.append) as first:
        first.run(crossed_tasks("certify", study, masks(3)))
    assert [(p.done, p.total, p.failed, p.resumed) for p in told] == [
        (2, 6, 0, 0), (4, 6, 0, 0), (6, 6, 0, 0)
    ]  # fmt: skip
    told.clear()
    engine = Backwards()
    with runner(study, ledger=tmp_path / "a.npz", engine=engine, on_progress=told.append) as second:
        records = second.run(crossed_tasks("certify", study, masks(5)))
    assert len(records) == 10
    assert sorted(task.index for shard in engine.done for task in shard.tasks) == [6, 7, 8, 9]
    assert told[-1] == r2rise.Progress(done=10, total=10, failed=0, resumed=6)


def test_nothing_missing_starts_no_engine(tmp_path):
    study = resolved()
    tasks = crossed_tasks("certify", study, masks(2))
    with runner(study, ledger=tmp_path / "a.npz") as first:
        first.run(tasks)
    engine = Backwards()
    with runner(study, ledger=tmp_path / "a.npz", engine=engine) as second:
        assert len(second.run(tasks)) == 4
    assert not hasattr(engine, "retrainer")


def test_shards_hold_one_kind_and_as_many_tasks_as_asked():
    study = resolved(masking={"design": "foldover", "block_size": 16}, execution={"shard_size": 4})
    ledger = Ledger(LedgerHeader({}, (30, 30), D))
    shards = list(missing_shards(ledger, study, study_tasks(study, D)))
    assert [(shard.tasks[0].kind, len(shard.tasks)) for shard in shards] == [
        ("random_policy", 1), ("baseline", 2), *[("design", 4)] * 16
    ]  # fmt: skip
    assert all(len({task.kind for task in shard.tasks}) == 1 for shard in shards)


def test_what_failed_is_tried_again_as_a_whole_shard(tmp_path):
    study = resolved(execution={"max_failed_share": 0.5})
    tasks = crossed_tasks("certify", study, masks(4))

    def spoil(record: Record) -> Record:
        return Record.failed(record, "ValueError: bad luck", 1) if record.index == 3 else record

    with runner(study, ledger=tmp_path / "a.npz", engine=Backwards(spoil)) as first:
        records = first.run(tasks)
    assert [record.status for record in records].count("failed") == 1
    engine = Backwards()
    with runner(study, ledger=tmp_path / "a.npz", engine=engine) as second:
        records = second.run(tasks)
    assert [[task.index for task in shard.tasks] for shard in engine.done] == [[2, 3]]
    assert [record.status for record in records] == ["ok"] * 8
    assert [record.attempts for record in records] == [1, 1, 2, 2, 1, 1, 1, 1]
    assert len(Ledger.load(tmp_path / "a.npz")) == 8


def test_a_mask_that_keeps_nothing_is_not_tried_again():
    study = resolved()
    nothing = crossed_tasks("certify", study, [[np.zeros(D, bool)]])
    ledger = Ledger(LedgerHeader({}, (30, 30), D), [Record.failed(nothing[0], EMPTY_MASK)])
    assert list(missing_shards(ledger, study, nothing)) == []
    assert not to_retry(ledger.get(nothing[0]))
    other = dataclasses.replace(ledger.get(nothing[0]), reason="ValueError: no way", attempts=4)
    ledger.add([other])
    (shard,) = missing_shards(ledger, study, nothing)
    assert shard.attempts == 4


def test_enough_ends_the_work_after_the_shard_that_suffices():
    study, engine = resolved(), Backwards()
    with runner(study, engine=engine) as work:
        tasks = crossed_tasks("certify", study, masks(10))
        records = work.run(tasks, should_stop=lambda: len(work.ledger) >= 6)
        assert len(records) == len(work.ledger) == 6
        assert engine.closed
        # what was in flight is asked for again by the next run
        assert len(list(missing_shards(work.ledger, study, tasks))) == 7


def test_enough_before_the_first_shard_starts_nothing():
    study, engine = resolved(), Backwards()
    with runner(study, engine=engine) as work:
        assert work.run(crossed_tasks("certify", study, masks(2)), should_stop=lambda: True) == []
    assert not hasattr(engine, "retrainer")


def test_engines_are_closed_whatever_happens():
    def spoil(record: Record) -> Record:
        raise RuntimeError("stop")

    study, engine = resolved(), Backwards(spoil)
    with pytest.raises(RuntimeError, match="stop"), runner(study, engine=engine) as work:
        work.run(crossed_tasks("certify", study, masks(1)))
    assert engine.closed
    assert isinstance(make_engine(0), InlineEngine)


BAD_LUCK = r"1 of 2 retrainings on all frames failed \(allowed: 40%\).*\n.*bad luck"


def fail_one_baseline_of_two(path) -> tuple[r2rise.Study, list[Task], Backwards]:
    study = resolved(execution={"max_failed_share": 0.4})

    def spoil(record: Record) -> Record:
        bad = (record.kind, record.index) == ("baseline", 1)
        return Record.failed(record, "ValueError: bad luck") if bad else record

    tasks = [*crossed_tasks("certify", study, masks(10)), *baseline_tasks(study, D, 2)]
    engine = Backwards(spoil)
    with (
        pytest.raises(StudyFailed, match=BAD_LUCK),
        runner(study, ledger=path, engine=engine) as work,
    ):
        work.run(tasks)
    return study, tasks, engine


def test_failures_are_counted_for_each_kind_by_itself(tmp_path):
    """One failure of two baselines is too much, whatever else succeeds."""
    *_, engine = fail_one_baseline_of_two(tmp_path / "a.npz")
    assert engine.closed


def test_the_same_run_goes_on_when_the_cause_is_mended(tmp_path):
    study, tasks, _ = fail_one_baseline_of_two(tmp_path / "a.npz")
    with runner(study, ledger=tmp_path / "a.npz") as again:
        assert [record.status for record in again.run(tasks)] == ["ok"] * 23


def test_a_certificate_never_takes_over_the_records_of_another_map(tmp_path):
    demonstrations = toys.demonstrations()
    study = r2rise.Study(
        environment=toys.OneStep,
        algorithm={"name": "toys:Additive", "settings": {"seed_noise": 1.0}},
        evaluation={"n_episodes": 2, "max_steps": 5},
        budget={"retrainings": 64, "baseline_retrainings": 3},
    )
    ours = r2rise.explain(demonstrations, study, out=tmp_path)
    order = np.random.default_rng(1).permutation(len(ours))
    shuffled = ours.model_copy(update={"importance": ours.importance[order]})

    def certify(a_map, told):
        return r2rise.certify(
            demonstrations, a_map, repetitions=4, ledger=tmp_path / "ledger.npz",
            progress=told.append,
        )  # fmt: skip

    told = []
    first = certify(ours, told)
    assert (told[-1].done, told[-1].total) == (84, 84)
    alone = records_of(tmp_path)
    other = certify(shuffled, told)
    both = records_of(tmp_path)
    assert alone.items() <= both.items()
    assert len(both) == len(alone) + len(both.keys() - alone.keys()) > len(alone)
    told.clear()
    again = certify(ours, told)
    assert told == []
    assert records_of(tmp_path) == both
    assert worth.without_time(again) == worth.without_time(first) != worth.without_time(other)
    # the second map's certificate is what it would be by itself
    lonely = r2rise.certify(demonstrations, shuffled, repetitions=4)
    assert worth.without_time(lonely) == worth.without_time(other)


def records_of(folder) -> dict:
    ledger = Ledger.load(folder / "ledger.npz")
    return {record.key: record.returns.tobytes() for record in ledger.records("certify")}
