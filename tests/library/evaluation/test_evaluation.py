import gymnasium as gym
import numpy as np
import pytest
import toys

from r2rise.design.seeds import episode_seeds
from r2rise.environments import Environment
from r2rise.errors import Canceled, EnvironmentMismatch
from r2rise.evaluation import evaluate, evaluate_many
from r2rise.run.retraining import keep_going
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec


def environment(spec) -> Environment:
    return Environment(EnvironmentSpec.model_validate(spec))


def run(policy, spec, seed=3, **settings):
    ours = environment(spec)
    return evaluate(policy, ours, Evaluation(**settings), seed, progress=keep_going)


class Lean:
    """Pushes a pole to where it leans."""

    def predict(self, observation, *, deterministic=True):
        return (observation[:, 2] + observation[:, 3] > 0).astype(np.int64), None


def one_by_one(seed: int, n_episodes: int) -> list[float]:
    returns = []
    for own in episode_seeds(seed, n_episodes):
        env = gym.make("CartPole-v1")
        observation, _ = env.reset(seed=int(own))
        total, ended = 0.0, False
        while not ended:
            action = int(observation[2] + observation[3] > 0)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            ended = terminated or truncated
        returns.append(total)
    return returns


def test_returns_equal_those_of_episodes_run_one_by_one():
    found = run(Lean(), "CartPole-v1", n_episodes=6)
    assert found.dtype == np.float64
    assert found.tolist() == one_by_one(3, 6)


def test_the_same_seed_gives_the_same_returns_and_another_other_ones():
    assert run(None, "CartPole-v1").tolist() == run(None, "CartPole-v1").tolist()
    assert run(None, "CartPole-v1").tolist() != run(None, "CartPole-v1", seed=4).tolist()


def test_step_limit():
    assert run(Lean(), "CartPole-v1", max_steps=7, n_episodes=2).tolist() == [7.0, 7.0]
    assert run(toys.Constant(1.0), "toys:Endless", max_steps=9, n_episodes=1).tolist() == [9.0]


def test_epsilon_greedy_takes_that_share_of_random_actions():
    spec = {"id": "toys:OneStep", "kwargs": {}}
    returns = run(toys.Constant(0.5), spec, n_episodes=2000, epsilon=0.1)
    share = (returns != 0.5).mean()
    assert 0.07 < share < 0.13
    assert (run(toys.Constant(0.5), spec, n_episodes=20) == 0.5).all()


def test_score_from_info():
    assert run(toys.Constant(2.0), "toys:OneStep", score="info:success").tolist() == [1.0] * 20
    assert run(toys.Constant(-2.0), "toys:OneStep", score="info:success").tolist() == [0.0] * 20
    with pytest.raises(EnvironmentMismatch, match="info has no 'won' .* only success"):
        run(toys.Constant(2.0), "toys:OneStep", score="info:won")


def test_box_actions_are_clipped():
    pendulum = environment("Pendulum-v1")
    strong = evaluate(toys.Constant(99.0), pendulum, Evaluation(), 0, progress=keep_going)
    limit = evaluate(toys.Constant(2.0), pendulum, Evaluation(), 0, progress=keep_going)
    assert strong.tolist() == limit.tolist()


class WrongShape(toys.Constant):
    def predict(self, observation, *, deterministic=True):
        return np.zeros((len(observation), 5)), None


class Words(toys.Constant):
    def predict(self, observation, *, deterministic=True):
        return np.full((len(observation), 1), "left"), None


class Always:
    """Takes the same choice everywhere."""

    def __init__(self, choice):
        self.choice = choice

    def predict(self, observation, *, deterministic=True):
        return np.full(len(observation), self.choice), None


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (toys.Constant(np.nan), "not finite"),
        (WrongShape(0), r"shape \(20, 1\), got \(20, 5\)"),
        (Words(0), "not finite numbers"),
    ],
)
def test_unusable_actions(policy, reason):
    with pytest.raises(EnvironmentMismatch, match=reason):
        run(policy, "toys:OneStep")


class Drawing(gym.Env):
    """Pays what it draws from its action space."""

    observation_space = gym.spaces.Box(-1, 1, (1,))

    def __init__(self):
        self.action_space = gym.spaces.Discrete(1000)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), float(self.action_space.sample()), True, False, {}


def test_environments_that_are_used_again_draw_the_same_from_their_action_space():
    evaluation = Evaluation(n_episodes=32, max_steps=2)  # 2 policies at once
    spec = EnvironmentSpec(id="tests:Drawing", factory=Drawing)
    policies = [Always(0)] * 3
    found = np.array(evaluate_many(policies, Environment(spec), evaluation, 0, progress=keep_going))
    assert (found == found[0]).all()
    assert len(np.unique(found)) > 16


@pytest.mark.parametrize("backend", ["gymnasium", "batched"])
@pytest.mark.parametrize("choice", [0.7, 2, -1])
def test_what_is_no_choice_of_the_space_is_not_taken_for_another(backend, choice):
    evaluation = Evaluation(n_episodes=2, backend=backend)
    with pytest.raises(EnvironmentMismatch, match=rf"the action {choice}, but .* takes Discr"):
        evaluate(Always(choice), environment("CartPole-v1"), evaluation, 0, progress=keep_going)


def test_whole_numbers_are_choices_whatever_their_type():
    spec, evaluation = environment("CartPole-v1"), Evaluation(n_episodes=2)
    found = [
        evaluate(Always(choice), spec, evaluation, 0, progress=keep_going).tolist()
        for choice in (1, 1.0, True)
    ]
    assert found[0] == found[1] == found[2]


def test_progress_can_cancel():
    def stop(fraction):
        raise Canceled

    with pytest.raises(Canceled):
        evaluate(Lean(), environment("CartPole-v1"), Evaluation(), 0, progress=stop)


class Sampled:
    """Acts at random by torch's generator unless told to be deterministic."""

    def predict(self, observation, *, deterministic=True):
        import torch

        value = 0.0 if deterministic else float(torch.randn(1))
        return np.full((len(observation), 1), value), None


def test_deterministic_or_sampled_actions():
    assert (run(Sampled(), "toys:OneStep") == 0).all()
    assert (run(Sampled(), "toys:OneStep", deterministic=False) != 0).all()
