"""Evaluation of many policies: each backend against gymnasium stepped one by one."""

from importlib.util import find_spec

import gymnasium as gym
import numpy as np
import pytest
from needs import require
from numba import njit
from scipy.stats import ks_2samp

from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.policies import Clones
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.environments import Environment
from r2rise.errors import StudyError
from r2rise.evaluation import equations, evaluate, evaluate_many, resolve_backend
from r2rise.evaluation.backends import open_episodes
from r2rise.evaluation.dynamics import DYNAMICS
from r2rise.run.retraining import keep_going
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec

BACKENDS = ("gymnasium", "batched")


@pytest.mark.parametrize("name", DYNAMICS)
@pytest.mark.parametrize("seed", range(40))
def test_equations_equal_gymnasiums_step_for_step(name, seed):
    environment = Environment(EnvironmentSpec(id=name))
    evaluation, seeds = Evaluation(n_episodes=1), np.array([seed])
    env = gym.make(name, disable_env_checker=True).unwrapped
    shown, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    with open_episodes(environment, evaluation, seeds, 1) as episodes:
        episodes.reset(1)
        for _ in range(200):
            assert episodes.observations[0].tolist() == np.asarray(shown, np.float32).tolist()
            action = env.action_space.sample()
            (reward,), (ended,) = episodes.step(np.array([0]), np.asarray(action)[None])
            shown, own_reward, terminated, _, _ = env.step(action)
            assert (reward, ended) == (float(own_reward), terminated)
            if terminated:
                break


def test_equations_are_exact_when_called_from_loops_that_are_not():
    options = {**equations._cartpole.targetoptions}
    del options["nopython"]  # numba warns of it
    exact = njit(**options)(equations._cartpole.py_func)

    @njit(fastmath=True)
    def loosely(state, action):
        return exact(state, action)

    for state in np.random.default_rng(0).uniform(-0.2, 0.2, (2000, 4)):
        own, found = state.copy(), state.copy()
        equations._cartpole.py_func(own, 1.0)
        loosely(found, 1.0)
        assert found.tolist() == own.tolist()


def clones(name, n=6) -> tuple[Clones, Environment]:
    environment = Environment(EnvironmentSpec(id=name))
    spaces = environment.observation_space, environment.action_space
    network = Network.of(*spaces, BCSettings())
    parameters = np.stack([network.initial(seed) for seed in range(n)])
    parameters[:, -(network.sizes[-2] + 1) * network.sizes[-1] - 1 :] *= 80  # decided policies
    return Clones(network, parameters), environment


@pytest.mark.parametrize("name", ["CartPole-v1", "MountainCar-v0"])
@pytest.mark.parametrize("settings", [{}, {"epsilon": 0.1}, {"max_steps": 30}])
def test_backends_give_the_same_returns(name, settings):
    policies, environment = clones(name)
    found = [
        evaluate_many(
            policies, environment, Evaluation(n_episodes=4, backend=backend, **settings), 3,
            progress=keep_going,
        )
        for backend in BACKENDS
    ]  # fmt: skip
    assert np.shape(found[0]) == (6, 4)
    np.testing.assert_array_equal(*found)
    alone = evaluate(
        policies[2], environment, Evaluation(n_episodes=4, backend="gymnasium", **settings), 3,
        progress=keep_going,
    )  # fmt: skip
    np.testing.assert_array_equal(alone, found[0][2])


def test_backends_give_the_same_returns_for_numbers():
    policies, environment = clones("Pendulum-v1")
    one, other = (
        evaluate_many(policies, environment, Evaluation(n_episodes=3, backend=b), 3,
                      progress=keep_going)
        for b in BACKENDS
    )  # fmt: skip
    # the networks' last bits differ, and a pendulum magnifies them
    np.testing.assert_allclose(one, other, rtol=1e-3)


@pytest.mark.parametrize("name", DYNAMICS)
def test_random_actions_are_the_same_in_every_backend(name):
    environment = Environment(EnvironmentSpec(id=name))
    found = [
        evaluate(None, environment, Evaluation(n_episodes=3, backend=backend), 1,
                 progress=keep_going).tolist()
        for backend in BACKENDS
    ]  # fmt: skip
    assert found[0] == found[1]


@pytest.mark.parametrize("name", DYNAMICS)
def test_initial_states_are_those_of_gymnasium(name):
    seeds = np.array([0, 7, 2**31 - 1])
    for seed, state in zip(seeds.tolist(), DYNAMICS[name].initial(seeds), strict=True):
        env = gym.make(name, disable_env_checker=True).unwrapped
        env.reset(seed=seed)
        assert state.tolist() == np.asarray(env.state).tolist()


def test_the_backend_follows_from_the_study_alone():
    def backend(environment, **evaluation):
        spec = EnvironmentSpec.model_validate(environment)
        return resolve_backend(Evaluation(**evaluation), spec)

    assert backend("CartPole-v1") == "batched"
    assert backend("CartPole-v1", backend="gymnasium") == "gymnasium"
    assert backend("CartPole-v1", score="info:success") == "gymnasium"
    assert backend({"id": "CartPole-v1", "kwargs": {"max_episode_steps": 9}}) == "gymnasium"
    assert backend("Acrobot-v1") == "gymnasium"
    with pytest.raises(StudyError, match="'batched' is for CartPole-v1"):
        backend("Acrobot-v1", backend="batched")


def test_envpool_is_equal_in_distribution_and_every_episode_has_its_seed():
    require(find_spec("envpool") is not None, "envpool is not installed")
    environment = Environment(EnvironmentSpec(id="CartPole-v1"))
    found = {
        (backend, seed): evaluate(
            None, environment, Evaluation(n_episodes=300, backend=backend), seed,
            progress=keep_going,
        )
        for backend in ("gymnasium", "envpool")
        for seed in (1, 2)
    }  # fmt: skip
    pooled = np.concatenate([found["envpool", seed] for seed in (1, 2)])
    reference = np.concatenate([found["gymnasium", seed] for seed in (1, 2)])
    assert ks_2samp(pooled, reference).pvalue > 0.01
    assert found["envpool", 1].tolist() != found["envpool", 2].tolist()
    again = evaluate(
        None, environment, Evaluation(n_episodes=300, backend="envpool"), 1, progress=keep_going
    )
    assert again.tolist() == found["envpool", 1].tolist()


def test_envpool_runs_many_policies_at_once():
    require(find_spec("envpool") is not None, "envpool is not installed")
    policies, environment = clones("CartPole-v1")
    evaluation = Evaluation(n_episodes=40, backend="envpool")
    together = evaluate_many(policies, environment, evaluation, 0, progress=keep_going)
    alone = evaluate(policies[3], environment, evaluation, 0, progress=keep_going)
    assert together[3].tolist() == alone.tolist()
    by_gymnasium = evaluate_many(
        policies, environment, Evaluation(n_episodes=40), 0, progress=keep_going
    )
    # the same policies are good and bad
    assert np.corrcoef(np.mean(together, axis=1), np.mean(by_gymnasium, axis=1))[0, 1] > 0.9


def test_envpool_without_the_environment_is_refused():
    require(find_spec("envpool") is not None, "envpool is not installed")
    with pytest.raises(StudyError, match="envpool has no environment 'r2rise/Junctions-v0'"):
        resolve_backend(Evaluation(backend="envpool"), EnvironmentSpec(id="r2rise/Junctions-v0"))
