"""How algorithms count their training, and policies at several amounts from one training."""

import tracemalloc

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from quick_algorithms import learnt, quick, spec_of, train
from walks import QUICK as QUICK_BCO
from walks import demonstrations, masks, walk

from r2rise.algorithms import (
    CountsTraining,
    TrainingAmount,
    TrainsAlong,
    TrainsMany,
    amount_of,
    counts_training,
    make_algorithm,
    names_training,
    with_amount,
)
from r2rise.algorithms.batch_order import epoch_batches
from r2rise.algorithms.bc import BC, schedule, training
from r2rise.algorithms.bc.schedule import Schedule
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.bco import BCO
from r2rise.algorithms.bco.settings import BCOSettings
from r2rise.design.seeds import seeded_globals
from r2rise.errors import StudyError
from r2rise.run.retraining import keep_going
from r2rise.study.specs import AlgorithmSpec

SEED = 5
CLONERS = ["bc", "bco", pytest.param("imitation-bc", marks=pytest.mark.imitation)]
ACTING = [pytest.param(name, marks=pytest.mark.imitation) for name in ("airl", "gail", "sqil")]
SHORT = {"hidden_sizes": (8,), "batch_size": 8, "device": "cpu"}
NEVER_ASKED = 1  # updates that the settings of a training along amounts name


def along_and_alone(make, demos, kept, environment, amounts):
    """Parameters at each amount: of one training, and of one for each."""

    def parameters(n_updates, how):
        algorithm = make(n_updates)
        with seeded_globals(SEED, 1):
            return how(algorithm)

    rest = {"threads": 2, "progress": keep_going}
    found = parameters(
        NEVER_ASKED,
        lambda one: one.train_along(demos, kept, environment, SEED, amounts, **rest),
    )
    alone = [
        parameters(n, lambda one: one.train_many(demos, kept, environment, SEED, **rest))
        for n in amounts
    ]
    return [[clones.parameters for clones in which] for which in (found, alone)]


def make_bc(n_updates):
    return BC(BCSettings(**SHORT, n_updates=n_updates))


def make_bco(n_updates):
    few = {"interactions": 50, "inverse_epochs": 1, "inverse_hidden_sizes": (8,)}
    return BCO(BCOSettings(**SHORT, **few, n_updates=n_updates))


@pytest.fixture(scope="module")
def environments():
    return {kind: walk(kind=kind) for kind in ("discrete", "multidiscrete", "box")}


