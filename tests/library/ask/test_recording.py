import gymnasium as gym
import numpy as np
import pytest
import toys
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

import r2rise
from r2rise.ask.pictures import small_picture
from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch, InputError, UnknownName
from r2rise.evaluation.loop import evaluate
from r2rise.run.retraining import keep_going
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec

CARTPOLE = "CartPole-v1"


class Upright:
    """Pushes the cart under the pole; when sampling, one action in ten is the other one."""

    def predict(self, observations, *, deterministic=True):
        actions = (observations[:, 2] + observations[:, 3] > 0).astype(np.int64)
        if not deterministic:
            actions ^= np.random.random(len(actions)) < 0.1
        return actions, None


def make_upright(environment):
    assert environment.action_space.n == 2
    return Upright()


def replay(demonstrations, env):
    """Return rewards and last flags of the recorded actions in the environment itself."""
    seeds = np.random.SeedSequence(demonstrations.meta["recording"]["seed"])
    words = seeds.generate_state(len(demonstrations)) >> 1
    for number, seed in enumerate(words.tolist()):
        start = demonstrations.first_frame[number]
        observation, _ = env.reset(seed=seed)
        obs, rews, terminated = [observation], [], False
        for action in demonstrations.acts[start : start + demonstrations.lengths[number]]:
            observation, reward, terminated, _, _ = env.step(action)
            obs.append(observation)
            rews.append(reward)
        yield np.stack(obs), np.array(rews), terminated


@pytest.mark.parametrize("environment", [CARTPOLE, "Pendulum-v1"])
@pytest.mark.parametrize("max_steps", [None, 7])
def test_replayed_actions_give_what_was_recorded(environment, max_steps):
    recorded = r2rise.record(environment, "random", n_demonstrations=4, max_steps=max_steps, seed=3)
    with gym.make(environment) as env:
        for number, (obs, rews, terminated) in enumerate(replay(recorded, env)):
            start, length = recorded.first_frame[number], recorded.lengths[number]
            np.testing.assert_array_equal(
                recorded.obs[start + number : start + number + length + 1], obs
            )
            np.testing.assert_array_equal(recorded.rews[start : start + length], rews)
            assert recorded.terminal[number] == terminated
    assert recorded.obs.dtype == env.observation_space.dtype
    assert recorded.acts.dtype == env.action_space.dtype
    assert recorded.terminal.any() == (environment == CARTPOLE and max_steps is None)
    if environment == "Pendulum-v1":
        assert recorded.lengths.tolist() == [max_steps or 200] * 4


class Still:
    """Does nothing."""

    def predict(self, observations, *, deterministic=True):
        return np.zeros((len(observations), 1), np.float32), None


def test_random_actions_do_not_follow_from_the_initial_state():
    """Pendulum draws its start with the seed of the episode, as random actions do with theirs."""
    settings = {"n_demonstrations": 200, "max_steps": 1}
    acted = r2rise.record("Pendulum-v1", "random", **settings)
    angle = np.arctan2(acted.obs[::2, 1], acted.obs[::2, 0])
    assert abs(np.corrcoef(angle, acted.acts[:, 0])[0, 1]) < 0.2  # 2.8 standard errors
    worse = r2rise.record("Pendulum-v1", Still(), worse_share=1.0, worse_epsilon=0.3, **settings)
    struck = worse.acts[:, 0] != 0
    assert struck.mean() == pytest.approx(0.3, abs=0.1)
    assert worse.acts[struck].mean() == pytest.approx(0, abs=0.45)  # 3 standard errors
    start = np.arctan2(worse.obs[::2, 1], worse.obs[::2, 0])
    assert start[struck].mean() == pytest.approx(0, abs=0.7)


@pytest.mark.parametrize(("policy", "epsilon"), [(Upright(), 0.0), (Upright(), 0.4), (None, 0.0)])
def test_returns_are_those_of_the_evaluation_with_the_same_seed(policy, epsilon):
    recorded = r2rise.record(
        CARTPOLE, policy or "random", n_demonstrations=5, seed=11,
        worse_share=float(epsilon > 0), worse_epsilon=epsilon,
    )  # fmt: skip
    place = Environment(EnvironmentSpec(id=CARTPOLE))
    evaluation = Evaluation(n_episodes=5, backend="gymnasium", epsilon=epsilon)
    want = evaluate(policy, place, evaluation, 11, progress=keep_going)
    assert recorded.meta["returns"] == want.tolist()


