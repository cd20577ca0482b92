"""Studies that stop by themselves, end to end: the same map whatever happened."""

import math

import numpy as np
import pytest
import worth
from killed_runs import run_killed_twice
from six_segments import DEMONSTRATIONS, SIZE, asked, by_hand, resolved

import r2rise
from r2rise import Budget, ImportanceMap, Ledger, Study, Until
from r2rise.errors import StudyError
from r2rise.run.resolve import resolve

UNTIL = {"reliability": 0.9}
NOISE = 4.0


@pytest.fixture(scope="module")
def undisturbed() -> ImportanceMap:
    return r2rise.explain(DEMONSTRATIONS, asked(NOISE, until=UNTIL))


def test_an_undisturbed_run_ends_before_its_budget(undisturbed):
    n = undisturbed.revision
    assert 2 * SIZE < n < 160
    assert (undisturbed.stopped.reason, undisturbed.partial) == ("goal", False)
    assert undisturbed.stopped.seconds > 0
    assert undisturbed.retrainings.done == undisturbed.retrainings.planned == n
    assert undisturbed.quality.reliability >= 0.9
    shorter = r2rise.explain(DEMONSTRATIONS, asked(NOISE, budget=n - SIZE))
    assert shorter.quality.reliability < 0.9
    # a study of that budget has the same map
    same = r2rise.explain(DEMONSTRATIONS, asked(NOISE, budget=n))
    np.testing.assert_array_equal(same.importance, undisturbed.importance)
    np.testing.assert_array_equal(same.std_error, undisturbed.std_error)
    assert same.quality == undisturbed.quality
    assert same.stopped is None


def test_more_records_than_needed_change_nothing(undisturbed, tmp_path):
    r2rise.explain(DEMONSTRATIONS, asked(NOISE), out=tmp_path)
    told = []
    found = r2rise.explain(
        DEMONSTRATIONS, asked(NOISE, until=UNTIL), out=tmp_path, progress=told.append
    )
    assert told == []
    assert len(Ledger.load(tmp_path / "ledger.npz").records("design")) == 160
    assert worth.without_time(found) == worth.without_time(undisturbed)


