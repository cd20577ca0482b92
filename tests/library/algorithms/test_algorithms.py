"""One contract for every algorithm, and what is particular to each."""

import itertools
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st
from needs import to_train
from places import CARTPOLE
from pydantic import BaseModel
from quick_algorithms import QUICK, learnt, quick, spec_of, train

from r2rise import Demonstrations, Study
from r2rise.algorithms import algorithm_names, make_algorithm, uses_next_obs
from r2rise.algorithms.batch_order import epoch_batches, epoch_order
from r2rise.algorithms.registry import _installed_entry_points
from r2rise.design.seeds import seeded_globals
from r2rise.design.tasks import pack_mask
from r2rise.environments import Environment
from r2rise.errors import Canceled, StudyError, UnknownName
from r2rise.ledger.record import EMPTY_MASK
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.run.shards import Shard
from r2rise.study.specs import EnvironmentSpec


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


@pytest.fixture(scope="module")
def demonstrations():
    return Demonstrations.load(CARTPOLE)


def usable(name, demonstrations, kept, frame_stack=1):
    """The transitions that a mask of frames leaves to an algorithm."""
    next_obs = uses_next_obs(make_algorithm(spec_of(quick(name))))
    return demonstrations.transitions(
        demonstrations.trainable(kept, frame_stack=frame_stack, next_obs=next_obs)
    )


def of_rows(transitions, rows):
    """Some of the transitions."""
    arrays = {name: value for name, value in vars(transitions).items() if hasattr(value, "shape")}
    return replace(transitions, **{name: array[rows] for name, array in arrays.items()})


def poisoned(demonstrations, kept, frame_stack):
    """Other actions in masked frames, and other observations where they are shown."""
    shown = np.zeros(len(demonstrations.obs), bool)
    for number, (first, length) in enumerate(
        zip(demonstrations.first_frame, demonstrations.lengths, strict=True)
    ):
        for time in range(length + 1):
            window = range(max(time - frame_stack + 1, 0), min(time + 1, length))
            shown[first + number + time] = any(not kept[first + t] for t in window)
    return Demonstrations(
        obs=np.where(shown[:, None], demonstrations.obs + 100, demonstrations.obs),
        acts=np.where(kept, demonstrations.acts, 1 - demonstrations.acts),
        lengths=demonstrations.lengths,
    )


def retrainer(name, demonstrations) -> Retrainer:
    study = Study(
        environment="CartPole-v1",
        algorithm=quick(name),
        evaluation={"n_episodes": 1, "max_steps": 5},
        budget=128,
    )
    return Retrainer(resolve(study, demonstrations).study, demonstrations)


def test_every_installed_algorithm_is_tested_with_quick_settings():
    assert QUICK.keys() == set(algorithm_names())


