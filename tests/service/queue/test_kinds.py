"""Jobs that are based on maps, on real workers: the same results as without a service."""

from collections.abc import Iterator

import pytest
import worth
from benches import DEMONSTRATIONS, Bench, study_of

import r2rise
from r2rise import ImportanceMap
from r2rise.design.tasks import study_tasks
from r2rise.errors import NotReady
from r2rise.run.runner import Runner
from r2rise_service.models import JobInfo
from r2rise_service.storage import NewJob, Source

WORTH = (5.0, -3.0, 1.0, 2.5, 6.0, -1.0, 0.5, -2.0)
OTHER = (-1.0, 4.0, 2.0, -0.5, 3.0, 7.0, -6.0, 1.5)


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    found = Bench(tmp_path_factory.mktemp("service"))
    found.reconciler.start()
    yield found
    found.stop()


def explained(bench: Bench, values=WORTH, **settings) -> tuple[JobInfo, ImportanceMap]:
    """A job with a map, done here, and the map."""
    study = study_of(
        environment="worth:Known",
        algorithm={"name": "worth:Worth", "settings": {"worth": list(values), **settings}},
        evaluation={"n_episodes": 1, "max_steps": 2},
        budget={"retrainings": 32, "baseline_retrainings": 2},
    )
    job, _ = bench.store.jobs.add(NewJob("me", "explain", bench.dataset.id, study, 35))
    bench.store.jobs.set_status(job.id, "succeeded", only_from=["queued", "running"])
    with Runner(study, DEMONSTRATIONS) as runner:
        bench.store.records.add(job.id, runner.run(study_tasks(study, 8)))
        found = r2rise.importance_map(runner.ledger, study)
    return bench.store.jobs.get("me", job.id), found


def submit(bench: Bench, kind, *bases, repetitions=None) -> JobInfo:
    sources = tuple(
        Source(job.id, f"map {number}", found.to_json())
        for number, (job, found) in enumerate(bases)
    )
    study = bases[0][0].study
    job, _ = bench.store.jobs.add(
        NewJob("me", kind, bench.dataset.id, study, 1, sources=sources, repetitions=repetitions)
    )
    bench.reconciler.wake()
    return job


def result(bench: Bench, job: JobInfo, kind):
    return worth.without_time(kind.from_json(bench.store.results.get(job.id)))


@pytest.mark.slow
def test_a_certificate_is_that_of_the_library(bench):
    job, found = explained(bench, noise=2.0)
    oracle = r2rise.certify(DEMONSTRATIONS, found, repetitions=3)
    done = bench.wait(submit(bench, "certify", (job, found), repetitions=3), "succeeded", "failed")
    assert result(bench, done, r2rise.Certificate) == worth.without_time(oracle)
    assert done.progress.total == done.progress.done == 3 + oracle.n_retrainings
    assert done.revision == 0
    ledger = bench.store.records.ledger(done.id, (40, 40), 8)
    theirs = bench.store.records.ledger(job.id, (40, 40), 8)
    for kind in ("random_policy", "baseline"):  # copied, not retrained
        assert [r.to_json() for r in ledger.records(kind)] == [
            r.to_json() for r in theirs.records(kind)
        ]


@pytest.mark.slow
def test_a_curation_asks_for_trials_both_arms_and_random_drops(bench):
    base = explained(bench, noise=0.5)
    oracle = r2rise.curate(DEMONSTRATIONS, base[1])
    done = bench.wait(submit(bench, "curate", base), "succeeded", "failed")
    assert result(bench, done, r2rise.Curation) == worth.without_time(oracle)
    assert done.progress.done == done.progress.total == oracle.n_retrainings == 16 * 4 + 40 * 3
    totals = [e.data["total"] for e in bench.store.jobs.events(done.id) if e.type == "job.progress"]
    assert set(totals) == {16 * 4, 16 * 4 + 40 * 2, 16 * 4 + 40 * 3}


