"""When a study has enough: the same decision whatever happened on the way there."""

import math

import pytest
import worth
from hypothesis import given, settings
from hypothesis import strategies as st
from six_segments import SEGMENTS, SIZE, D, by_hand, resolved

import r2rise
from r2rise import Ledger, Study
from r2rise.ledger.ledger import WORK_SO_FAR
from r2rise.statistics.estimators import estimate
from r2rise.statistics.reliability import reliability
from r2rise.statistics.stopping import Stop, StoppingRule, design_sample, estimator_name


def first_to_satisfy(study: Study, ledger: Ledger, satisfied) -> int | None:
    """Return the retrainings of the first blocks whose estimate satisfies, found one by one."""
    for n in range(SIZE, study.budget.retrainings + 1, SIZE):
        sample = design_sample(ledger, study, SEGMENTS, n)
        if satisfied(n, estimate(estimator_name(study), sample)):
            return n
    return None


@pytest.mark.parametrize("goal", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_reliability_ends_at_the_first_block_that_reaches_it(goal):
    study = resolved(until={"reliability": goal})
    ledger = by_hand(study, noise=6.0)
    want = first_to_satisfy(
        study, ledger, lambda n, found: n >= 2 * SIZE and reliability(found).value >= goal
    )
    stop = StoppingRule(study, SEGMENTS).decide(ledger)
    assert stop == (None if want is None else Stop(want, "goal"))


def test_the_goals_above_are_reached_at_different_blocks():
    stops = []
    for goal in (0.5, 0.8, 0.9, 0.95, 0.99):
        study = resolved(until={"reliability": goal})
        stops.append(StoppingRule(study, SEGMENTS).decide(by_hand(study, noise=4.0)))
    numbers = [stop.n_retrainings if stop else math.inf for stop in stops]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) >= 3


def test_one_training_seed_is_never_reliable():
    study = resolved(until={"reliability": 0.01})
    noiseless = by_hand(study, noise=0.0)
    assert StoppingRule(study, SEGMENTS).decide(noiseless) == Stop(2 * SIZE, "goal")
    one_block = by_hand(study, noise=0.0, n_blocks=1)
    assert StoppingRule(study, SEGMENTS).decide(one_block) is None


def test_masks_with_seeds_of_their_own_are_looked_at_every_64():
    study = resolved(
        until={"reliability": 0.01}, masking={"design": "bernoulli", "block_size": 1}, budget=150
    )
    assert study.masking.masks_between_looks == 64
    ledger = by_hand(study)
    assert StoppingRule(study, SEGMENTS).decide(ledger) == Stop(64, "goal")
    # the last 22 of 150 are no whole step
    never = resolved(
        until={"reliability": 0.999999}, masking={"design": "bernoulli", "block_size": 1},
        budget=150,
    )  # fmt: skip
    assert StoppingRule(never, SEGMENTS).decide(by_hand(never)) is None
    assert Ledger(ledger.header).add(by_hand(never).records("design"), work_seconds=2.0) == {
        WORK_SO_FAR: 2.0, 0: 2.0, 1: 2.0,
    }  # fmt: skip


def verdicts_open(study: Study, ledger: Ledger, n: int) -> int:
    whole = worth.changed(study, until={}, budget={"retrainings": n, "baseline_retrainings": 2})
    return r2rise.importance_map(ledger, whole).verdicts.n_unresolved


def test_verdicts_end_when_none_is_open():
    study = resolved(until={"verdicts": True})
    ledger = by_hand(study, noise=1.5)
    stop = StoppingRule(study, SEGMENTS).decide(ledger)
    assert stop.reason == "goal"
    assert SIZE < stop.n_retrainings < 10 * SIZE
    open_at = {
        n: verdicts_open(study, ledger, n) for n in range(SIZE, stop.n_retrainings + 1, SIZE)
    }
    assert [n for n, count in open_at.items() if count == 0] == [stop.n_retrainings]
    assert open_at[SIZE] == D


def test_both_goals_have_to_be_reached():
    ledger = by_hand(resolved(), noise=1.5)
    ends = {}
    for name, until in {
        "reliability": {"reliability": 0.6},
        "verdicts": {"verdicts": True},
        "both": {"reliability": 0.6, "verdicts": True},
    }.items():
        ends[name] = StoppingRule(resolved(until=until), SEGMENTS).decide(ledger).n_retrainings
    assert ends["reliability"] < ends["verdicts"]
    assert ends["both"] == ends["verdicts"]


