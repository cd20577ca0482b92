"""How long to train: checked once, written down, and kept."""

import numpy as np
import places
import pytest
import worth
from learning import CURVES, LEAST, study

import r2rise
from r2rise import Demonstrations, Ledger, Plan, Study, TrainingCheck
from r2rise.algorithms import amount_of
from r2rise.algorithms.registry import load_implementation
from r2rise.design.tasks import Task
from r2rise.errors import LedgerError, NotReady, StudyError
from r2rise.ledger.record import Record
from r2rise.run.engines import InlineEngine
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.run.shards import Shard
from r2rise.study.specs import AlgorithmSpec

CARTPOLE = Demonstrations.load(places.CARTPOLE)
DEMOS = worth.demonstrations(8)
AMOUNTS = tuple(LEAST * 2**k for k in range(5))


class Counting(InlineEngine):
    """An engine that keeps what it did, and can be interrupted."""

    def __init__(self, stop_after: int | None = None):
        super().__init__()
        self.records, self.stop_after = [], stop_after

    def results(self):
        for number, records in enumerate(super().results()):
            if number == self.stop_after:
                raise KeyboardInterrupt
            self.records += records
            yield records

    @property
    def kinds(self) -> set[str]:
        return {record.kind for record in self.records}

    @property
    def n(self) -> dict[str, int]:
        kinds = [record.kind for record in self.records]
        return {kind: kinds.count(kind) for kind in kinds}


def checked(**settings) -> TrainingCheck:
    return r2rise.check_training(DEMOS, study(**settings))


def test_the_curve_is_that_of_the_learner():
    curve = checked(noise=0.0).curve
    assert (curve.unit, curve.amounts, curve.n_seeds) == ("updates", AMOUNTS, 4)
    np.testing.assert_allclose(curve.mean_return, [CURVES["plateau"](a) for a in AMOUNTS])
    np.testing.assert_allclose(curve.std_error, 0, atol=1e-12)
    assert curve.beats_random


@pytest.mark.parametrize(
    ("name", "chosen", "finding"),
    [
        ("flat", LEAST, "settled"),
        ("plateau", 400, "settled"),
        ("rises", 1600, "still_rising"),
        ("falls", 1600, "falls_with_training"),
    ],
)
def test_what_is_chosen_and_what_is_warned_of(name, chosen, finding):
    found = checked(curve=name)
    assert (found.curve.chosen, found.curve.finding) == (chosen, finding)
    assert amount_of(found.study.algorithm) == chosen
    codes = [notice.code for notice in found.notices()]
    assert codes == ([] if finding == "settled" else [finding])
    assert str(chosen) in found.in_words()


def test_a_learner_that_learns_nothing_is_weak():
    assert next(notice.code for notice in checked(curve="nothing").notices()) == "weak_policy"


def test_seeds_and_doublings_are_settings_of_the_study():
    own = study().model_copy(update={"training": r2rise.Training(check_seeds=6, check_doublings=2)})
    curve = r2rise.check_training(DEMOS, own).curve
    assert (curve.n_seeds, curve.amounts) == (6, AMOUNTS[:3])


def test_an_amount_that_is_named_does_not_matter_to_the_check():
    assert checked(n_updates=7).curve == checked().curve


def test_seeds_that_fail_are_left_out():
    execution = r2rise.Execution(max_failed_share=1.0)
    own = study(refuses=3).model_copy(update={"execution": execution})
    found = r2rise.check_training(DEMOS, own)
    assert found.n_retrainings == 20
    assert 0 < found.n_failed == 5 * (4 - found.curve.n_seeds)
    with pytest.raises(NotReady, match="2 training seeds that succeed"):
        r2rise.check_training(DEMOS, study(refuses=1).model_copy(update={"execution": execution}))


def test_an_algorithm_that_does_not_count_its_training_is_refused():
    with pytest.raises(StudyError, match="does not say how it counts"):
        r2rise.check_training(DEMOS, worth.study((1.0,) * 8))


