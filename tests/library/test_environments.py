import gymnasium as gym
import pytest
import toys
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from r2rise import Study
from r2rise.environments import Environment, environment_ids
from r2rise.errors import EnvironmentMismatch, StudyError, UnknownName
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


@pytest.mark.parametrize("limit", [-1, 0, 2.5, True])
def test_a_step_limit_that_is_none(limit):
    """gymnasium 0.29 takes -1 as it is, and every episode has 0 steps."""
    with pytest.raises(EnvironmentMismatch, match=f"whole number of at least 1, got {limit}"):
        make({"id": "CartPole-v1", "kwargs": {"max_episode_steps": limit}})


def test_numbers_that_yaml_reads_as_text(tmp_path):
    study = "environment: {id: CartPole-v1, kwargs: {max_episode_steps: %s}}"
    (tmp_path / "study.yaml").write_text(study % "1e2")
    with pytest.raises(StudyError, match="is the text '1e2', since YAML .* write 100$"):
        Study.load(tmp_path / "study.yaml")
    (tmp_path / "study.yaml").write_text(study % "100")
    assert Environment(Study.load(tmp_path / "study.yaml").environment).max_episode_steps == 100


def test_junctions_follow_gymnasiums_rules():
    check_env(Junctions(), skip_render_check=True)


def test_junctions_pay_their_weight_for_the_correct_turn():
    env = gym.make("r2rise/Junctions-v0", weights=(5.0, 7.0))
    env.reset(seed=0)
    _, reward, ended, _, _ = env.step(correct_turn(0))
    assert (reward, ended) == (5.0, False)
    _, reward, ended, _, _ = env.step(1 - correct_turn(1))
    assert (reward, ended) == (0.0, True)