@pytest.mark.slow
def test_a_curation_without_a_gain_asks_once(bench):
    """To this learner, what the map says hurts is worth something."""
    job, found = explained(bench, tuple(abs(value) for value in WORTH))
    wrong = found.model_copy(update={"importance": -found.importance})
    oracle = r2rise.curate(DEMONSTRATIONS, wrong)
    assert (oracle.outcome, oracle.confirmation) == ("no_gain", None)
    done = bench.wait(submit(bench, "curate", (job, wrong)), "succeeded", "failed")
    assert result(bench, done, r2rise.Curation) == worth.without_time(oracle)
    assert done.progress.total == oracle.n_retrainings == 16 * 4


def test_a_curation_with_nothing_to_try_retrains_nothing(bench):
    job, found = explained(bench, tuple(abs(value) for value in WORTH))
    done = bench.wait(submit(bench, "curate", (job, found)), "succeeded", "failed")
    assert result(bench, done, r2rise.Curation) == worth.without_time(
        r2rise.curate(DEMONSTRATIONS, found)
    )
    assert done.progress.done == 0


@pytest.mark.slow
def test_a_transfer_of_two_learners(bench):
    bases = explained(bench, noise=1.0), explained(bench, OTHER)
    maps = {"map 0": bases[0][1], "map 1": bases[1][1]}
    oracle = r2rise.transfer(DEMONSTRATIONS, maps, repetitions=2)
    done = bench.wait(submit(bench, "transfer", *bases, repetitions=2), "succeeded", "failed")
    assert result(bench, done, r2rise.Transfer) == worth.without_time(oracle)
    ledgers = [bench.store.records.ledger(done.id, (40, 40), 8, part=part) for part in (0, 1)]
    assert [ledger.header.design for ledger in ledgers] == [
        found.study.design_part() for found in maps.values()
    ]
    assert sum(map(len, ledgers)) == done.progress.done == done.progress.total


@pytest.mark.slow
def test_a_question_that_has_no_answer_fails_the_job(bench):
    job, found = explained(bench)
    hopeless = worth.learned(found, WORTH, refuses=1)
    with pytest.raises(NotReady, match="there are 0 of 3") as told:
        r2rise.certify(DEMONSTRATIONS, hopeless, repetitions=3)
    asked = submit(bench, "certify", (job, hopeless), repetitions=3)
    failed = bench.wait(asked, "succeeded", "failed")
    assert (failed.status, failed.error) == ("failed", str(told.value))
    assert bench.store.results.get(failed.id) is None


@pytest.mark.slow
def test_a_study_that_has_no_more_time_ends_after_a_block(bench):
    slow = {"name": "toys:Additive", "settings": {"seed_noise": 1.0, "seconds": 0.1}}
    asked = bench.submit(budget=512, until={"seconds": 12.0}, algorithm=slow)
    job = bench.wait(asked, "succeeded", "failed")
    assert 32 <= job.revision < 512
    ledger = bench.store.records.ledger(job.id, (40, 40), 8)
    assert r2rise.importance_map(ledger, job.study).stopped.reason == "time"


@pytest.mark.slow
def test_what_a_server_left_in_the_second_stage_is_done_by_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setenv("WORTH_SECONDS", "0.02")  # for workers that are started from here on
    first = Bench(tmp_path)
    base = explained(first, noise=0.5)
    job = submit(first, "curate", base)
    first.reconciler.start()
    first.wait_for_records(job, 16 * 4 + 20)
    first.stop()
    second = Bench(tmp_path)
    left = second.store.jobs.get("me", job.id)
    assert left.status == "running"
    assert 16 * 4 + 20 <= left.progress.done < left.progress.total == 16 * 4 + 40 * 2
    second.reconciler.start()
    done = second.wait(job, "succeeded", "failed")
    oracle = r2rise.curate(DEMONSTRATIONS, base[1])
    assert result(second, done, r2rise.Curation) == worth.without_time(oracle)
    assert done.progress.done == oracle.n_retrainings
    second.stop()
