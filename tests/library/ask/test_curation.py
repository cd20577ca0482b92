"""Curation of demonstrations whose harmful segments and gains are known."""

import numpy as np
import pytest
import worth
from by_hand import check
from engines import Backwards

import r2rise
from r2rise import ImportanceMap, Ledger
from r2rise.ask.curate import CHOOSING_REPETITIONS, CONFIRMING_SEEDS, drop_sizes
from r2rise.errors import DemonstrationsError, MapError, NotReady, StudyError
from r2rise.results.curation import Curation

WORTH = (5.0, -3.0, 1.0, 2.5, 6.0, -1.0, 0.5, -2.0, 4.0, 3.0)
D = len(WORTH)
DEMONSTRATIONS = worth.demonstrations(D)
TOTAL = 16.0


@pytest.fixture(scope="module")
def true_map() -> ImportanceMap:
    """Of a learner without noise: its values are WORTH."""
    return worth.explained(WORTH)


@pytest.fixture(scope="module")
def curation(true_map) -> Curation:
    return r2rise.curate(DEMONSTRATIONS, true_map)


def test_all_that_hurts_is_found_and_its_exact_gain(curation):
    assert [trial.n_dropped for trial in curation.trials] == [1, 2, 3]
    for trial, gain in zip(curation.trials, (3.0, 5.0, 6.0), strict=True):
        assert trial.gain.mean == pytest.approx(gain)
        assert trial.mean_return.mean == pytest.approx(TOTAL + gain)
        assert trial.gain.n == CHOOSING_REPETITIONS
    assert curation.outcome == "gain"
    confirmed = curation.confirmation
    for interval, value in (
        (confirmed.all_frames, TOTAL), (confirmed.curated, TOTAL + 6), (confirmed.gain, 6.0)
    ):  # fmt: skip
        assert interval.mean == interval.lower == interval.upper == pytest.approx(value)
        assert interval.n == CONFIRMING_SEEDS
    assert curation.n_retrainings == 16 * 4 + 40 * 3
    assert curation.n_failed == 0
    assert curation.in_words().startswith("Gain: without 3 segments the return is 22 ")


def test_edits_are_the_harmful_segments_with_their_reasons(curation, true_map):
    places = [(edit.demonstration, edit.start, edit.stop) for edit in curation.edits]
    assert places == [(0, 10, 20), (1, 0, 10), (1, 20, 30)]
    importance = [-3.0, -1.0, -2.0]
    for edit, value in zip(curation.edits, importance, strict=True):
        assert edit.reason.startswith(f"hurts: importance {value:+.4g} +- ")
    without = true_map.model_copy(update={"verdicts": None})
    again = r2rise.curate(DEMONSTRATIONS, without)
    assert [edit.reason for edit in again.edits] == [
        edit.reason.removeprefix("hurts: ") for edit in curation.edits
    ]