def test_most_likely_or_sampled_actions_and_the_seed():
    def record(**settings):
        return r2rise.record(CARTPOLE, Upright(), n_demonstrations=2, max_steps=60, **settings)

    before = np.random.get_state()[1].copy()
    likely, sampled = record(), record(stochastic=True)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    shown = np.delete(likely.obs, [60, 121], axis=0)
    np.testing.assert_array_equal(likely.acts, Upright().predict(shown)[0])
    assert (likely.acts != sampled.acts).any()
    assert record(stochastic=True).content_hash == sampled.content_hash
    assert record(stochastic=True, seed=1).content_hash != sampled.content_hash


@given(n=st.integers(1, 12), share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_a_share_of_the_demonstrations_is_made_worse(n, share, seed):
    recorded = r2rise.record(
        toys.OneStep, toys.Constant(0.0), n_demonstrations=n,
        worse_share=share, worse_epsilon=0.25, seed=seed,
    )  # fmt: skip
    epsilon = recorded.meta["epsilon"]
    assert set(epsilon) <= {0.0, 0.25}
    assert sum(e > 0 for e in epsilon) == round(share * n)


def test_worse_demonstrations_are_worse():
    recorded = r2rise.record(
        CARTPOLE, Upright(), n_demonstrations=6, worse_share=0.5, worse_epsilon=0.8
    )
    returns, epsilon = np.array(recorded.meta["returns"]), np.array(recorded.meta["epsilon"])
    assert (epsilon > 0).sum() == 3
    assert returns[epsilon > 0].max() < returns[epsilon == 0].min()


def test_pictures_are_what_the_environment_draws(tmp_path):
    recorded = r2rise.record(CARTPOLE, "random", n_demonstrations=2, max_steps=3, pictures=400)
    plain = r2rise.record(CARTPOLE, "random", n_demonstrations=2, max_steps=3)
    np.testing.assert_array_equal(recorded.obs, plain.obs)
    assert plain.frames is None
    env = gym.make(CARTPOLE, render_mode="rgb_array")
    seed = int(np.random.SeedSequence(0).generate_state(2)[1] >> 1)
    env.reset(seed=seed)
    for t in range(3):
        np.testing.assert_array_equal(recorded.frames[3 + t], env.render())
        env.step(recorded.acts[3 + t])
    env.close()
    small = r2rise.record(CARTPOLE, "random", n_demonstrations=2, max_steps=3, pictures=96)
    assert small.frames.shape == (6, 96, 144, 3)
    assert small.meta["environment_kwargs"] == {}


def test_small_pictures_keep_the_mean_and_the_proportions():
    halves = np.zeros((60, 90, 3), np.uint8)
    halves[:, 45:] = 200
    small = small_picture(halves, 20)
    assert small.shape == (20, 30, 3)
    assert small.mean() == pytest.approx(100, abs=1)
    assert (small[:, :14] == 0).all()
    assert (small[:, 16:] == 200).all()
    low = np.full((10, 10, 3), 0.5)
    np.testing.assert_array_equal(small_picture(low, 20), np.full((10, 10, 3), 128, np.uint8))
    with pytest.raises(EnvironmentMismatch, match="should render pictures"):
        small_picture(np.zeros((10, 10)), 20)


class Stacked(gym.Env):
    """Four small images on top of each other, uint8, that count steps; draws nothing."""

    observation_space = spaces.Box(0, 255, (4, 6, 6), np.uint8)
    action_space = spaces.MultiDiscrete([2, 3])

    def _observation(self):
        return np.stack([np.full((6, 6), max(0, self._t - k), np.uint8) for k in range(4)])

    def reset(self, *, seed=None, options=None):
        self._t = 0
        return self._observation(), {}

    def step(self, action):
        self._t += 1
        return self._observation(), float(action[1]), False, self._t == 5, {}


def test_stacked_images_are_recorded_as_they_are():
    recorded = r2rise.record(Stacked, "random", n_demonstrations=2)
    assert recorded.obs.dtype == np.uint8
    np.testing.assert_array_equal(recorded.obs[:, 1, 0, 0], [0, 0, 1, 2, 3, 4] * 2)
    assert recorded.acts.shape == (10, 2)
    assert not recorded.terminal.any()
    with pytest.raises(EnvironmentMismatch, match="expected the render mode 'rgb_array', got none"):
        r2rise.record(Stacked, "random", n_demonstrations=2, pictures=96)


def test_keys_of_dict_observations_are_recorded_as_a_study_wants_them():
    place = EnvironmentSpec(id="toys:DictObservations", obs_keys=("goal", "position"))
    recorded = r2rise.record(place, "random", n_demonstrations=3)
    np.testing.assert_array_equal(recorded.obs, np.tile([1, 0.5, -0.5], (6, 1)))
    assert recorded.meta["obs_keys"] == ["goal", "position"]


def test_what_was_recorded_is_kept_and_explained(tmp_path):
    told = []
    recorded = r2rise.record(
        CARTPOLE, f"{__name__}:make_upright", n_demonstrations=2, max_steps=40, pictures=32,
        progress=told.append,
    )  # fmt: skip
    assert [(p.done, p.total) for p in told] == [(1, 2), (2, 2)]
    recorded.save(tmp_path / "demos.npz")
    loaded = r2rise.Demonstrations.load(tmp_path / "demos.npz")
    assert loaded.content_hash == recorded.content_hash
    assert loaded.meta["policy"] == f"{__name__}:make_upright"
    study = r2rise.Study(
        environment=CARTPOLE,
        masking={"segment_length": 10},
        evaluation={"n_episodes": 2},
        budget={"retrainings": 32, "baseline_retrainings": 2},
    )
    assert len(r2rise.explain(loaded, study).top(8)) == 8


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("reset", "Environment 'toys:Fails' failed: RuntimeError: no reset"),
        ("step", "failed: RuntimeError: no step"),
        ("render", "cannot draw pictures here: RuntimeError: no screen. Record without"),
        ("picture", "should render pictures .* uint16"),
        ("reward", "returned rewards that are not finite numbers"),
        ("observation", "returned observations that are not finite numbers"),
    ],
)
def test_an_environment_that_fails_is_named(wrong, message):
    place = {"id": "toys:Fails", "kwargs": {"wrong": wrong}}
    with pytest.raises(EnvironmentMismatch, match=message):
        r2rise.record(place, "random", n_demonstrations=1, pictures=96)


