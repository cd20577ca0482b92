"""Curations of a learner whose return at every amount of training is known."""

import numpy as np
import pytest
import worth
from learning import CURVES, study

import r2rise
from r2rise import Curation, Demonstrations, Ledger
from r2rise.ask.curate import (
    AMOUNT_SEEDS,
    MAX_TRAINING,
    REPORTED_SEEDS,
    compared_amounts,
    max_judging_evaluations,
)
from r2rise.errors import NotReady
from r2rise.study.specs import AlgorithmSpec

DEMOS = worth.demonstrations(8)
N_FRAMES = DEMOS.n_frames
HARMFUL = (0.3, 0.3, -0.2, 0.2, 0.3, -0.3, 0.2, 0.2)
"""Shares of the return; all together 1, without the two that hurt 1.5."""


def curated(path=None, **settings) -> Curation:
    own = study(n_updates=400, worth=list(HARMFUL), **settings)
    return r2rise.curate(DEMOS, r2rise.explain(DEMOS, own, ledger=path), ledger=path)


def reached(share: float, *amounts: int) -> float:
    """Where 95 % of the ceiling of 60 are reached, between two amounts."""
    returns = [min(share * CURVES["rises"](amount), 60.0) for amount in amounts]
    return 2 ** np.interp(0.95 * 60, returns, np.log2(amounts))


def applied(found: Curation, **how) -> Demonstrations:
    return found.apply(DEMOS, **how)


def test_a_gain_that_no_amount_of_training_makes_up_for(tmp_path):
    found = curated(tmp_path / "a.npz", curve="falls")
    longer, confirmed = found.longer_training, found.confirmation
    assert found.outcome == "gain"
    assert (longer.amounts, longer.unit) == ((200, 400, 800, 1600), "updates")
    for amount, whole, better in zip(
        longer.amounts, longer.all_frames, longer.curated, strict=True
    ):
        assert whole.mean == pytest.approx(CURVES["falls"](amount), abs=0.6)
        assert better.mean == pytest.approx(1.5 * CURVES["falls"](amount), abs=0.6)
        assert whole.n == better.n == REPORTED_SEEDS
    assert confirmed.gain.mean == pytest.approx(0.5 * CURVES["falls"](200), abs=1.5)
    assert not longer.still_rising
    assert "200 to 1600 updates" in found.in_words()
    assert applied(found).n_frames == 60
    records = Ledger.load(tmp_path / "a.npz").records("amounts")
    assert len(records) == AMOUNT_SEEDS * 2 * 4
    assert {r.amount for r in records} == set(longer.amounts)


def test_amounts_are_chosen_with_other_seeds_than_are_reported(tmp_path):
    curated(tmp_path / "a.npz")
    ledger = Ledger.load(tmp_path / "a.npz")
    seeds = [{r.training_seed for r in ledger.records(kind)} for kind in ("amounts", "confirm")]
    assert (len(seeds[0]), len(seeds[1])) == (AMOUNT_SEEDS, REPORTED_SEEDS)
    assert not seeds[0] & seeds[1]


def test_what_only_trains_faster_is_said_to():
    found = curated(curve="rises", ceiling=60.0)
    assert found.outcome == "trains_faster"
    kept = 1 - sum(HARMFUL[4 * edit.demonstration + edit.start // 10] for edit in found.edits)
    speed = found.longer_training.speed
    assert speed.all_frames_amount == pytest.approx(reached(1.0, 400, 800), rel=0.05)
    assert speed.curated_amount == pytest.approx(reached(kept, 200, 400), rel=0.05)
    assert "times sooner" in found.in_words()
    assert applied(found).n_frames == 80 - 10 * len(found.edits)


def test_where_all_frames_still_rise_no_gain_is_said():
    found = curated(curve="rises")
    assert found.longer_training.still_rising
    assert found.outcome != "gain"


def test_where_any_frames_may_go_these_are_not_to_blame():
    own = study(n_updates=400, worth=[-0.125] * 8, base=2.0)
    found = r2rise.curate(DEMOS, r2rise.explain(DEMOS, own))
    assert found.outcome == "fewer_frames_do"
    with pytest.raises(NotReady, match="These particular frames are not to blame"):
        applied(found)
    assert applied(found, without_gain=True).n_frames == 50


def test_a_curation_is_drawn_and_read(tmp_path):
    found = curated()
    found.save(tmp_path / "curation.json")
    assert Curation.load(tmp_path) == found
    found.save(tmp_path / "curation.png")
    assert (tmp_path / "curation.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("settings", "amounts"),
    [
        ({"n_updates": 1600}, tuple(800 * 2**k for k in range(7))),  # 102 400 is too much
        ({"n_updates": 100}, tuple(50 * 2**k for k in range(8))),
        ({"n_epochs": 10}, tuple(50 * 2**k for k in range(8))),  # from the least amount
        ({"n_updates": 2 * MAX_TRAINING}, (MAX_TRAINING, 2 * MAX_TRAINING)),
    ],
)
def test_how_far_is_looked(settings, amounts):
    own = study().model_copy(update={"algorithm": AlgorithmSpec(name="bc", settings=settings)})
    assert compared_amounts(own, N_FRAMES) == amounts


def test_what_it_costs_is_known_before(tmp_path):
    own = study(n_updates=400, worth=list(HARMFUL))
    importance = r2rise.explain(DEMOS, own, ledger=tmp_path / "a.npz")
    found = r2rise.curate(DEMOS, importance, ledger=tmp_path / "a.npz")
    tried = 16 * (len(found.trials) + 1)
    assert tried < found.n_retrainings <= tried + max_judging_evaluations(own, N_FRAMES)
