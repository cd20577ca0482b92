"""What is particular to the algorithms of `imitation` that act: gail, airl and sqil."""

import gc
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from places import CARTPOLE
from quick_algorithms import QUICK, learnt, quick, spec_of, train

from r2rise import Demonstrations
from r2rise.algorithms import adversarial, make_algorithm
from r2rise.data.transitions import Transitions
from r2rise.design.seeds import seeded_globals
from r2rise.environments import Environment
from r2rise.errors import StudyError
from r2rise.evaluation import evaluate
from r2rise.run.retraining import keep_going
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec

pytestmark = pytest.mark.imitation

NAMES = ["airl", "gail", "sqil"]


class Sided(gym.Env):
    """Two pixels of an image, far apart, say which of two actions is asked for."""

    metadata = {"render_modes": []}
    made: list["Sided"] = []

    def __init__(self, channels_last: bool = True):
        self.shape = (40, 36, 3) if channels_last else (3, 40, 36)
        self.observation_space = spaces.Box(0, 255, self.shape, np.uint8)
        self.action_space = spaces.Discrete(2)
        self.closed = False
        Sided.made.append(self)

    def observation(self) -> np.ndarray:
        image = np.zeros((40, 36, 3), np.uint8)
        image[:20] = 255 * self.side
        return image if self.shape[2] == 3 else image.transpose(2, 0, 1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.side = 0, int(self.np_random.integers(2))
        return self.observation(), {}

    def step(self, action):
        reward = float(action == self.side)
        self.time, self.side = self.time + 1, int(self.np_random.integers(2))
        return self.observation(), reward, False, self.time == 10, {}

    def close(self):
        self.closed = True


def sides(channels_last: bool = True) -> tuple[Environment, Transitions]:
    """The environment, and what someone did in it who knows."""
    name = {"id": f"{__name__}:Sided", "kwargs": {"channels_last": channels_last}}
    environment = Environment(EnvironmentSpec.model_validate(name))
    env = environment.make(0)
    obs, acts = [env.reset(seed=0)[0]], []
    for _ in range(60):
        acts.append(env.side)
        obs.append(env.step(acts[-1])[0])
    demos = Demonstrations(obs=np.array(obs), acts=np.array(acts), lengths=np.array([60]))
    return environment, demos.transitions(np.ones(60, bool))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_an_images_channels_changes_nothing(name):
    last, first = (
        learnt(train(quick(name), transitions, environment, 3))
        for environment, transitions in (sides(True), sides(False))
    )
    np.testing.assert_allclose(last, first, atol=1e-4)  # sums of other memory layouts


def test_images_are_imitated():
    environment, transitions = sides()
    settings = {**QUICK["sqil"], "total_steps": 200, "learning_rate": 1e-3, "gamma": 0.5}
    policy = train({"name": "sqil", "settings": settings}, transitions, environment, 0)
    assert (policy.predict(transitions.obs, deterministic=True)[0] == transitions.acts).all()


@pytest.mark.parametrize("name", ["airl", "gail"])
def test_rewards_of_images_learn_some_at_once_and_tell_after_each_of_them(name, monkeypatch):
    environment, transitions = sides()
    settings = {**QUICK[name], "demo_batch_size": 20}
    found, calls = [], []
    for at_once in (16, 8):
        monkeypatch.setattr(adversarial, "_IMAGES_AT_ONCE", at_once)
        told = []
        asked = {"name": name, "settings": settings}
        found.append(learnt(train(asked, transitions, environment, 3, told.append)))
        calls.append(len(told))
    n_updates = 2 * make_algorithm(spec_of(quick(name))).settings.n_disc_updates  # of two rounds
    assert calls[1] - calls[0] == n_updates
    np.testing.assert_allclose(*found, atol=1e-4)  # sums in another order


@pytest.mark.parametrize("name", NAMES)
def test_environments_are_closed(name):
    environment, transitions = sides()
    Sided.made.clear()
    train(quick(name), transitions, environment, 0)
    assert Sided.made
    assert all(env.closed for env in Sided.made)


@pytest.mark.parametrize("name", NAMES)
def test_what_learns_goes_with_its_buffers_and_not_when_garbage_is_collected(name):
    from stable_baselines3 import DQN, PPO

    environment, transitions = sides()
    train(quick(name), transitions, environment, 0)
    gc.collect()
    gc.disable()
    try:
        train(quick(name), transitions, environment, 0)
        assert not [one for one in gc.get_objects() if type(one) in (DQN, PPO)]
    finally:
        gc.enable()


@pytest.mark.parametrize("name", NAMES)
def test_expert_actions_out_of_bounds_count_as_those_at_the_bounds(name):
    environment = Environment(EnvironmentSpec(id="Pendulum-v1"))
    generator = np.random.default_rng(0)
    demos = Demonstrations(
        obs=generator.normal(size=(41, 3)).astype(np.float32),
        acts=generator.normal(scale=4, size=(40, 1)).astype(np.float32),
        lengths=np.array([40]),
    )
    outside = demos.transitions(np.ones(40, bool))
    clipped = replace(outside, acts=np.clip(outside.acts, -2, 2))
    first, second = (
        learnt(train(quick(name), given, environment, 0)) for given in (outside, clipped)
    )
    assert (first == second).all()


def test_sqil_keeps_the_actions_of_expert_and_learner_on_one_scale():
    from r2rise.algorithms.rl_parts import scale_actions

    space = spaces.Box(np.float32([-2, 0]), np.float32([2, 10]))
    acts = np.float32([[-2, 0], [0, 5], [2, 10], [1, 2.5]])
    assert scale_actions(acts, space).tolist() == [[-1, -1], [0, 0], [1, 1], [0.5, -0.5]]


@pytest.mark.parametrize("name", NAMES)
def test_everything_follows_from_the_seed_given(name):
    """The global generators, which Retrainer seeds, are seeded again."""
    environment = Environment(EnvironmentSpec(id="CartPole-v1"))
    kept = Demonstrations.load(CARTPOLE).transitions(np.arange(500) < 100)
    found = []
    for elsewhere in (1, 2):
        with seeded_globals(elsewhere, 1):
            algorithm = make_algorithm(spec_of(quick(name)))
            found.append(learnt(algorithm.train(kept, environment, 7, progress=lambda _: None)))
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_vectors_are_normalised_by_averages_that_the_policy_carries(name):
    environment = Environment(EnvironmentSpec(id="CartPole-v1"))
    kept = Demonstrations.load(CARTPOLE).transitions(np.arange(500) < 100)
    policy = train(quick(name), kept, environment, 1)
    names = [key for key in policy.state_dict() if key.endswith("running_mean")]
    assert names
    means = policy.state_dict()[names[0]].numpy()
    assert (np.abs(means) > 1e-6).all()


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("gail", {"n_envs": 3, "n_steps": 10, "batch_size": 16}, "does not divide the 30 steps"),
        ("airl", {"total_steps": 100}, "less than one round"),
        ("sqil", {"total_steps": 50, "learning_starts": 50}, "leaves none"),
        ("sqil", {"ent_coef": "automatic"}, "ent_coef"),
        ("gail", {"demo_batch_size": 0}, "demo_batch_size.*got 0"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(name, settings, reason):
    with pytest.raises(StudyError, match=reason):
        spec_of({"name": name, "settings": settings})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gail", "sqil"])
def test_defaults_reach_four_fifths_of_the_experts_return_on_cartpole(name):
    environment = Environment(EnvironmentSpec(id="CartPole-v1"))
    demos = Demonstrations.load(CARTPOLE.parents[1] / "benchmarks" / "data" / "cartpole.npz")
    policy = train(name, demos.transitions(np.ones(demos.n_frames, bool)), environment, 0)
    evaluation = Evaluation(n_episodes=20, max_steps=500)
    returns = evaluate(policy, environment, evaluation, 0, progress=keep_going)
    assert returns.mean() >= 0.8 * 473  # the expert's return: benchmarks/imitators.py