def test_actions_are_kept_as_they_were_taken():
    recorded = r2rise.record(toys.Fails, "random", n_demonstrations=3)
    assert (recorded.acts != 0).all()


class RaisesWhenAsked:
    def predict(self, observations, *, deterministic=True):
        raise KeyError("no weights")


class Wide:
    def predict(self, observations, *, deterministic=True):
        return np.zeros((len(observations), 2)), None


class Third:
    def predict(self, observations, *, deterministic=True):
        return np.full(len(observations), 2), None


def cannot_make(environment):
    raise TypeError("wrong robot")


def returns_nothing(environment):
    return None


@pytest.mark.parametrize(
    ("policy", "error", "message"),
    [
        (RaisesWhenAsked(), EnvironmentMismatch, "failed on an observation .*KeyError"),
        (Wide(), EnvironmentMismatch, r"actions of shape \(1,\), got \(1, 2\)"),
        (Third(), EnvironmentMismatch, r"returned the action 2, but .* takes Discrete\(2\)"),
        ("expert", UnknownName, "'random', a model file of Stable-Baselines3"),
        (f"{__name__}:Wide.predict", InputError, "cannot make a policy"),
        (f"{__name__}:cannot_make", InputError, "wrong robot"),
        (f"{__name__}:returns_nothing", InputError, "not a policy: .* got NoneType"),
        (f"{__name__}:CARTPOLE", InputError, "not a policy: .* got str"),
        (f"{__name__}:Upwrong", UnknownName, "Did you mean 'Upright'"),
    ],
)
def test_a_policy_that_is_none(policy, error, message):
    with pytest.raises(error, match=message):
        r2rise.record(CARTPOLE, policy, n_demonstrations=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_demonstrations": 0}, "greater than or equal to 1"),
        ({"n_demonstrations": 10**12}, "less than or equal to 100000"),
        ({"n_demonstrations": 1, "worse_share": 2}, "worse_share.*less than or equal to 1"),
        ({"n_demonstrations": 1, "pictures": 0}, "pictures.*greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(InputError, match=message):
        r2rise.record(CARTPOLE, "random", **settings)
