"""Time that ends within a block, or before one: what is then in the map, and what goes on."""

import numpy as np
import pytest
import worth
from api_helpers import STUDY, cartpole, records, running
from engines import Backwards
from six_segments import DEMONSTRATIONS, SEGMENTS, SIZE, D, asked, by_hand, resolved
from six_segments import WORTH as WORTHS

import r2rise
from r2rise import Ledger
from r2rise.design.tasks import design_tasks, study_tasks
from r2rise.errors import LedgerError, NotReady
from r2rise.ledger.journal import open_ledger
from r2rise.ledger.ledger import WORK_SO_FAR
from r2rise.run.clock import Clock
from r2rise.run.resolve import resolve
from r2rise.run.runner import Runner
from r2rise.run.shards import in_mixed_order
from r2rise.statistics.estimators import estimate
from r2rise.statistics.stopping import Stop, StoppingRule, design_sample
from r2rise.study.study import Study
from r2rise_service.queue.admission import make_job_work

LIMIT = {"seconds": 60}


def cut(study: Study, n_design: int, worked: float, n_baselines: int = 2) -> Ledger:
    """Return a ledger of the first masks and baselines, after so many seconds of work."""
    whole = by_hand(study)
    found = Ledger(whole.header, whole.records("design", n_design))
    found.add([*whole.records("random_policy"), *whole.records("baseline", n_baselines)])
    found.note_times({WORK_SO_FAR: worked})
    return found


def decided(study: Study, ledger: Ledger) -> Stop | None:
    return StoppingRule(study, SEGMENTS).decide(ledger)


def test_time_ends_a_study_within_a_block():
    study = resolved(until=LIMIT)
    within = 2 * SIZE + 5
    assert decided(study, cut(study, within, 59.9)) is None
    assert decided(study, cut(study, within, 60.0)) == Stop(2 * SIZE, "time", within_block=True)
    assert decided(study, cut(study, SIZE - 1, 60.0)) == Stop(160, "time", within_block=True)
    assert decided(study, cut(study, 160, 1e6)) is None  # nothing is missing
    more = resolved(until={"seconds": 120})
    assert decided(more, cut(study, within, 60.0)) is None


def test_blocks_before_their_baselines_are_not_complete():
    study = resolved(until=LIMIT)
    assert decided(study, cut(study, SIZE, 60.0, n_baselines=1)) == Stop(160, "time", True)


def test_an_unfinished_block_is_left_out_of_the_map_and_said_to_be_kept():
    study = resolved(until=LIMIT)
    found = r2rise.importance_map(cut(study, 2 * SIZE + 5, 61.5), study)
    want = r2rise.importance_map(cut(study, 2 * SIZE, 0.0), resolved(budget=2 * SIZE))
    np.testing.assert_array_equal(found.importance, want.importance)
    np.testing.assert_array_equal(found.std_error, want.std_error)
    assert (found.stopped.reason, found.stopped.seconds) == ("time", 61.5)
    assert (found.revision, found.partial) == (2 * SIZE, False)
    (notice,) = [w for w in found.warnings if w.code == "unfinished_block"]
    assert "leaves out its 5 retrainings" in notice.detail


def test_without_a_complete_block_the_map_is_of_what_there_is():
    study = resolved(until=LIMIT)
    ledger = cut(study, 7, 61.5)
    found = r2rise.importance_map(ledger, study)
    want = estimate("ridge", design_sample(ledger, study, SEGMENTS, 7))
    np.testing.assert_array_equal(found.importance, want.importance)
    assert (found.revision, found.partial, found.verdicts) == (7, True, None)
    assert found.stopped.reason == "time"
    codes = {notice.code: notice.detail for notice in found.warnings}
    assert "this map uses only 7 retrainings" in codes["unfinished_block"]
    assert "Ridge regression replaces" in codes["estimator_changed"]
    # of full rank, the difference estimator is itself
    nearly = r2rise.importance_map(cut(study, SIZE - 1, 61.5), study)
    assert (nearly.estimator.name, nearly.partial) == ("difference", True)
    assert nearly.verdicts.n_unresolved == D