@pytest.mark.parametrize("name", to_train(algorithm_names()))
class TestEveryAlgorithm:
    def test_the_same_seed_gives_the_same_policy_another_a_different_one(
        self, name, kept, environment
    ):
        first, again, other = (
            learnt(train(quick(name), kept, environment, seed)) for seed in (1, 1, 2)
        )
        assert (first == again).all()
        assert (first != other).any()

    def test_predicts_in_batches(self, name, kept, environment, observations):
        policy = train(quick(name), kept, environment, 1)
        actions, _ = policy.predict(observations, deterministic=True)
        alone = [policy.predict(own[None], deterministic=True)[0][0] for own in observations]
        assert actions.tolist() == [int(action) for action in alone]

    @pytest.mark.parametrize("frame_stack", [1, 3])
    def test_masked_frames_change_nothing(self, name, frame_stack, demonstrations, environment):
        mask = np.arange(500) // 10 % 3 != 1
        other = poisoned(demonstrations, mask, frame_stack)
        first, second = (
            train(quick(name), usable(name, demos, mask, frame_stack), environment, 1)
            for demos in (demonstrations, other)
        )
        assert (learnt(first) == learnt(second)).all()

    def test_frames_that_are_kept_matter(self, name, demonstrations, environment):
        mask = np.ones(500, bool)
        other = poisoned(demonstrations, np.arange(500) < 250, 1)
        first, second = (
            train(quick(name), usable(name, demos, mask), environment, 1)
            for demos in (demonstrations, other)
        )
        assert (learnt(first) != learnt(second)).any()

    def test_the_action_space_does_not_shrink_with_the_mask(self, name, kept, environment):
        """Kept frames all of one action leave policies that can take every action."""
        alike = np.flatnonzero(kept.acts == 1)
        policy = train(quick(name), of_rows(kept, alike), environment, 1)
        anywhere = np.random.default_rng(0).normal(scale=100, size=(200, 4)).astype(np.float32)
        with seeded_globals(0, 1):
            acts = [policy.predict(anywhere, deterministic=False)[0] for _ in range(20)]
        assert learnt(policy).shape == learnt(train(quick(name), kept, environment, 1)).shape
        assert np.unique(acts).tolist() == [0, 1]

    def test_survives_one_segment_and_none(self, name, demonstrations):
        ours = retrainer(name, demonstrations)
        one = np.arange(len(ours.segments)) == 7
        alone, none = (
            replace(toys.task(ours, "design", 0), packed_mask=pack_mask(mask))
            for mask in (one, one & False)
        )
        records = ours.run(Shard((alone, none)), keep_going)
        assert [record.status for record in records] == ["ok", "failed"]
        assert records[1].reason == EMPTY_MASK

    def test_survives_a_single_frame(self, name, kept, environment, observations):
        train(quick(name), of_rows(kept, slice(1)), environment, 1).predict(observations)

    def test_reports_progress(self, name, kept, environment):
        told = []
        train(quick(name), kept, environment, 1, told.append)
        assert told == sorted(told)
        assert told[0] >= 0
        assert told[-1] == 1.0

    def test_stops_when_told_to(self, name, kept, environment):
        """At any call; between two calls little more than one update of a network happens."""
        told = []
        train(quick(name), kept, environment, 1, told.append)
        for last in {1, (len(told) + 1) // 2, len(told)}:
            calls = itertools.count(1)

            def stop(fraction, calls=calls, last=last):
                if next(calls) == last:
                    raise Canceled

            with pytest.raises(Canceled):
                train(quick(name), kept, environment, 1, stop)

    def test_settings_are_filled_in_and_unknown_ones_refused(self, name):
        assert spec_of(name).settings
        with pytest.raises(StudyError, match="n_thing: unknown field"):
            spec_of({"name": name, "settings": {"n_thing": 3}})
        for sizes in ([0], [8, -1]):
            with pytest.raises(StudyError, match="hidden_sizes.*greater than 0"):
                spec_of({"name": name, "settings": {"hidden_sizes": sizes}})

    def test_policies_pickle_and_act_without_their_environment(
        self, name, kept, environment, observations
    ):
        policy = train(quick(name), kept, environment, 1)
        packed = pickle.dumps(policy)
        assert len(packed) < 100_000
        actions = policy.predict(observations, deterministic=True)[0]
        copy = pickle.loads(packed)
        assert (copy.predict(observations, deterministic=True)[0] == actions).all()

    def test_writes_and_prints_nothing(self, name, kept, environment, tmp_path, monkeypatch, capfd):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        train(quick(name), kept, environment, 1)
        assert list(tmp_path.iterdir()) == []
        assert capfd.readouterr() == ("", "")


@pytest.mark.imitation
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize(
    ("length", "theirs_is"), [({"n_epochs": 10},) * 2, ({"n_updates": 45}, {"n_batches": 45})]
)
def test_imitation_bc_equals_imitation_with_the_same_weights_and_order(
    kept, environment, length, theirs_is
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
        theirs.train(**theirs_is, progress_bar=False)
    named = {"name": "imitation-bc", "settings": length}
    ours = train(named, kept, environment, 1)
    assert (learnt(ours) == learnt(theirs.policy)).all()


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


class Demanding(Plain):
    """A class whose settings have no defaults."""

    class Settings(BaseModel):
        share: float

    def __init__(self, settings):
        self.share = settings.share


def test_an_instance_has_its_settings_whatever_their_defaults():
    ready = Demanding(Demanding.Settings(share=0.3))
    assert make_algorithm(spec_of(ready)) is ready


class Unannounced(Plain):
    def __init__(self, settings):
        pass


class Dataclassed(Plain):
    @dataclass
    class Settings:
        share: float = 0.5


def test_an_installed_algorithm_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    package = tmp_path / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[r2rise.algorithms]\nbroken = no_module:Clone\n")
    monkeypatch.syspath_prepend(tmp_path)
    _installed_entry_points.cache_clear()
    try:
        assert "broken" in algorithm_names()
        with pytest.raises(UnknownName, match=r"'broken' \(no_module:Clone\) cannot be imported"):
            spec_of("broken")
    finally:
        monkeypatch.undo()
        _installed_entry_points.cache_clear()


@pytest.mark.parametrize(
    ("algorithm", "error", "reason"),
    [
        ("imitation-bcc", UnknownName, "Did you mean 'imitation-bc'"),
        ("toys:Nothing", UnknownName, "has no 'Nothing'"),
        ("toys:N_DEMOS", StudyError, "is not an algorithm"),
        ("toys:Constant", StudyError, "is not an algorithm"),
        (Unannounced, StudyError, "takes no arguments.*got Unannounced.settings"),
        (Dataclassed, StudyError, "expected a subclass of pydantic.BaseModel"),
        ({"name": "imitation-bc", "settings": {"batch_size": 0}}, StudyError, "batch_size.*got 0"),
        ({"name": "toys:raises", "settings": {"a": 1}}, StudyError, "a: unknown field"),
    ],
)
def test_refused_algorithms(algorithm, error, reason):
    with pytest.raises(error, match=reason):
        spec_of(algorithm)


def test_the_object_behind_a_name_is_neither_saved_nor_hashed():
    given_object, named = (
        resolve(Study(environment="toys:OneStep", algorithm=own), toys.demonstrations()).study
        for own in (toys.Additive, "toys:Additive")
    )
    assert given_object.model_dump_json() == named.model_dump_json()
    assert given_object.design_hash == named.design_hash
