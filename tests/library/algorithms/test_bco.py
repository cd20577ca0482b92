"""Behavioural cloning from observation where the actions can be told from what follows."""

import numpy as np
import pytest
import toys
from gymnasium import spaces
from places import ROOT
from walks import QUICK, SEED, STEPS, Walk, demonstrations, masks, walk

from r2rise import Demonstrations, Study
from r2rise.algorithms.bc import BC
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.bco import BCO, cloning
from r2rise.algorithms.bco.interaction import Interaction
from r2rise.algorithms.bco.settings import BCOSettings
from r2rise.design.seeds import seeded_globals
from r2rise.environments import Environment
from r2rise.errors import Canceled, EnvironmentMismatch
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.study.specs import EnvironmentSpec

PENDULUM = ROOT / "benchmarks" / "data" / "pendulum.npz"
ALPHA = QUICK | {"alpha_iterations": 2, "alpha_interactions": 60, "inverse_epochs": 5}


def train_many(demos, kept, environment, settings, seed=SEED, threads=1, progress=keep_going):
    with seeded_globals(seed, threads):
        return BCO(BCOSettings(**settings)).train_many(
            demos, kept, environment, seed, threads=threads, progress=progress
        ).parameters  # fmt: skip


def train(demos, kept, environment, settings, seed=SEED, progress=keep_going):
    with seeded_globals(seed, 1):
        policy = BCO(BCOSettings(**settings)).train(
            demos.transitions(kept), environment, seed, progress=progress
        )
    return policy.clones.parameters[0]


def labels(demos, environment, settings, monkeypatch):
    """The labels of all frames, after each iteration."""
    found, every = [], np.ones((1, demos.n_frames), bool)
    ours = cloning.Cloning.labels
    monkeypatch.setattr(
        cloning.Cloning, "labels", lambda *args: found.append(ours(*args)) or found[-1]
    )
    train_many(demos, every, environment, settings)
    return found


@pytest.mark.parametrize("kind", ["discrete", "multidiscrete"])
def test_labels_are_the_true_actions_and_the_policy_is_that_of_bc(kind, monkeypatch):
    environment = walk(kind=kind)
    demos = demonstrations(environment)
    [found] = labels(demos, environment, QUICK, monkeypatch)
    assert found.tolist() == demos.acts.tolist()
    kept = masks(demos)
    bc = BC(BCSettings(n_epochs=3, device="cpu"))
    with seeded_globals(SEED, 1):
        want = bc.train_many(demos, kept, environment, SEED, threads=1, progress=keep_going)
    assert (train_many(demos, kept, environment, QUICK) == want.parameters).all()


def test_labels_are_close_to_the_true_numbers(monkeypatch):
    environment = walk(kind="box")
    demos = demonstrations(environment)
    [found] = labels(demos, environment, QUICK, monkeypatch)
    assert found.shape == demos.acts.shape
    assert found.dtype == demos.acts.dtype
    assert np.abs(found - demos.acts).mean() < 0.05
    assert np.abs(found).max() <= 1


def test_images_are_labelled(monkeypatch):
    environment = walk(image=True)
    demos = demonstrations(environment)
    settings = QUICK | {"interactions": 1500, "inverse_epochs": 25}
    [found] = labels(demos, environment, settings, monkeypatch)
    assert (found == demos.acts).mean() > 0.95


def test_alpha_iterations_learn_what_random_actions_do_not_show(monkeypatch):
    """The demonstrator goes right to x = 4, where moves turn around, and on."""
    environment = walk(flip_at=4)
    right = {False: 2, True: 3}
    demos = demonstrations(environment, lambda seen: right[bool(seen[0] > 4)])
    settings = QUICK | {"interactions": 100, "n_epochs": 20}
    settings |= {"alpha_iterations": 4, "alpha_interactions": 400}
    found = labels(demos, environment, settings, monkeypatch)
    beyond = demos.transitions(np.ones(demos.n_frames, bool)).obs[:, 0] > 4
    correct = [(own == demos.acts)[beyond].mean() for own in found]
    assert len(found) == 5
    assert correct[0] < 0.1
    assert correct[-1] > 0.9


