"""Policies that are not worth explaining, and what the demonstrations themselves returned."""

import numpy as np
import pytest
import toys
import worth
from learning import study as learning_study

import r2rise
from r2rise import Demonstrations
from r2rise.design.tasks import Task
from r2rise.ledger.record import Record
from r2rise.run.resolve import resolve
from r2rise.statistics.summaries import AllFrames, Baseline, RandomPolicy
from r2rise.statistics.worth_explaining import is_weak, worth_notices
from r2rise.study.parts import DemonstratedReturn

STUDY = worth.study((1.0,) * 8)


def baseline(trained: float, acted: float = 0.0, error: float = 1.0) -> Baseline:
    return Baseline(
        all_frames=AllFrames(mean=trained, std_error=error, n_retrainings=5, n_episodes=1),
        random_policy=RandomPolicy(mean=acted, std_error=0.0, n_episodes=1),
    )


def demonstrated(mean: float) -> r2rise.Study:
    part = DemonstratedReturn(mean=mean, n_whole=1, n_cut=0)
    return STUDY.model_copy(update={"demonstrated": part})


@pytest.mark.parametrize(
    ("trained", "weak"), [(19.9, True), (20.1, False), (-5.0, True), (500.0, False)]
)
def test_a_fifth_of_what_the_demonstrations_gain_is_the_limit(trained, weak):
    assert is_weak(demonstrated(100.0), baseline(trained)) == weak
    shifted = baseline(trained - 1000, acted=-1000)
    assert is_weak(demonstrated(-900.0), shifted) == weak


@pytest.mark.parametrize(("trained", "weak"), [(1.9, True), (2.1, False), (-1.0, True)])
def test_where_their_return_is_unknown_chance_is_the_limit(trained, weak):
    assert is_weak(STUDY, baseline(trained)) == weak
    assert is_weak(demonstrated(-3.0), baseline(trained)) == weak  # worse than random actions


def test_without_baselines_nothing_is_said():
    assert not is_weak(demonstrated(100.0), Baseline())


def test_a_map_of_masks_that_all_reach_the_same_is_grey_and_says_so(tmp_path):
    own = learning_study(n_updates=100, curve="flat", base=1.0, worth=[0.1] * 8, ceiling=100.0,
                         noise=0.0)  # fmt: skip
    found = r2rise.explain(worth.demonstrations(8), own)
    assert [notice.code for notice in found.headlines] == ["no_variation"]
    assert "Every mask gave the same return, 100:" in found.headlines[0].detail
    assert not found.is_worth_reading
    found.save(tmp_path / "map.svg")
    assert "grey because" in (tmp_path / "map.svg").read_text()


def a_record(index: int, training_seed: int, mean: float) -> Record:
    task = Task("design", index, b"x", training_seed, 0, 0)
    return Record(*task.key, np.array([mean]))


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ([[5.0, 5.0, 5.0], [5.0, 5.0, 5.0]], "Every mask gave the same return, 5:"),
        ([[5.0, 5.0 + 1e-14], [7.0, 7.0]],
         "With one training seed every mask gave the same return, 6 on average:"),
        ([[5.0, 5.1], [7.0, 7.0]], None),
        ([[5.0], [5.0]], "Every mask gave the same return, 5:"),
        ([[5.0], [7.0]], None),
        ([[5.0]], None),
        ([[5e12, 5e12 + 0.001]], "Every mask gave the same return,"),
        ([[5e-12, 6e-12]], None),
    ],
)  # fmt: skip
def test_masks_that_make_no_difference_are_compared_within_training_seeds(returns, expected):
    records = [
        a_record(10 * seed + i, seed, value)
        for seed, own in enumerate(returns)
        for i, value in enumerate(own)
    ]
    found = {n.code: n.detail for n in worth_notices(STUDY, Baseline(), records)}
    if expected is None:
        assert "no_variation" not in found
    else:
        assert found["no_variation"].startswith(expected)
        assert "saturated_policy" not in found


def returns_of(rews: np.ndarray, lengths: list[int], terminal: list[bool], **evaluation):
    n = sum(lengths)
    demonstrations = Demonstrations(
        obs=np.zeros((n + len(lengths), 1), np.float32), acts=np.zeros((n, 1)),
        lengths=np.array(lengths), rews=rews, terminal=np.array(terminal),
    )  # fmt: skip
    study = r2rise.Study(
        environment=toys.OneStep, algorithm=toys.Additive, evaluation=evaluation, budget=32
    )
    return resolve(study, demonstrations).study.demonstrated


def test_what_the_demonstrations_returned():
    rews = np.ones(30)
    whole = returns_of(rews, [10, 20], [True, True])
    assert (whole.mean, whole.n_whole, whole.n_cut) == (15.0, 2, 0)
    one = returns_of(rews, [10, 20], [True, False], max_steps=40)
    assert (one.mean, one.n_whole, one.n_cut) == (10.0, 1, 1)
    at_the_limit = returns_of(rews, [10, 20], [False, False], max_steps=20)
    assert (at_the_limit.mean, at_the_limit.n_whole) == (20.0, 1)
    cut = returns_of(rews, [10, 20], [False, False], max_steps=40)  # as if they had gone on
    assert (cut.mean, cut.n_whole, cut.n_cut) == (40.0, 0, 2)
    assert returns_of(rews, [10, 20], [False, False]) is None  # nobody knows for how long
    assert returns_of(rews, [30], [True], score="info:success") is None