@pytest.mark.parametrize(("n_design", "n_baselines"), [(0, 1), (3, 2)])
def test_too_little_for_a_map_says_what_there_is(n_design, n_baselines):
    study = resolved(until=LIMIT)
    ledger = cut(study, n_design, 61.5, n_baselines)
    with pytest.raises(NotReady, match="Time ran out after 61.5 s, before") as caught:
        r2rise.importance_map(ledger, study)
    told = f"{n_baselines} of 2 retrainings on all frames were done and {n_design} on masks"
    assert told in str(caught.value)


def done_so_far(path, study: Study, n: int, worked: float) -> None:
    """Do the first n tasks of a study, and say that it took so long."""
    with Runner(study, DEMONSTRATIONS) as runner:
        records = runner.run(study_tasks(study, D)[:n])
    with open_ledger(path, runner.ledger.header) as book:
        book.append(records, work_seconds=worked)


def test_the_same_call_finds_the_same_end_and_more_time_goes_on(tmp_path):
    path = tmp_path / "ledger.npz"
    study = asked(noise=4.0, budget=3 * SIZE, until=LIMIT)
    planned = resolve(study, DEMONSTRATIONS).study
    done_so_far(path, planned, 3 + SIZE, 25.0)
    done_so_far(path, planned, 3 + SIZE + 6, 61.5)
    told = []
    maps = [
        r2rise.explain(DEMONSTRATIONS, study, ledger=path, progress=told.append) for _ in range(2)
    ]
    assert told == []
    assert maps[0].stopped == maps[1].stopped
    assert (maps[0].revision, maps[0].stopped.seconds) == (SIZE, 61.5)
    longer = worth.changed(study, until={"seconds": 1e6})
    found = r2rise.explain(DEMONSTRATIONS, longer, ledger=path, progress=told.append)
    assert (told[0].done, told[0].resumed) == (3 + SIZE + 6 + 2, 3 + SIZE + 6)
    assert 0 < told[-1].seconds_left <= 1e6 - 61.5
    undisturbed = r2rise.explain(DEMONSTRATIONS, worth.changed(study, until={}))
    np.testing.assert_array_equal(found.importance, undisturbed.importance)
    assert Ledger.load(path).elapsed[1] >= 61.5


class Slow(Backwards):
    """One shard at a time; the third takes a hundred seconds by the clock."""

    window = 1

    def __init__(self, clock: Clock):
        super().__init__()
        self.clock = clock

    def results(self):
        for came in super().results():
            if len(self.done) == 3:
                self.clock.resume_from(100.0)
            yield came


def test_work_ends_with_the_shard_that_comes_back_after_the_limit(tmp_path):
    path, study, clock = tmp_path / "ledger.npz", resolved(), Clock(99.0)
    engine, tasks = Slow(clock), study_tasks(study, D)
    with Runner(study, DEMONSTRATIONS, ledger=path, engine=engine, clock=clock) as runner:
        assert len(runner.run(tasks)) == 1 + 2 + 2
        assert engine.closed
    assert len(engine.done) == 3
    assert Ledger.load(path).work_seconds >= 100.0
    # the clock goes on to another runner, with nothing left for it
    other = Backwards()
    with Runner(study, DEMONSTRATIONS, engine=other, clock=clock) as runner:
        assert runner.run(tasks) == []
        assert runner.ledger.work_seconds >= 100.0
    assert other.done == []


def test_who_has_no_clock_leaves_the_time_alone(tmp_path):
    study, path = resolved(), tmp_path / "ledger.npz"
    done_so_far(path, study, 3, 7.0)
    with Runner(study, DEMONSTRATIONS, ledger=path) as runner:
        runner.run(study_tasks(study, D)[:8])
    assert Ledger.load(path).work_seconds == 7.0