@pytest.mark.parametrize(
    ("elapsed", "seconds", "want"),
    [
        ([10.0, 20.0, 30.0], 100, None),  # a fourth ends at 40
        ([10.0, 20.0, 30.0], 39.9, 3),
        ([10.0, 20.0, 30.0], 40.0, None),  # just in time
        ([10.0, 20.0, 30.0], 29.9, 2),
        ([10.0, 20.0, 30.0], 5, 1),  # the first block is always done
        ([10.0, 30.0, 90.0], 44.9, 2),  # (30 / 2) a block, 45 with a third
        ([10.0, 30.0, 90.0], 45.0, 3),  # 120 with a fourth
    ],
)
def test_no_block_is_begun_that_would_not_end_in_time(elapsed, seconds, want):
    study = resolved(until={"seconds": seconds})
    ledger = by_hand(study, n_blocks=3)
    ledger.elapsed = dict(enumerate(elapsed))
    stop = StoppingRule(study, SEGMENTS).decide(ledger)
    assert stop == (None if want is None else Stop(want * SIZE, "time"))


def test_blocks_without_a_time_end_nothing_by_time():
    study = resolved(until={"seconds": 1})
    ledger = by_hand(study)
    assert StoppingRule(study, SEGMENTS).decide(ledger) is None
    ledger.elapsed = {4: 50.0}
    assert StoppingRule(study, SEGMENTS).decide(ledger) == Stop(5 * SIZE, "time")


def test_a_goal_reached_in_time_is_a_goal():
    study = resolved(until={"reliability": 0.5, "seconds": 1})
    ledger = by_hand(study, noise=0.0)
    ledger.elapsed = {0: 0.2, 1: 70.0}
    assert StoppingRule(study, SEGMENTS).decide(ledger) == Stop(2 * SIZE, "goal")
    ledger.elapsed = {0: 35.0, 1: 70.0}
    assert StoppingRule(study, SEGMENTS).decide(ledger) == Stop(SIZE, "time")


def test_without_until_nothing_ends_early():
    assert StoppingRule(resolved(), SEGMENTS).decide(by_hand(resolved(), noise=0.0)) is None


def test_a_block_counts_when_it_and_the_baselines_are_complete():
    study = resolved(until={"reliability": 0.5})
    whole = by_hand(study, noise=0.0)
    records = [r for k in ("random_policy", "baseline", "design") for r in whole.records(k)]
    for missing in (records[0], records[2], records[3], records[3 + SIZE]):
        held = Ledger(whole.header, [r for r in records if r is not missing])
        assert StoppingRule(study, SEGMENTS).decide(held) is None


def test_records_beyond_the_budget_are_not_looked_at():
    goal = {"reliability": 0.9}
    ledger = by_hand(resolved(), noise=4.0)
    stop = StoppingRule(resolved(until=goal), SEGMENTS).decide(ledger)
    assert stop.n_retrainings > 2 * SIZE
    smaller = resolved(until=goal, budget=stop.n_retrainings - SIZE)
    assert StoppingRule(smaller, SEGMENTS).decide(ledger) is None


def check_order(order, goal, at_a_time):
    """Decided after every few shards, or once from a ledger that holds more than needed."""
    study = resolved(until={"reliability": goal, "seconds": 1e9})
    whole = by_hand(study, noise=6.0, n_blocks=6)
    baselines = [*whole.records("random_policy"), *whole.records("baseline")]
    design = whole.records("design")
    shards = [design[i * 8 : i * 8 + 8] for i in order]
    growing, rule = Ledger(whole.header, baselines), StoppingRule(study, SEGMENTS)
    stop = None
    for start in range(0, len(shards), at_a_time):
        for shard in shards[start : start + at_a_time]:
            growing.add(shard)
        stop = rule.decide(growing)
        if stop:
            break
    assert stop == StoppingRule(study, SEGMENTS).decide(whole)
    assert stop == StoppingRule(study, SEGMENTS).decide(growing)


orders = given(st.permutations(range(12)), st.sampled_from([0.3, 0.7, 0.9]), st.integers(1, 5))


@orders
@settings(max_examples=20)
def test_the_decision_is_the_same_in_whatever_order_records_come(order, goal, at_a_time):
    check_order(order, goal, at_a_time)


@pytest.mark.slow
@orders
def test_the_decision_is_the_same_in_many_orders(order, goal, at_a_time):
    check_order(order, goal, at_a_time)