def test_a_check_is_saved_drawn_and_read(tmp_path):
    found = checked()
    found.save(tmp_path / "training_check.json")
    assert TrainingCheck.load(tmp_path) == found
    found.save(tmp_path / "check.png")
    assert (tmp_path / "check.png").read_bytes().startswith(b"\x89PNG")


def test_explain_chooses_an_amount_before_it_masks(tmp_path):
    found = r2rise.explain(DEMOS, study(), out=tmp_path)
    assert amount_of(found.study.algorithm) == found.study.training.curve.chosen == 400
    assert found.study.training.curve == checked().curve
    assert Study.load(tmp_path / "study.yaml") == found.study
    again = r2rise.explain(DEMOS, Study.load(tmp_path / "study.yaml"))
    np.testing.assert_array_equal(again.importance, found.importance)
    assert again.design_hash == found.design_hash
    records = Ledger.load(tmp_path / "ledger.npz").records("training_check")
    assert records == []
    assert len(Ledger.load(tmp_path / "training.npz").records("training_check")) == 4 * 5


def test_what_was_chosen_stays_whatever_would_be_chosen_now(tmp_path):
    first = r2rise.explain(DEMOS, study(), out=tmp_path)
    (tmp_path / "training.npz").unlink()
    other = study(budget=128).model_copy(update={"training": r2rise.Training(check_doublings=2)})
    engine = Counting()
    second = r2rise.explain(DEMOS, other, out=tmp_path, engine=engine)
    assert second.study.algorithm == first.study.algorithm
    assert second.study.training == first.study.training
    assert engine.kinds == {"design"}
    assert second.retrainings.done == 128


def test_a_ledger_alone_also_knows_what_was_chosen(tmp_path):
    first = r2rise.explain(DEMOS, study(), ledger=tmp_path / "a.npz")
    (tmp_path / "training.npz").unlink()
    engine = Counting()
    second = r2rise.explain(DEMOS, study(budget=96), ledger=tmp_path / "a.npz", engine=engine)
    assert second.study.algorithm == first.study.algorithm
    assert engine.kinds == {"design"}


def test_a_ledger_of_another_design_is_refused_before_the_check(tmp_path):
    r2rise.explain(DEMOS, study(), ledger=tmp_path / "a.npz")
    engine = Counting()
    with pytest.raises(LedgerError, match="settings.curve: the ledger has 'plateau'"):
        r2rise.explain(DEMOS, study(curve="flat"), ledger=tmp_path / "a.npz", engine=engine)
    assert engine.kinds == set()


