"""One contract for every algorithm, and what is particular to each."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from r2rise import Demonstrations, Study
from r2rise.algorithms import algorithm_names, check_algorithm, make_algorithm
from r2rise.algorithms.batch_order import epoch_batches, epoch_order
from r2rise.environments import Environment
from r2rise.errors import Canceled, MissingExtra, StudyError, UnknownName
from r2rise.retraining import keep_going, seeded_globals
from r2rise.study_parts import AlgorithmSpec, EnvironmentSpec

CARTPOLE = Path(__file__).parent.parent / "examples" / "cartpole.npz"


def spec_of(name) -> AlgorithmSpec:
    return check_algorithm(AlgorithmSpec.model_validate(name))


def train(name, transitions, environment, seed, progress=keep_going):
    with seeded_globals(seed, 1):
        return make_algorithm(spec_of(name)).train(
            transitions, environment, seed, progress=progress
        )


@pytest.fixture(scope="module")
def environment():
    return Environment(EnvironmentSpec(id="CartPole-v1"))


@pytest.fixture(scope="module")
def kept():
    mask = np.arange(500) % 20 < 10
    return Demonstrations.load(CARTPOLE).transitions(mask)


@pytest.fixture(scope="module")
def observations():
    return np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


def probabilities(policy, observations) -> np.ndarray:
    """Anything that shows small differences between policies, else the actions."""
    import torch

    if hasattr(policy, "get_distribution"):
        with torch.no_grad():
            return policy.get_distribution(
                torch.as_tensor(observations)
            ).distribution.logits.numpy()
    return policy.predict(observations)[0]


@pytest.mark.parametrize("name", algorithm_names())
class TestEveryAlgorithm:
    def test_the_same_seed_gives_the_same_policy_another_a_different_one(
        self, name, kept, environment, observations
    ):
        first, again, other = (train(name, kept, environment, seed) for seed in (1, 1, 2))
        assert (probabilities(first, observations) == probabilities(again, observations)).all()
        assert (probabilities(first, observations) != probabilities(other, observations)).any()

    def test_predicts_in_batches(self, name, kept, environment, observations):
        policy = train(name, kept, environment, 1)
        actions, _ = policy.predict(observations, deterministic=True)
        alone = [policy.predict(own[None], deterministic=True)[0][0] for own in observations]
        assert actions.tolist() == [int(action) for action in alone]

    def test_masked_frames_change_nothing(self, name, environment, observations):
        demos = Demonstrations.load(CARTPOLE)
        mask = np.arange(500) % 20 < 10
        acts = np.where(mask, demos.acts, 1 - demos.acts)
        poisoned = Demonstrations(obs=demos.obs, acts=acts, lengths=demos.lengths)
        first = train(name, demos.transitions(mask), environment, 1)
        second = train(name, poisoned.transitions(mask), environment, 1)
        assert (probabilities(first, observations) == probabilities(second, observations)).all()

    def test_survives_a_single_frame(self, name, kept, environment, observations):
        fields = {field: getattr(kept, field)[:1] for field in vars(kept)}
        train(name, replace(kept, **fields), environment, 1).predict(observations)

    def test_reports_progress_and_stops_when_told_to(self, name, kept, environment):
        told = []
        train(name, kept, environment, 1, told.append)
        assert told == sorted(told)
        assert told[-1] == 1.0

        def stop(fraction):
            raise Canceled

        with pytest.raises(Canceled):
            train(name, kept, environment, 1, stop)

    def test_settings_are_filled_in_and_unknown_ones_refused(self, name):
        assert spec_of(name).settings
        with pytest.raises(StudyError, match="n_epoch: unknown field. Did you mean 'n_epochs'"):
            spec_of({"name": name, "settings": {"n_epoch": 3}})

    def test_policies_pickle(self, name, kept, environment, observations):
        policy = train(name, kept, environment, 1)
        copy = pickle.loads(pickle.dumps(policy))
        assert (probabilities(copy, observations) == probabilities(policy, observations)).all()


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_imitation_bc_equals_imitation_with_the_same_weights_and_order(
    kept, environment, observations
):
    from imitation.algorithms.bc import BC
    from imitation.util.logger import HierarchicalLogger
    from stable_baselines3.common.logger import Logger

    class Order:
        epoch = 0

        def __iter__(self):
            for batch in epoch_batches(kept.frame, 1, self.epoch, 32):
                yield {"obs": kept.obs[batch], "acts": kept.acts[batch]}
            self.epoch += 1

    with seeded_globals(1, 1):
        theirs = BC(
            observation_space=environment.observation_space,
            action_space=environment.action_space,
            rng=np.random.default_rng(0),
            demonstrations=Order(),
            device="cpu",
            custom_logger=HierarchicalLogger(Logger(folder=None, output_formats=[])),
        )
        theirs.train(n_epochs=10, progress_bar=False)
    ours = train("imitation-bc", kept, environment, 1)
    assert (probabilities(ours, observations) == probabilities(theirs.policy, observations)).all()


@given(st.sets(st.integers(0, 300), min_size=2), st.integers(0, 2**31), st.integers(0, 50))
def test_two_masks_see_the_frames_that_both_keep_in_the_same_order(frames, seed, epoch):
    every = np.arange(301)
    some = np.array(sorted(frames))
    whole = [frame for frame in every[epoch_order(every, seed, epoch)].tolist() if frame in frames]
    assert some[epoch_order(some, seed, epoch)].tolist() == whole


def test_batches_are_full_and_the_rest_is_dropped():
    batches = list(epoch_batches(np.arange(70), 0, 0, 32))
    assert [len(batch) for batch in batches] == [32, 32]
    assert len(np.unique(np.concatenate(batches))) == 64
    assert [len(batch) for batch in epoch_batches(np.arange(5), 0, 0, 32)] == [5]
    assert epoch_order(np.arange(70), 0, 0).tolist() != epoch_order(np.arange(70), 0, 1).tolist()


def test_functions_classes_instances_and_names_are_algorithms():
    given_as = {
        "function": toys.uses_global_generators,
        "class": toys.Additive,
        "instance": toys.Additive(toys.Additive.Settings()),
        "name": "toys:Additive",
        "name of a function": "toys:uses_global_generators",
    }
    demos = toys.demonstrations()
    environment = Environment(EnvironmentSpec.model_validate(toys.OneStep))
    for algorithm in given_as.values():
        policy = train(algorithm, demos.transitions(np.ones(80, bool)), environment, 0)
        assert np.isfinite(policy.predict(np.zeros((1, 1)))[0]).all()


class Plain:
    """A class without settings."""

    def train(self, transitions, environment, seed, *, progress):
        return toys.Constant(float(len(transitions)))


def test_a_class_without_settings_is_built_without_arguments():
    assert isinstance(make_algorithm(spec_of(Plain)), Plain)


@pytest.mark.parametrize(
    ("algorithm", "error", "reason"),
    [
        ("imitation-bcc", UnknownName, "Did you mean 'imitation-bc'"),
        ("toys:Nothing", UnknownName, "has no 'Nothing'"),
        ("toys:N_DEMOS", StudyError, "is not an algorithm"),
        ("toys:Constant", StudyError, "is not an algorithm"),
        ({"name": "imitation-bc", "settings": {"batch_size": 0}}, StudyError, "batch_size.*got 0"),
        ({"name": "toys:raises", "settings": {"a": 1}}, StudyError, "a: unknown field"),
    ],
)
def test_refused_algorithms(algorithm, error, reason):
    with pytest.raises(error, match=reason):
        spec_of(algorithm)


def test_a_missing_package_is_reported_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "r2rise\[imitation\]"'):
        make_algorithm(spec_of("imitation-bc"))


def test_the_object_behind_a_name_is_neither_saved_nor_hashed():
    given_object = Study(environment="CartPole-v1", algorithm=toys.Additive)
    named = Study(environment="CartPole-v1", algorithm="toys:Additive")
    assert given_object.model_dump_json() == named.model_dump_json()
    assert given_object.design_hash == named.design_hash