def test_a_block_that_is_cut_off_is_a_sample_of_its_rows():
    """64 rows of 1 024 in their own order tell 64 segments apart; mixed they tell many more."""
    n_segments = 400
    study = resolved(masking={"design": "foldover", "block_size": 1024})
    tasks = design_tasks(study, n_segments, range(2048))
    shards = [tuple(tasks[start : start + 2]) for start in range(0, 2048, 2)]
    mixed = list(in_mixed_order(shards, 1024))
    assert {shard[0].index for shard in mixed[:512]} == set(range(0, 1024, 2))
    assert sorted(shard[0].index for shard in mixed) == [shard[0].index for shard in shards]
    assert mixed == list(in_mixed_order(shards, 1024))

    def told_apart(some) -> int:
        columns = np.array([shard[0].mask(n_segments) for shard in some]).T
        return len({min(column.tobytes(), (~column).tobytes()) for column in columns})

    assert told_apart(shards[:64]) <= 64
    assert told_apart(mixed[:64]) == n_segments


def test_a_ledger_goes_on_under_any_budget(tmp_path):
    """`auto` is balanced for 8 masks and fold-over for 64: the ledger's own design goes on."""
    few = r2rise.explain(DEMONSTRATIONS, asked(budget=8), ledger=tmp_path / "a.npz")
    assert few.study.masking.design == "balanced"
    more = r2rise.explain(DEMONSTRATIONS, asked(budget=64), ledger=tmp_path / "a.npz")
    assert more.study.masking == few.study.masking
    assert len(Ledger.load(tmp_path / "a.npz").records("design")) == 64
    r2rise.explain(DEMONSTRATIONS, asked(budget=64), ledger=tmp_path / "b.npz")
    less = r2rise.explain(DEMONSTRATIONS, asked(budget=8), ledger=tmp_path / "b.npz")
    assert (less.study.masking.design, less.revision) == ("foldover", SIZE)
    np.testing.assert_allclose(less.importance, WORTHS)
    with pytest.raises(LedgerError, match="masking.segment_length: the ledger has 10"):
        r2rise.explain(
            DEMONSTRATIONS, asked(masking={"segment_length": 5}), ledger=tmp_path / "b.npz"
        )


def test_a_bound_that_holds_no_two_blocks_means_no_foldover_blocks():
    """One block of as many masks as 4 664 segments take would not end, and has one seed."""
    demonstrations = worth.demonstrations(4664)
    study = asked(until=LIMIT, budget=20_000)
    masking = resolve(study, demonstrations).study.masking
    assert (masking.design, masking.block_size) == ("balanced", 64)


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def submitted(server, n_records: int):
    """A job of at most a minute that was worked on for longer, with its first records."""
    server.upload()
    study = {**STUDY, "demonstrations": cartpole().content_hash, "until": LIMIT}
    job = server.store.jobs.get("local", server.submit(study=study).json()["id"])
    server.store.records.add(job.id, records()[:n_records], times={WORK_SO_FAR: 61.5})
    return job


def test_the_service_ends_where_the_library_does(server):
    job = submitted(server, 3 + 9)
    work = make_job_work(job, server.store, server.files)
    work.ask()
    assert work.answered
    found = server.app.state.context.maps.map(job)
    ledger = server.app.state.context.maps.ledger(job)
    assert (ledger.work_seconds, len(ledger)) == (61.5, 12)
    assert (found.revision, found.partial, found.stopped.seconds) == (9, True, 61.5)
    want = r2rise.importance_map(ledger, job.study, job.warnings)
    assert worth.without_time(found) == worth.without_time(want)


def test_the_service_says_when_time_was_too_short(server):
    job = submitted(server, 2)
    work = make_job_work(job, server.store, server.files)
    with pytest.raises(NotReady, match="1 of 2 retrainings on all frames were done and 0 on masks"):
        work.ask()