@pytest.fixture(params=["compiled", "torch"])
def trainer(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setattr(training, "COMPILED_PARAMETERS", 0)
        yield request.param


@pytest.mark.parametrize("make", [make_bc, make_bco])
@pytest.mark.parametrize("kind", ["discrete", "box"])
def test_policies_along_one_training_are_those_of_trainings_of_their_own(
    make, kind, trainer, environments
):
    environment = environments[kind]
    demos = demonstrations(environment)
    kept = masks(demos)
    kept[0] = np.arange(demos.n_frames) == 3  # its epochs are of one update
    amounts = [1, 7, 50, 300]
    found, alone = along_and_alone(make, demos, kept, environment, amounts)
    assert make(1).trains_along()
    assert isinstance(make(1), TrainsAlong)
    assert [own.shape for own in found] == [own.shape for own in alone]
    assert all(np.array_equal(own, want) for own, want in zip(found, alone, strict=True))
    assert not np.array_equal(found[-2], found[-1])


@pytest.mark.parametrize("chosen", ["compiled", "torch"])
def test_whatever_the_amounts(chosen, environments):
    environment = environments["discrete"]
    demos = demonstrations(environment, n=2)
    kept = masks(demos, 3)

    @settings(max_examples=100 if chosen == "compiled" else 20)
    @given(st.sets(st.integers(1, 60), min_size=1, max_size=3))
    def check(amounts):
        found, alone = along_and_alone(make_bc, demos, kept, environment, sorted(amounts))
        assert all(np.array_equal(own, want) for own, want in zip(found, alone, strict=True))

    with pytest.MonkeyPatch.context() as patch:
        if chosen == "torch":
            patch.setattr(training, "COMPILED_PARAMETERS", 0)
        check()


def test_neither_calls_nor_what_is_looked_up_at_once_change_a_bit(trainer, monkeypatch):
    from r2rise.algorithms.bc import compiled, stacked

    environment = walk()
    demos = demonstrations(environment)
    amounts = [3, 40, 95]
    found, _ = along_and_alone(make_bc, demos, masks(demos), environment, amounts)
    monkeypatch.setattr(compiled, "CALL_OPERATIONS", 1)
    monkeypatch.setattr(stacked, "UPDATES_AHEAD", 7)
    monkeypatch.setattr(schedule, "ORDERS_IN_MEMORY", 1)
    again, _ = along_and_alone(make_bc, demos, masks(demos), environment, amounts)
    assert np.array_equal(found, again)


def test_a_schedule_of_its_own_is_not_trained_along():
    assert not BC(BCSettings(validation_share=0.1)).trains_along()
    assert not BCO(BCOSettings(validation_share=0.1)).trains_along()
    assert not BCO(BCOSettings(alpha_iterations=1)).trains_along()
    assert BCO(BCOSettings()).trains_along()


@pytest.mark.parametrize(
    ("algorithm", "amounts", "reason"),
    [
        (BC(BCSettings(validation_share=0.1)), [1, 2], "one training does not give"),
        (BCO(BCOSettings(alpha_iterations=1)), [1, 2], "one training does not give"),
        (BC(BCSettings()), [2, 1], r"increasing amounts from 1 on, got \[2, 1\]"),
        (BCO(BCOSettings()), [1, 1], "increasing"),
        (BC(BCSettings()), [0, 1], "increasing"),
        (BC(BCSettings()), [], "increasing"),
    ],
)
def test_what_one_training_cannot_pass_through_is_refused(algorithm, amounts, reason):
    environment = walk()
    demos = demonstrations(environment, n=1)
    with pytest.raises(ValueError, match=reason):
        algorithm.train_along(
            demos, masks(demos, 1), environment, SEED, amounts, threads=1, progress=keep_going
        )


@given(
    st.lists(st.sets(st.integers(0, 59), min_size=1), min_size=1, max_size=3),
    st.integers(1, 70),
    st.lists(st.integers(0, 200), min_size=2, max_size=2, unique=True).map(sorted),
    st.integers(1, 2**20),
)
def test_batches_are_those_of_the_shared_order(masks_kept, batch_size, part, memory):
    kept = np.array([[frame in own for frame in range(60)] for own in masks_kept])
    wanted = BCSettings(batch_size=batch_size, n_updates=200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "ORDERS_IN_MEMORY", memory)
        plan = Schedule.of(kept, SEED, wanted)
    for mask, own in enumerate(kept):
        frame = np.flatnonzero(own)
        want = []
        for epoch in range(200):
            want += [frame[batch] for batch in epoch_batches(frame, SEED, epoch, batch_size)]
            if len(want) >= 200:
                break
        assert np.array_equal(plan.batches(mask, *part), want[slice(*part)])


def test_a_mask_that_keeps_one_of_many_frames_takes_no_memory_for_its_epochs(monkeypatch):
    monkeypatch.setattr(schedule, "ORDERS_IN_MEMORY", 2**20)
    kept = np.arange(20_000)[None] == 7
    plan = Schedule.of(kept, SEED, BCSettings(n_updates=300))
    tracemalloc.start()
    assert (plan.batches(0, 0, 300) == 7).all()
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20  # all orders would take 48 MB
    tracemalloc.stop()


@pytest.mark.parametrize("name", CLONERS)
class TestUpdatesOrEpochs:
    def test_nothing_is_chosen_unless_a_study_says_so(self, name):
        spec = spec_of(name)
        assert spec.settings["n_updates"] is spec.settings["n_epochs"] is None
        assert counts_training(spec) == TrainingAmount("n_updates", "updates", True, "n_epochs")
        assert amount_of(spec) is None
        assert not names_training(spec)
        assert make_algorithm(spec).least_amount(6400) == 200
        assert make_algorithm(spec).least_amount(500) == 100
        assert isinstance(make_algorithm(spec), CountsTraining)

    def test_training_without_a_length_says_what_to_give(self, name, environments):
        demos = demonstrations(environments["discrete"], n=1)
        every = demos.transitions(np.ones(demos.n_frames, bool))
        with pytest.raises(StudyError, match="give n_updates or n_epochs, or let `r2rise explain`"):
            train(name, every, environments["discrete"], SEED)

    def test_both_are_refused(self, name):
        both = {"n_updates": 5, "n_epochs": 6}
        with pytest.raises(StudyError, match="either n_updates or n_epochs, got 5 and 6"):
            spec_of({"name": name, "settings": both})

    def test_an_amount_takes_the_place_of_epochs(self, name):
        epochs = spec_of({"name": name, "settings": {"n_epochs": 6}})
        assert amount_of(epochs) is None
        assert names_training(epochs)
        updates = spec_of(with_amount(epochs, 700))
        assert updates.settings["n_epochs"] is None
        assert amount_of(updates) == 700
        assert names_training(updates)
        assert amount_of(spec_of(with_amount(updates, 800))) == 800

    def test_all_masks_get_as_many_updates(self, name, environments):
        """Of one batch of all that is kept, n updates are n epochs; else they are fewer epochs."""
        environment = environments["multidiscrete"]
        demos = demonstrations(environment, n=2)
        quickly = quick(name)["settings"] | {"batch_size": 10}

        def policy(n_kept, **length):
            kept = demos.transitions(np.arange(demos.n_frames) < n_kept)
            named = {"name": name, "settings": quickly | {"n_epochs": None} | length}
            return learnt(train(named, kept, environment, SEED))

        assert (policy(10, n_updates=6) == policy(10, n_epochs=6)).all()
        assert (policy(39, n_updates=6) == policy(39, n_epochs=2)).all()
        assert (policy(39, n_updates=6) != policy(39, n_epochs=6)).any()


@pytest.mark.parametrize("name", ACTING)
def test_algorithms_that_act_count_steps(name):
    spec = spec_of(name)
    counted = counts_training(spec)
    assert counted == TrainingAmount("total_steps", "environment steps", automatic=False)
    assert amount_of(spec) == spec.settings["total_steps"]
    assert names_training(spec)
    least = make_algorithm(spec).least_amount(500)
    assert least == spec.settings["total_steps"] // 4
    changed = spec_of(with_amount(spec, least))
    assert changed.settings == spec.settings | {"total_steps": least}
    few = spec_of(quick(name))
    spec_of(with_amount(few, make_algorithm(few).least_amount(500)))  # enough to learn at all


class Counting:
    """An algorithm of someone's own that counts in sweeps."""

    training_amount = TrainingAmount("sweeps", "sweeps", automatic=False)

    class Settings(BCSettings):
        sweeps: int = 3

    def __init__(self, settings):
        self.settings = settings

    def least_amount(self, n_frames):
        return 1

    def train(self, transitions, environment, seed, *, progress):
        raise NotImplementedError


def test_algorithms_of_ones_own_say_how_they_count_or_do_not():
    counting = spec_of(AlgorithmSpec(name="ours", implementation=Counting))
    assert amount_of(counting) == 3
    assert with_amount(counting, 9).settings["sweeps"] == 9
    assert with_amount(counting, 9).implementation is Counting
    ready = AlgorithmSpec(name="ours", implementation=Counting(Counting.Settings()))
    for without in (ready, spec_of("toys:Additive"), spec_of("toys:uses_global_generators")):
        assert counts_training(without) is amount_of(without) is None
        assert not names_training(without)
        with pytest.raises(StudyError, match="does not say how it counts its training"):
            with_amount(without, 9)


@pytest.mark.parametrize("make", [BC, BCO])
def test_shards_have_a_size_before_an_amount_is_chosen(make):
    """As for 16 times the least amount."""
    large = {**SHORT, "hidden_sizes": (512, 512), "batch_size": 32}
    sizes = [
        make(make.Settings(**large, **length)).masks_at_once(500, walk())
        for length in ({}, {"n_updates": 1600}, {"n_updates": 25}, {"n_epochs": 10})
    ]
    assert sizes[0] == sizes[1] < sizes[2] == 64
    assert isinstance(make(make.Settings()), TrainsMany)


def test_warming_up_needs_no_amount(environments):
    clones = BC(BCSettings(device="cpu")).warm_up(environments["discrete"])
    assert np.isfinite(clones.parameters).all()
    BCO(BCOSettings(**QUICK_BCO | {"n_epochs": None})).warm_up(environments["box"])


def test_images_are_trained_along_too():
    environment = walk(image=True)
    assert isinstance(environment.observation_space, spaces.Box)
    demos = demonstrations(environment, n=2)
    found, alone = along_and_alone(make_bc, demos, masks(demos, 2), environment, [2, 5])
    assert np.array_equal(found, alone)
