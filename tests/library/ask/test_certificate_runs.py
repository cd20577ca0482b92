"""Certificates as work to be done: failures, seeds, ledgers, and what is refused."""

import numpy as np
import pytest
import worth
from by_hand import area, check
from engines import Backwards
from ten_segments import DEMONSTRATIONS, SIZES, WORTH, D

import r2rise
from r2rise import Certificate, ImportanceMap, Ledger
from r2rise.design.seeds import retraining_seeds
from r2rise.errors import NotReady, StudyError


@pytest.fixture(scope="module")
def true_map() -> ImportanceMap:
    """Of a learner without noise: its values are WORTH."""
    return worth.explained(WORTH)


def test_failed_retrainings_leave_their_repetition_out_and_are_counted(true_map, tmp_path):
    own = worth.learned(true_map, WORTH, noise=4.0, refuses=31)
    found = r2rise.certify(DEMONSTRATIONS, own, repetitions=12, ledger=tmp_path / "a.npz")
    records = Ledger.load(tmp_path / "a.npz").records("certify")
    failed = np.array([record.status == "failed" for record in records]).reshape(12, 20)
    assert 0 < failed.any(axis=1).sum() <= 10
    assert (failed.any(axis=1) & ~failed.all(axis=1)).any()
    assert found.n_failed == failed.sum()
    assert found.n_retrainings == 240
    ok = ~failed.any(axis=1)
    assert found.levels[0].top.n == found.area_top_bottom.n == ok.sum()
    returns = np.array([r.returns.mean() if r.status == "ok" else np.nan for r in records])
    complete = returns.reshape(12, 5, 4)[ok]
    check(found.levels[2].random_as_top, complete[:, 2, 2])
    heights = [area(arms[:, 0] - arms[:, 1], [k / D for k in SIZES]) for arms in complete]
    check(found.area_top_bottom, np.array(heights))


def test_at_least_two_repetitions_have_to_succeed(true_map):
    hopeless = worth.learned(true_map, WORTH, refuses=1)
    with pytest.raises(NotReady, match="at least 2 repetitions .* there are 0 of 3"):
        r2rise.certify(DEMONSTRATIONS, hopeless, repetitions=3)


def test_at_least_two_segments_have_to_be_known(true_map):
    told = []
    for n in (0, 1):
        values = [1.0] * n + [np.nan] * (D - n)
        with pytest.raises(NotReady, match=f"at least 2 estimated segments, but there are {n}"):
            r2rise.certify(DEMONSTRATIONS, worth.ranked(true_map, *values), progress=told.append)
    assert told == []


def test_certificates_use_seeds_that_no_map_has_used(tmp_path):
    out = tmp_path / "out"
    study = worth.study(WORTH, noise=3.0)
    found = r2rise.explain(DEMONSTRATIONS, study, out=out)
    r2rise.certify(DEMONSTRATIONS, found, repetitions=5, ledger=out / "ledger.npz")
    r2rise.curate(DEMONSTRATIONS, found, ledger=out / "ledger.npz")
    ledger = Ledger.load(out / "ledger.npz")
    used = {
        kind: {s for r in ledger.records(kind) for s in (r.training_seed, r.evaluation_seed)}
        for kind in ("design", "baseline", "random_policy", "certify", "curate", "confirm")
    }
    used["pilot"] = {s for i in range(100) for s in retraining_seeds(study.seed, "pilot", i)}
    assert all(used.values())
    kinds = list(used)
    for i, kind in enumerate(kinds):
        for other in kinds[i + 1 :]:
            assert not used[kind] & used[other], (kind, other)
    # the map is still the ledger's
    assert worth.without_time(r2rise.importance_map(ledger, found.study)) == worth.without_time(
        found
    )


def test_the_order_of_the_work_and_the_ledger_change_nothing(true_map, tmp_path):
    noisy = worth.learned(true_map, WORTH, noise=4.0)
    plain = r2rise.certify(DEMONSTRATIONS, noisy, repetitions=4)
    backwards = r2rise.certify(DEMONSTRATIONS, noisy, repetitions=4, engine=Backwards())
    assert worth.without_time(backwards) == worth.without_time(plain)
    r2rise.certify(DEMONSTRATIONS, noisy, repetitions=2, ledger=tmp_path / "a.npz")
    extended = r2rise.certify(DEMONSTRATIONS, noisy, repetitions=4, ledger=tmp_path / "a.npz")
    assert worth.without_time(extended) == worth.without_time(plain)
    assert Certificate.from_json(plain.to_json()).to_json() == plain.to_json()


def test_other_demonstrations_than_the_maps_are_refused(true_map):
    other = worth.demonstrations(D, n_demos=1)
    with pytest.raises(StudyError, match="is about other demonstrations"):
        r2rise.certify(other, true_map, repetitions=2)