def test_a_smaller_budget_before_changes_nothing(undisturbed, tmp_path):
    r2rise.explain(DEMONSTRATIONS, asked(NOISE, budget=2 * SIZE), out=tmp_path)
    found = r2rise.explain(DEMONSTRATIONS, asked(NOISE, until=UNTIL), out=tmp_path)
    assert worth.without_time(found) == worth.without_time(undisturbed)
    ledger = Ledger.load(tmp_path / "ledger.npz")
    assert len(ledger.records("design")) == undisturbed.revision
    times = [ledger.elapsed[block] for block in range(undisturbed.revision // SIZE)]
    assert times == sorted(times)
    assert found.stopped.seconds == times[-1]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(undisturbed, tmp_path, workers):
    found = r2rise.explain(DEMONSTRATIONS, asked(NOISE, until=UNTIL), out=tmp_path, workers=workers)
    assert worth.without_time(found) == worth.without_time(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_twice_ends_at_the_same_block(undisturbed, tmp_path, workers, monkeypatch):
    monkeypatch.setenv("WORTH_SECONDS", "0.03")
    DEMONSTRATIONS.save(tmp_path / "demos.npz")
    asked(NOISE, until=UNTIL).save(tmp_path / "study.yaml")
    run_killed_twice(tmp_path, "killed", workers, (10, 30))
    found = ImportanceMap.load(tmp_path / "killed")
    assert worth.without_time(found) == worth.without_time(undisturbed)
    elapsed = Ledger.load(tmp_path / "killed" / "ledger.npz").elapsed
    assert sorted(elapsed) == list(range(undisturbed.revision // SIZE))
    assert elapsed[0] >= 0.03 * SIZE / max(workers, 1)
    assert found.stopped.seconds == max(elapsed.values())


def test_time_is_kept_over_runs(tmp_path, monkeypatch):
    """2 baselines and 16 masks of 0.01 s a block: the second run goes on from the first's time."""
    monkeypatch.setenv("WORTH_SECONDS", "0.01")
    r2rise.explain(DEMONSTRATIONS, asked(budget=SIZE), out=tmp_path)
    first = Ledger.load(tmp_path / "ledger.npz").elapsed
    assert first[0] >= 0.18
    r2rise.explain(DEMONSTRATIONS, asked(budget=3 * SIZE), out=tmp_path)
    second = Ledger.load(tmp_path / "ledger.npz").elapsed
    assert second[0] == first[0]
    assert second[1] >= first[0] + 0.16
    assert second[2] >= second[1] + 0.16


def test_time_ends_a_study(tmp_path, monkeypatch):
    monkeypatch.setenv("WORTH_SECONDS", "0.01")
    timed = asked(NOISE, budget=320, until={"seconds": 0.9, "reliability": 0.999})
    found = r2rise.explain(DEMONSTRATIONS, timed, out=tmp_path)
    assert found.stopped.reason == "time"
    assert SIZE <= found.revision <= 5 * SIZE
    n_blocks = found.revision // SIZE
    elapsed = Ledger.load(tmp_path / "ledger.npz").elapsed
    assert found.stopped.seconds == elapsed[n_blocks - 1]
    assert elapsed[n_blocks - 1] * (n_blocks + 1) / n_blocks > 0.9
    assert found.warnings[-1].code == "goal_not_reached"
    # the same call again finds the same end and retrains nothing
    told = []
    again = r2rise.explain(DEMONSTRATIONS, timed, out=tmp_path, progress=told.append)
    assert told == []
    assert worth.without_time(again) == worth.without_time(found)


@pytest.mark.parametrize(
    ("fields", "retrainings"),
    [
        ({}, 384),
        ({"until": {}}, 384),
        ({"until": {"reliability": 0.9}}, 20_000),
        ({"until": {"verdicts": True}}, 20_000),
        ({"until": {"seconds": 60}}, 20_000),
        ({"until": Until(seconds=60)}, 20_000),
        ({"until": {"seconds": 60}, "budget": {"baseline_retrainings": 3}}, 20_000),
        ({"until": {"seconds": 60}, "budget": 128}, 128),
        ({"until": {"seconds": 60}, "preset": "paper"}, 700),
        ({"until": {"seconds": 60}, "budget": {"retrainings": 128}}, 128),
        ({"until": {"seconds": 60}, "budget": Budget(retrainings=128)}, 128),
    ],
)  # fmt: skip
def test_a_study_that_stops_by_itself_has_room_to(fields, retrainings):
    study = Study(environment="x", **fields)
    assert study.budget.retrainings == retrainings
    assert Study.parse(study.model_dump()).budget == study.budget
    given_baselines = isinstance(fields.get("budget"), dict) and "baseline" in str(fields)
    assert study.budget.baseline_retrainings == (3 if given_baselines else 20)


@pytest.mark.parametrize(
    ("fields", "retrainings"),
    [
        ({"until": Until()}, 384),
        ({"until": {"verdicts": False}}, 384),
        ({"until": {"seconds": 60}, "budget": Budget(baseline_retrainings=3)}, 20_000),
    ],
)
def test_room_to_stop_however_it_is_written(fields, retrainings):
    assert Study(environment="x", **fields).budget.retrainings == retrainings


def test_verdicts_of_an_order_only_are_never_waited_for():
    with pytest.raises(StudyError, match="until.verdicts cannot be reached"):
        resolve(asked(until={"verdicts": True}, estimator="rise"), DEMONSTRATIONS)
    assert resolve(asked(until={"reliability": 0.9}, estimator="rise"), DEMONSTRATIONS)


def test_a_budget_that_is_only_a_bound_is_rounded_without_a_word():
    found = resolve(asked(budget=150, until={"reliability": 0.9}), DEMONSTRATIONS)
    assert found.study.budget.retrainings == 160
    assert "budget_rounded" not in {notice.code for notice in found.notices}


def test_a_goal_that_was_not_reached_is_told_with_what_it_would_take():
    study = resolved(until={"reliability": 0.99}, budget=4 * SIZE)
    ledger = by_hand(study, noise=6.0, n_blocks=4)
    found = r2rise.importance_map(ledger, study)
    trust, goal = found.quality.reliability, 0.99
    (notice,) = [w for w in found.warnings if w.code == "goal_not_reached"]
    needed = math.ceil(4 * SIZE * goal * (1 - trust) / (trust * (1 - goal)))
    assert notice.detail == (
        f"The goal is reliability 0.99, but it is {trust:.2f} after 64 retrainings. "
        f"About {needed} retrainings, or longer segments, would reach it."
    )
    # Spearman and Brown: the reliability of one block, stepped up to so many blocks
    one = trust / (4 - 3 * trust)
    factor = needed / SIZE
    assert factor * one / (1 + (factor - 1) * one) == pytest.approx(goal, abs=1e-3)


def test_open_verdicts_are_told():
    study = resolved(until={"verdicts": True}, budget=2 * SIZE)
    found = r2rise.importance_map(by_hand(study, noise=6.0, n_blocks=2), study)
    assert found.verdicts.n_unresolved > 0
    (notice,) = [w for w in found.warnings if w.code == "goal_not_reached"]
    assert notice.detail == "Some segments are still unresolved."


def test_the_missed_one_of_two_goals_is_told():
    study = resolved(until={"reliability": 0.3, "verdicts": True}, budget=4 * SIZE)
    found = r2rise.importance_map(by_hand(study, noise=3.0, n_blocks=4), study)
    assert found.quality.reliability > 0.3
    assert found.verdicts.n_unresolved > 0
    (notice,) = [w for w in found.warnings if w.code == "goal_not_reached"]
    assert "Some segments are still unresolved" in notice.detail
    assert "eliability" not in notice.detail


def test_a_reliability_that_one_seed_cannot_show_is_told_as_such():
    """By its standard errors alone one block seems reliable: that is not taken for the goal."""
    masking = {"segment_length": 10, "design": "foldover"}
    study = resolved(until={"reliability": 0.5}, budget=SIZE, masking=masking)
    found = r2rise.importance_map(by_hand(study, noise=0.0, n_blocks=1), study)
    assert found.quality.reliability == pytest.approx(1.0, abs=1e-3)
    assert found.quality.reliability_method == "model"
    (notice,) = [w for w in found.warnings if w.code == "goal_not_reached"]
    assert "erdict" not in notice.detail


def test_a_budget_that_was_spent_in_time_was_not_ended_by_time():
    study = resolved(until={"seconds": 10}, budget=3 * SIZE)
    ledger = by_hand(study, n_blocks=3)
    ledger.elapsed = {0: 3.0, 1: 6.0, 2: 9.0}
    found = r2rise.importance_map(ledger, study)
    assert found.revision == found.study.budget.retrainings == 3 * SIZE
    assert found.stopped is None


def test_a_goal_reached_is_not_missed(undisturbed):
    assert "goal_not_reached" not in {notice.code for notice in undisturbed.warnings}
