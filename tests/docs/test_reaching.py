"""A bad demonstration among good ones, in an environment of one's own: `examples/reaching.py`."""

import sys

import numpy as np
import pytest
from places import EXAMPLES

import r2rise
from r2rise import ImportanceMap, Study

BAD = 2


@pytest.fixture(scope="module")
def reaching():
    sys.path.append(str(EXAMPLES))
    import reaching

    yield reaching
    sys.path.remove(str(EXAMPLES))


def explained(reaching, **settings) -> ImportanceMap:
    algorithm = {"name": "bc", "settings": settings}
    study = Study(environment="reaching:Reaching-v0", algorithm=algorithm)
    return r2rise.explain(reaching.demonstrations(), study)


def verdicts(importance: ImportanceMap) -> list[str]:
    own = np.array(importance.verdicts.verdict)
    return own[importance.segments.demonstration == BAD].tolist()


@pytest.mark.slow
def test_by_defaults_the_bad_demonstration_hurts(reaching):
    importance = explained(reaching)
    assert importance.study.training.curve.finding == "settled"
    totals = importance.per_demonstration()
    assert totals.argmin() == BAD
    assert totals[BAD] < -3
    assert verdicts(importance).count("hurts") >= 2
    assert "helps" not in verdicts(importance)


@pytest.mark.slow
def test_by_epochs_it_helps_since_it_buys_updates(reaching):
    importance = explained(reaching, n_epochs=10)
    assert "epochs_mix_training" in [notice.code for notice in importance.warnings]
    assert importance.per_demonstration().argmax() == BAD
    assert set(verdicts(importance)) == {"helps"}


@pytest.mark.slow
def test_policies_without_it_are_better(reaching):
    """With other training seeds, at the amount that the check chooses."""
    demonstrations = reaching.demonstrations()
    n_updates = explained(reaching).study.training.curve.chosen

    def returns(*left_out: int) -> r2rise.ImportanceMap:
        kept = [
            r2rise.Segment(i, 0, length)
            for i, length in enumerate(demonstrations.lengths.tolist())
            if i not in left_out
        ]
        study = Study(
            environment="reaching:Reaching-v0",
            algorithm={"name": "bc", "settings": {"n_updates": n_updates}},
            budget={"retrainings": 16, "baseline_retrainings": 64},
            seed=7,
        )
        return r2rise.explain(demonstrations.select(keep=kept), study).baseline.all_frames

    everything, without = returns(), returns(BAD)
    error = np.hypot(everything.std_error, without.std_error)
    assert without.mean - everything.mean > 2 * error