@pytest.mark.parametrize("settings", [QUICK, ALPHA], ids=["BCO(0)", "BCO(alpha)"])
@pytest.mark.parametrize("kind", ["discrete", "box"])
class TestMasks:
    def test_actions_are_never_used(self, kind, settings):
        environment = walk(kind=kind)
        demos = demonstrations(environment)
        others = np.roll(demos.acts, 1, axis=0)
        changed = Demonstrations(obs=demos.obs, acts=others, lengths=demos.lengths)
        kept = masks(demos)
        first = train_many(demos, kept, environment, settings)
        assert (train_many(changed, kept, environment, settings) == first).all()
        assert (train(changed, kept[1], environment, settings) == first[1]).all()

    def test_masked_frames_change_nothing(self, kind, settings):
        environment = walk(kind=kind)
        demos = demonstrations(environment)
        [kept] = masks(demos, 1)
        shown = np.zeros(len(demos.obs), bool)
        at = np.flatnonzero(kept) + demos.frame_demonstration[kept]
        shown[at] = shown[at + 1] = True
        obs = np.where(shown[:, None], demos.obs, 1e6).astype(np.float32)
        poisoned = Demonstrations(obs=obs, acts=demos.acts, lengths=demos.lengths)
        found = [
            train_many(own, kept[None], environment, settings)[0].tolist()
            for own in (demos, poisoned)
        ]
        found += [
            train(own, kept, environment, settings).tolist() for own in (demos, poisoned)
        ]  # fmt: skip
        assert found[0] == found[1] == found[2] == found[3]

    def test_neither_company_nor_threads_nor_what_was_trained_before_change_a_bit(
        self, kind, settings
    ):
        environment = walk(kind=kind)
        demos = demonstrations(environment)
        kept = masks(demos)
        together = train_many(demos, kept, environment, settings)
        assert (train_many(demos, kept, environment, settings, threads=2) == together).all()
        algorithm = BCO(BCOSettings(**settings))
        for seed in (SEED + 1, SEED):
            with seeded_globals(seed, 1):
                for mask, want in zip(kept[::-1], together[::-1], strict=True):
                    found = algorithm.train_many(
                        demos, mask[None], environment, seed, threads=1, progress=keep_going
                    ).parameters  # fmt: skip
                    assert (found[0] == want).all() == (seed == SEED)
        assert (train(demos, kept[2], environment, settings) == together[2]).all()


class Slips(Walk):
    """Now and then an action drawn from the action space is taken instead."""

    def __init__(self):
        super().__init__(kind="box")
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def step(self, action):
        slips = self.np_random.random() < 0.3
        return super().step(self.action_space.sample() if slips else action)


def test_company_changes_nothing_where_environments_draw_from_their_action_space():
    environment = Environment(EnvironmentSpec(id="tests:Slips", factory=Slips))
    demos = demonstrations(environment)
    kept = masks(demos, 2)
    together = train_many(demos, kept, environment, ALPHA)
    alone = [train_many(demos, mask[None], environment, ALPHA)[0] for mask in kept]
    assert (together == alone).all()


def test_large_images_need_the_nature_network_and_run():
    class Large(Walk):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0, 255, (4, 84, 84), np.uint8)

        def seen(self):
            return np.full((4, 84, 84), self.time, np.uint8)

    environment = Environment(EnvironmentSpec(id="tests:Large", factory=Large))
    demos = demonstrations(environment, n=2)
    kept = masks(demos, 2)
    settings = {
        "interactions": 16, "inverse_epochs": 1, "n_epochs": 1, "hidden_sizes": (16,),
        "inverse_hidden_sizes": (16,), "alpha_interactions": 10, "device": "cpu",
    }  # fmt: skip
    for alpha in (0, 1):
        asked = settings | {"alpha_iterations": alpha}
        found = train_many(demos, kept, environment, asked)
        for row in range(2):
            alone = train(demos, kept[row], environment, asked)
            np.testing.assert_allclose(alone, found[row], atol=1e-5)


def test_pairs_of_the_interaction_never_bridge_episodes():
    environment = walk()
    with Interaction(environment) as interaction:
        first, again, other = (
            interaction.gather(None, 333, seed, keep_going) for seed in (1, 1, 2)
        )  # fmt: skip
    assert len(first) == len(first.obs) == len(first.next_obs) == 333
    moved = first.next_obs - first.obs
    np.testing.assert_allclose(moved, STEPS[first.acts - 2], atol=1e-5)
    assert (first.obs == again.obs).all()
    assert (first.acts == again.acts).all()
    assert not (first.obs == other.obs).all()