def test_applied_edits_leave_no_transition_that_bridges_a_cut(curation):
    left = curation.apply(DEMONSTRATIONS)
    # 0: 0-9, 20-49; 1: 10-19, 30-49
    assert left.lengths.tolist() == [10, 30, 10, 20]
    frames = np.concatenate([np.r_[0:10, 20:50], 50 + np.r_[10:20, 30:50]])
    np.testing.assert_array_equal(left.acts, DEMONSTRATIONS.acts[frames])
    kept = np.zeros(100, bool)
    kept[frames] = True
    before, after = (
        DEMONSTRATIONS.transitions(kept),
        left.transitions(np.ones(left.n_frames, bool)),
    )
    for name in ("obs", "acts", "next_obs", "terminal"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def by_seed(records) -> np.ndarray:
    """Of 40 seeds: all frames and curated, then the random drops; (40, 3) indices."""
    both, at_random = np.arange(80).reshape(40, 2), np.arange(80, 120)
    assert len(records) == 120
    return np.column_stack([both, at_random])


def test_the_random_drop_resembles_the_choice(true_map, tmp_path):
    found = r2rise.curate(DEMONSTRATIONS, true_map, ledger=tmp_path / "a.npz")
    records = Ledger.load(tmp_path / "a.npz").records("confirm")
    masks = np.array([record.mask(D) for record in records])[by_seed(records)]
    assert masks[:, 0].all()
    assert (masks[:, 1] == (np.array(WORTH) > 0)).all()
    random_drop = ~masks[:, 2]
    assert (random_drop.sum(axis=1) == 3).all()
    assert random_drop[:, :5].any(axis=1).all()  # of both demonstrations, as the choice
    assert random_drop[:, 5:].any(axis=1).all()
    seeds = np.array([record.training_seed for record in records])[by_seed(records)]
    assert (seeds == seeds[:, :1]).all()
    returns = np.array([record.returns.mean() for record in records])[by_seed(records)]
    np.testing.assert_allclose(returns, masks @ np.array(WORTH), atol=1e-9)
    check(found.confirmation.random_drop, returns[:, 2])
    check(found.confirmation.gain_over_random, returns[:, 1] - returns[:, 2])


def test_gains_are_seed_by_seed(true_map, tmp_path):
    """What all masks of a seed share cancels; each mask's own noise gives the interval."""
    own = worth.learned(true_map, WORTH, seed_noise=100.0, noise=2.0)
    found = r2rise.curate(DEMONSTRATIONS, own, ledger=tmp_path / "a.npz")
    ledger = Ledger.load(tmp_path / "a.npz")
    tried = np.array([r.returns.mean() for r in ledger.records("curate")]).reshape(16, 4)
    for arm, trial in enumerate(found.trials, start=1):
        check(trial.gain, tried[:, arm] - tried[:, 0])
        check(trial.mean_return, tried[:, arm])
    records = ledger.records("confirm")
    confirmed = np.array([r.returns.mean() for r in records])[by_seed(records)]
    check(found.confirmation.gain, confirmed[:, 1] - confirmed[:, 0])
    check(found.confirmation.curated, confirmed[:, 1])
    assert found.outcome == "gain"
    gain, curated = found.confirmation.gain, found.confirmation.curated
    assert gain.upper - gain.lower < 3
    assert curated.upper - curated.lower > 40
    best = max(found.trials, key=lambda trial: trial.gain.mean)
    assert len(found.edits) == best.n_dropped


def test_a_gain_that_fresh_seeds_do_not_confirm(true_map):
    """Nothing matters but noise: the best of the trials flatters itself."""
    own = worth.learned(true_map, (0.0,) * D, base=50.0, noise=5.0)
    found = r2rise.curate(DEMONSTRATIONS, own)
    best = max(found.trials, key=lambda trial: trial.gain.mean)
    assert best.gain.mean > 0
    assert found.outcome == "no_gain"
    assert not found.confirmation.gain.is_above_zero
    assert len(found.edits) == best.n_dropped
    assert found.in_words().startswith("No gain was confirmed")


def test_where_nothing_hurts_nothing_is_retrained(true_map):
    told = []
    helpful = worth.ranked(true_map, *np.abs(WORTH))
    found = r2rise.curate(DEMONSTRATIONS, helpful, progress=told.append)
    assert told == []
    assert (found.outcome, found.trials, found.confirmation, found.edits) == (
        "no_gain",
        (),
        None,
        (),
    )
    assert (found.n_retrainings, found.n_failed) == (0, 0)
    assert "no segment seems to hurt" in found.in_words()
    with pytest.raises(NotReady, match="nothing to leave out"):
        found.apply(DEMONSTRATIONS)


def test_where_no_trial_gains_nothing_is_confirmed(true_map):
    """The map has it the wrong way round: what it calls harmful helps."""
    found = r2rise.curate(DEMONSTRATIONS, worth.ranked(true_map, *np.negative(WORTH)))
    assert [trial.n_dropped for trial in found.trials] == [1, 2, 3, 4]
    gains = [trial.gain.mean for trial in found.trials]
    assert gains == pytest.approx([-6.0, -11.0, -15.0, -18.0])
    assert (found.outcome, found.confirmation, found.edits) == ("no_gain", None, ())
    assert found.n_retrainings == 16 * 5
    assert "never better than all frames" in found.in_words()


def test_a_map_that_knows_the_order_only_cannot_be_curated(true_map):
    order_only = true_map.model_copy(
        update={"estimator": true_map.estimator.model_copy(
            update={"name": "rise", "sign": "order_only"})}
    )  # fmt: skip
    told = []
    with pytest.raises(MapError, match="'rise' only ranks segments"):
        r2rise.curate(DEMONSTRATIONS, order_only, progress=told.append)
    assert told == []


def test_failed_retrainings_leave_their_repetition_out_and_are_counted(true_map, tmp_path):
    own = worth.learned(true_map, WORTH, refuses=17)
    found = r2rise.curate(DEMONSTRATIONS, own, ledger=tmp_path / "a.npz")
    ledger = Ledger.load(tmp_path / "a.npz")
    failed = {
        kind: np.array([r.status == "failed" for r in ledger.records(kind)])
        for kind in ("curate", "confirm")
    }
    assert failed["curate"].any()
    assert failed["confirm"].any()
    assert found.n_failed == failed["curate"].sum() + failed["confirm"].sum()
    assert found.trials[0].gain.n == 16 - failed["curate"].reshape(16, 4).any(axis=1).sum()
    lost = failed["confirm"][by_seed(ledger.records("confirm"))].any(axis=1)
    assert found.confirmation.gain.n == 40 - lost.sum()
    assert found.confirmation.gain.mean == pytest.approx(6.0)


def test_at_least_two_repetitions_have_to_succeed(true_map):
    hopeless = worth.learned(true_map, WORTH, refuses=1)
    with pytest.raises(NotReady, match="there are 0 of 16"):
        r2rise.curate(DEMONSTRATIONS, hopeless)


def test_what_was_not_estimated_is_never_dropped(true_map, tmp_path):
    values = np.array(WORTH)
    values[1] = np.nan
    found = r2rise.curate(
        DEMONSTRATIONS, worth.ranked(true_map, *values), ledger=tmp_path / "a.npz"
    )
    assert [edit.start for edit in found.edits] == [0, 20]
    records = Ledger.load(tmp_path / "a.npz").records("confirm")
    assert all(record.mask(D)[1] for record in records)


def test_the_order_of_the_work_and_an_interruption_change_nothing(true_map, curation, tmp_path):
    told = []
    backwards = r2rise.curate(
        DEMONSTRATIONS, true_map, engine=Backwards(), ledger=tmp_path / "a.npz"
    )
    assert worth.without_time(backwards) == worth.without_time(curation)
    r2rise.curate(DEMONSTRATIONS, true_map, ledger=tmp_path / "a.npz", progress=told.append)
    assert told == []


def test_other_demonstrations_than_the_maps_are_refused(curation, true_map):
    other = worth.toys.demonstrations(3, 50)
    with pytest.raises(DemonstrationsError, match="The edits are for the demonstrations"):
        curation.apply(other)
    with pytest.raises(StudyError, match="is about other demonstrations"):
        r2rise.curate(other, true_map)


@pytest.mark.parametrize(
    ("n_harmful", "n", "sizes"),
    [
        (0, 10, []),
        (1, 10, [1]),
        (5, 10, [1, 2, 3, 4]),  # 40 % of 10
        (7, 50, [1, 2, 3, 4, 6]),
        (50, 50, [1, 2, 3, 4, 6, 8, 11, 16]),
        (100, 250, [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91]),
        (2, 2, []),  # 40 % of 2 is less than one
    ],
)
def test_how_many_are_tried(true_map, n_harmful, n, sizes):
    """Steps of the root of 2, up to all that seem to hurt and 40 % of what is known."""
    values = [-1.0 - i for i in range(n_harmful)] + [1.0] * (n - n_harmful)
    assert drop_sizes(worth.ranked(true_map, *values)) == sizes
    assert drop_sizes(worth.ranked(true_map, *values, *[np.nan] * 30)) == sizes
