import gymnasium as gym
import numpy as np
import pytest
import toys
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from r2rise import Demonstrations
from r2rise.environments import Environment, environment_ids
from r2rise.errors import EnvironmentMismatch, UnknownName
from r2rise.evaluation.fit import check_demonstrations
from r2rise.study.specs import EnvironmentSpec
from r2rise_envs.junctions import Junctions, correct_turn


def make(spec) -> Environment:
    return Environment(EnvironmentSpec.model_validate(spec))


def test_gymnasium_ids_factories_and_named_factories():
    assert make("CartPole-v1").max_episode_steps == 500
    assert make(toys.OneStep).spec.id == "toys:OneStep"
    assert make("toys:OneStep").action_space == toys.OneStep().action_space
    assert make({"id": "toys:OneStep", "kwargs": {"offset": 3.0}}).make(0).unwrapped.offset == 3.0
    assert make(lambda: toys.OneStep(offset=2.0)).make(0).offset == 2.0


def test_no_wrapper_that_was_not_asked_for():
    env = make("CartPole-v1").make(0)
    names = []
    while isinstance(env, gym.Wrapper):
        names.append(type(env).__name__)
        env = env.env
    assert sorted(names) == ["OrderEnforcing", "TimeLimit"]


def test_environments_of_installed_plug_ins_are_registered():
    assert "r2rise/Junctions-v0" in environment_ids()


def test_dict_observations_are_concatenated_in_the_order_asked_for():
    environment = make({"id": "toys:DictObservations", "obs_keys": ["goal", "position"]})
    assert environment.observation_space.shape == (3,)
    observation, _ = environment.make(0).reset(seed=0)
    assert observation.tolist() == [1.0, 0.5, -0.5]
    assert environment.observation_space.contains(observation)


@pytest.mark.parametrize(
    ("spec", "error", "reason"),
    [
        ("CartPol-v1", UnknownName, "CartPole"),
        ("no_such_module:Env-v0", UnknownName, "Cannot import 'no_such_module'"),
        ("toys:NoSuch", UnknownName, "has no 'NoSuch'"),
        ("toys:demonstrations", EnvironmentMismatch, "should return a gymnasium environment"),
        ({"id": "CartPole-v1", "kwargs": {"wind": 3}}, EnvironmentMismatch, "wind"),
        ("toys:DictObservations", EnvironmentMismatch, r"\(.*goal.*\): name those"),
        ({"id": "toys:DictObservations", "obs_keys": ["gaol"]}, EnvironmentMismatch, "'goal'"),
        ({"id": "CartPole-v1", "obs_keys": ["a"]}, EnvironmentMismatch, "no dict observations"),
        (lambda: 1 / 0, EnvironmentMismatch, "ZeroDivisionError"),
    ],
)
def test_refused_environments(spec, error, reason):
    with pytest.raises(error, match=reason):
        make(spec)


class Tuples(toys.OneStep):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Tuple([spaces.Discrete(2)])


def test_other_kinds_of_spaces_are_refused_by_name():
    with pytest.raises(EnvironmentMismatch, match="actions of kind Tuple"):
        make(Tuples)


def demos(obs, acts) -> Demonstrations:
    return Demonstrations(obs=obs, acts=acts, lengths=np.array([len(acts)]))


@pytest.mark.parametrize(
    ("obs", "acts", "reason"),
    [
        (np.zeros((5, 3), np.float32), np.zeros(4, int), r"obs has shape \(3,\).* expects \(4,\)"),
        (np.zeros((5, 4), np.float32), np.zeros((4, 1), int), r"acts has shape \(1,\)"),
        (np.zeros((5, 4), np.float32), np.zeros(4), "acts has dtype float64, which cannot be cast"),
        (np.zeros((5, 4), np.float32), np.full(4, 2), "acts has values from 2 to 2"),
        (np.zeros((5, 4), np.float32), np.full(4, -1), "acts has values from -1"),
    ],
)
def test_demonstrations_of_another_environment_are_refused(obs, acts, reason):
    with pytest.raises(EnvironmentMismatch, match=reason):
        check_demonstrations(demos(obs, acts), make("CartPole-v1"))


def test_actions_outside_a_box_are_counted_and_kept():
    acts = np.array([[0.0], [2.5], [-3.0]])
    assert check_demonstrations(demos(np.zeros((4, 3)), acts), make("Pendulum-v1")) == 2


def test_junctions_follow_gymnasiums_rules():
    check_env(Junctions(), skip_render_check=True)


def test_junctions_pay_their_weight_for_the_correct_turn():
    env = gym.make("r2rise/Junctions-v0", weights=(5.0, 7.0))
    env.reset(seed=0)
    _, reward, ended, _, _ = env.step(correct_turn(0))
    assert (reward, ended) == (5.0, False)
    _, reward, ended, _, _ = env.step(1 - correct_turn(1))
    assert (reward, ended) == (0.0, True)