def test_policies_act_with_sampled_actions_of_their_own_seed():
    environment = walk(kind="box")
    demos = demonstrations(environment)
    with seeded_globals(SEED, 1):
        policy = BCO(BCOSettings(**QUICK)).train_many(
            demos, masks(demos, 1), environment, SEED, threads=1, progress=keep_going
        )  # fmt: skip
    with Interaction(environment) as interaction:
        first, again, other = (interaction.gather(policy, 50, s, keep_going) for s in (1, 1, 2))
    assert (first.acts == again.acts).all()
    assert not (first.acts == other.acts).all()
    chosen, _ = policy[0].predict(first.obs)
    assert np.abs(first.acts - chosen).mean() > 0.1


@pytest.mark.parametrize("settings", [QUICK, ALPHA], ids=["BCO(0)", "BCO(alpha)"])
def test_progress_is_told_throughout_and_stops_the_work(settings):
    environment = walk()
    demos = demonstrations(environment)
    told = []
    train_many(demos, masks(demos), environment, settings, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert sum(fraction < 0.1 for fraction in told) >= QUICK["interactions"] / 8

    class StopAt:
        def __init__(self, number):
            self.left = number

        def __call__(self, fraction):
            self.left -= 1
            if self.left == 0:
                raise Canceled

    for number in (1, len(told) // 2, len(told)):
        with pytest.raises(Canceled):
            train_many(demos, masks(demos), environment, settings, progress=StopAt(number))


def test_what_it_cannot_handle_is_refused_before_anything_is_spent():
    class Switches(Walk):
        def __init__(self):
            super().__init__()
            self.action_space = spaces.MultiBinary(3)

    environment = Environment(EnvironmentSpec(id="tests:Switches", factory=Switches))
    with pytest.raises(EnvironmentMismatch, match="expects Discrete, MultiDiscrete or Box"):
        BCO(BCOSettings()).check_environment(environment)


def test_shards_get_smaller_with_alpha_iterations():
    environment = walk()
    sizes = [
        BCO(BCOSettings(device="cpu", alpha_iterations=n)).masks_at_once(5000, environment)
        for n in (0, 2, 200)
    ]
    assert sizes[0] == 64 > sizes[1] > sizes[2] == 2


def test_settings_are_those_of_bc_and_more():
    assert BCSettings.model_fields.keys() < BCOSettings.model_fields.keys()
    settings = BCOSettings(activation="relu", device="cpu", inverse_epochs=3)
    assert settings.inverse.activation == "relu"
    assert settings.inverse.n_epochs == 3
    resolved = BCO.resolve_settings(BCOSettings())
    assert isinstance(resolved, BCOSettings)
    assert resolved.device != "auto"


def test_a_study_leaves_out_frames_that_a_masked_one_follows():
    demos = toys.demonstrations()
    settings = {"interactions": 50, "inverse_epochs": 1, "n_epochs": 1}
    study = Study(
        environment=toys.OneStep,
        algorithm={"name": "bco", "settings": settings},
        evaluation={"n_episodes": 2},
        masking={"segment_length": 1},
        budget={"retrainings": 256},
    )
    ours = Retrainer(resolve(study, demos).study, demos)
    assert ours.uses_next_obs
    records = ours.run(toys.shard(ours, "design", range(8)), keep_going)
    assert {record.status for record in records} == {"ok"}
    assert np.ptp([record.returns[0] for record in records]) > 0


@pytest.mark.slow
def test_thirty_epochs_reach_the_expert_on_pendulum():
    demos = Demonstrations.load(PENDULUM)
    algorithm = {"name": "bco", "settings": {"n_epochs": 30}}
    study = Study(environment="Pendulum-v1", algorithm=algorithm, evaluation={"n_episodes": 50})
    ours = Retrainer(resolve(study, demos).study, demos)
    records = ours.run(toys.shard(ours, "baseline", range(5)), keep_going)
    by_chance = ours.run(toys.shard(ours, "random_policy", [0]), keep_going)[0].returns.mean()
    expert = demos.rews.sum() / len(demos)
    found = np.mean([record.returns.mean() for record in records])
    print(f"\nexpert {expert:.0f}, bco {found:.0f}, random actions {by_chance:.0f}")
    assert found > expert - 0.2 * (expert - by_chance)