def test_a_check_goes_on_where_it_was_stopped(tmp_path):
    engine = Counting(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        r2rise.explain(DEMOS, study(), out=tmp_path, engine=engine)
    kept = len(Ledger.load(tmp_path / "training.npz").records("training_check"))
    assert kept == 5
    engine = Counting()
    found = r2rise.explain(DEMOS, study(), out=tmp_path, engine=engine)
    assert engine.n["training_check"] == 20 - kept
    assert found.study == r2rise.explain(DEMOS, study()).study


def test_a_check_serves_whatever_masks_and_budget_come_after_it(tmp_path):
    """As where time ended the first run: with a limit `auto` may mean another design."""
    found = r2rise.check_training(DEMOS, study(), ledger=tmp_path / "training.npz")
    engine = Counting()
    masking = {"segment_length": 20, "design": "balanced", "keep_probability": 0.7}
    other = study(budget=8).model_copy(update={"masking": r2rise.Masking(**masking)})
    explained = r2rise.explain(DEMOS, other, out=tmp_path, engine=engine)
    assert "training_check" not in engine.kinds
    assert explained.study.training == found.study.training


def test_maps_at_two_amounts_are_compared(tmp_path):
    own = study(worth=[0.5, 0.35, -0.2, 0.15, 0.3, -0.3, 0.2, 0.0], noise=0.01)
    found = r2rise.check_training(DEMOS, own, maps=True, ledger=tmp_path / "training.npz")
    turnover = found.study.training.turnover
    assert turnover.amounts == (found.curve.chosen, 4 * found.curve.chosen)
    assert turnover.n_masks == 32  # a fold-over block of 8 segments
    assert turnover.spearman == pytest.approx(1.0, abs=0.05)  # worth is a share of the return
    assert "map_depends_on_training" not in [notice.code for notice in found.notices()]
    assert len(Ledger.load(tmp_path / "turnover.npz").records("training_maps")) == 64


def test_a_map_warns_of_what_the_check_found():
    found = r2rise.explain(DEMOS, study(curve="rises"))
    assert [notice.code for notice in found.headlines] == ["still_rising"]
    assert "1600 updates" in found.headlines[0].detail


def test_nobody_checked_a_learner_that_does_not_count_its_training():
    found = r2rise.explain(DEMOS, worth.study((1.0,) * 8))
    assert "training_unchecked" in [notice.code for notice in found.warnings]
    named = r2rise.explain(DEMOS, study(n_updates=100))
    assert "training_unchecked" not in [notice.code for notice in named.warnings]


def test_a_learner_without_an_amount_has_nothing_to_check(monkeypatch):
    """Nearest neighbours say `training_amount = None`; who says nothing is unchecked."""
    learner = load_implementation(worth.study((1.0,) * 8).algorithm)
    monkeypatch.setattr(learner, "training_amount", None, raising=False)
    plain = worth.study((1.0,) * 8)
    found = r2rise.explain(DEMOS, plain)
    assert "training_unchecked" not in [notice.code for notice in found.warnings]
    with pytest.raises(StudyError, match="has no amount of training: there is nothing to check"):
        r2rise.check_training(DEMOS, plain)


def test_a_map_is_computed_again_where_the_algorithm_is_not_at_hand(tmp_path):
    found = r2rise.explain(DEMOS, worth.study((1.0,) * 8), out=tmp_path)
    gone = found.study.algorithm.model_copy(update={"name": "gone:Worth"})
    elsewhere = found.study.model_copy(update={"algorithm": gone})
    again = r2rise.importance_map(Ledger.load(tmp_path / "ledger.npz"), elsewhere)
    np.testing.assert_array_equal(again.importance, found.importance)


def test_a_plan_chooses_the_amount_that_its_study_names(tmp_path):
    worths = np.linspace(-1, 2, 8).tolist()
    found = r2rise.plan(DEMOS, study(worth=worths), out=tmp_path)
    assert amount_of(found.study.algorithm) == found.study.training.curve.chosen
    assert Plan.load(tmp_path).study == found.study
    engine = Counting()
    explained = r2rise.explain(
        DEMOS, Study.load(tmp_path / "plan.yaml"), out=tmp_path, engine=engine
    )
    assert "training_check" not in engine.kinds
    assert explained.study.training.curve == found.study.training.curve


@pytest.mark.slow
def test_workers_choose_the_same(tmp_path):
    found = r2rise.explain(DEMOS, study(), workers=2)
    assert found.study == r2rise.explain(DEMOS, study()).study


@pytest.mark.parametrize("settings", [{}, {"validation_share": 0.2}])
def test_one_training_and_many_give_the_same_returns(settings):
    """Of `bc`, whose check trains each seed once, where it can."""
    own = Study(
        environment="CartPole-v1",
        algorithm={"name": "bc", "settings": {"hidden_sizes": [8], **settings}},
        masking={"segment_length": "all"},  # as in the check, whatever is asked
        training={"check_seeds": 2, "check_doublings": 2},
        evaluation={"n_episodes": 2, "max_steps": 50},
    )
    engine = Counting()
    r2rise.check_training(CARTPOLE, own, engine=engine)
    found = [record for record in engine.records if record.kind == "training_check"]
    assert [record.amount for record in found] == [100, 200, 400] * 2
    for record in found:
        np.testing.assert_array_equal(alone(own, record).returns, record.returns)


def alone(study: Study, record) -> Record:
    """Do a retraining of the check again, by itself and trained to its amount alone."""
    settings = {**study.algorithm.settings, "n_updates": record.amount}
    named = study.model_copy(update={"algorithm": AlgorithmSpec(name="bc", settings=settings)})
    task = Task(*record.key[:-1], amount=0)
    [again] = Retrainer(resolve(named, CARTPOLE).study, CARTPOLE).run(Shard((task,)), keep_going)
    return again
