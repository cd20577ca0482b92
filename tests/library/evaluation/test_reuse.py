"""Environments that remember earlier episodes: a mask's return does not depend on its turn."""

import itertools
import random

import gymnasium as gym
import numpy as np
import pytest
import toys
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

import r2rise
from r2rise import Demonstrations, Study
from r2rise.environments import Environment
from r2rise.evaluation import evaluate
from r2rise.evaluation.backends import EnvironmentCache
from r2rise.evaluation.reuse import check_reuse
from r2rise.ledger.ledger import Ledger
from r2rise.run.resolve import resolve, with_ledger_design
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.study.hashing import without_first_defaults
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec

N_SEGMENTS, LENGTH = 6, 10


def plain():
    return gym.make("CartPole-v1")


def normalizes_observations():
    return NormalizeObservation(plain())


def normalizes_rewards():
    return NormalizeReward(plain())


class PaysMoreEachEpisode(gym.Wrapper):
    """The n-th episode of this object pays n / 100 more at each step."""

    def __init__(self):
        super().__init__(plain())
        self.n = -1

    def reset(self, **options):
        self.n += 1
        return super().reset(**options)

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward + self.n / 100, *rest


class TakesTheNextState(gym.Wrapper):
    """Has 5 initial states, and takes the next one at each reset, whatever the seed."""

    def __init__(self):
        super().__init__(plain())
        self.states = itertools.cycle(np.linspace(-0.15, 0.15, 5))

    def reset(self, **options):
        super().reset(**options)
        self.unwrapped.state = np.array([0, 0, next(self.states), 0])
        return np.array(self.unwrapped.state, np.float32), {}


class RemembersAGoodEpisode(gym.Wrapper):
    """Pays double after an episode of pushes to the right alone, which random actions hardly do."""

    def __init__(self):
        super().__init__(plain())
        self.factor, self.all_right = 1.0, True

    def reset(self, **options):
        self.all_right = True
        return super().reset(**options)

    def step(self, action):
        self.all_right &= bool(action == 1)
        observation, reward, terminated, truncated, info = super().step(action)
        reward *= self.factor
        if terminated and self.all_right:
            self.factor = 2.0
        return observation, reward, terminated, truncated, info


class DrawsFromGlobalGenerators(gym.Wrapper):
    """Pays what no seed of its own fixes."""

    def __init__(self):
        super().__init__(plain())

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, np.random.random() + random.random(), *rest


class DiffersFromOthers(gym.Wrapper):
    """Pays by how many of its kind were made before."""

    made = 0

    def __init__(self):
        super().__init__(plain())
        DiffersFromOthers.made += 1
        self.pays = float(DiffersFromOthers.made)

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, self.pays, *rest


class Breaks(gym.Wrapper):
    """Raises at step 3."""

    def __init__(self):
        super().__init__(plain())
        self.n_steps = 0

    def reset(self, **options):
        self.n_steps = 0
        return super().reset(**options)

    def step(self, action):
        self.n_steps += 1
        if self.n_steps == 3:
            raise RuntimeError("broken")
        return super().step(action)


REMEMBER = (
    normalizes_observations, normalizes_rewards, PaysMoreEachEpisode, TakesTheNextState,
)  # fmt: skip


class Left:
    """A policy that always pushes left."""

    def predict(self, observation, *, deterministic=True):
        return np.zeros(len(observation), np.int64), None


def left_alone(transitions, environment, seed, *, progress):
    return Left()


class LeftTogether(toys.Together):
    """The same policy for all masks, trained at once."""

    def warm_up(self, environment):
        return [Left()]

    def train_many(self, demonstrations, kept, environment, seed, *, threads, progress):
        return [Left() for _ in kept]


def demonstrations() -> Demonstrations:
    n = N_SEGMENTS * LENGTH
    return Demonstrations(
        obs=np.zeros((n + 1, 4), np.float32),
        acts=np.zeros(n, np.int64),
        lengths=np.array([n]),
    )


def study(factory, algorithm=LeftTogether, shard_size=None, **evaluation) -> Study:
    return Study(
        environment=factory,
        algorithm=algorithm,
        masking={"segment_length": LENGTH, "design": "balanced", "block_size": 64},
        evaluation={"n_episodes": 5, "backend": "gymnasium", **evaluation},
        budget={"retrainings": 32, "baseline_retrainings": 2},
        execution={"shard_size": shard_size},
    )


def explained(asked: Study, out):
    found = r2rise.explain(demonstrations(), asked, out=out)
    records = Ledger.load(out / "ledger.npz").records("design", 32)
    return found, np.array([record.returns for record in records])


def codes(notices) -> set[str]:
    return {notice.code for notice in notices} & {
        "environment_keeps_state",
        "environment_not_seeded",
    }


@pytest.mark.parametrize("algorithm", [LeftTogether, left_alone])
@pytest.mark.parametrize("factory", [plain, *REMEMBER])
def test_masks_that_act_alike_return_alike_whatever_the_shard(factory, algorithm, tmp_path):
    expected = None
    for shard_size in (1, 4, 16, None):
        asked = study(factory, algorithm, shard_size)
        found, returns = explained(asked, tmp_path / str(shard_size))
        expected = returns if expected is None else expected
        assert np.array_equal(returns, expected)
        assert (returns == returns[0]).all()
        assert np.abs(found.importance).max() < 1e-9
        assert found.quality.equal_importance_p is None
        assert ("environment_keeps_state" in codes(found.warnings)) == (factory in REMEMBER)


@pytest.mark.parametrize("factory", REMEMBER)
def test_an_environment_that_remembers_is_not_used_again(factory, caplog):
    """What that costs is measured, so that it is logged and stands in no map."""
    resolved = resolve(study(factory), demonstrations())
    assert not resolved.study.evaluation.reuse_environments
    assert codes(resolved.notices) == {"environment_keeps_state"}
    assert "s per retraining (5 episodes x" in caplog.text
    again = resolve(resolved.study, demonstrations())
    assert (again.study, again.notices) == (resolved.study, resolved.notices)


def test_the_demonstration_shows_what_random_actions_do_not_reach():
    environment = Environment(EnvironmentSpec.model_validate(RemembersAGoodEpisode))
    left, right = np.zeros(60, np.int64), np.ones(60, np.int64)
    assert check_reuse(environment, Evaluation(), left).is_safe
    assert check_reuse(environment, Evaluation(), right).reused_difference == "the reward of step 1"


def test_one_that_does_not_is_used_again_and_changes_no_hash():
    resolved = resolve(study(plain), demonstrations())
    assert resolved.study.evaluation.reuse_environments
    assert codes(resolved.notices) == set()
    assert (
        "reuse_environments"
        not in without_first_defaults(resolved.study.design_part())["evaluation"]
    )


@pytest.mark.parametrize("factory", [DrawsFromGlobalGenerators, DiffersFromOthers])
def test_one_that_its_seed_does_not_fix_is_not_said_to_remember(factory):
    resolved = resolve(study(factory), demonstrations())
    assert not resolved.study.evaluation.reuse_environments
    assert codes(resolved.notices) == {"environment_not_seeded"}


@pytest.mark.parametrize("algorithm", [LeftTogether, left_alone])
def test_global_generators_do_not_depend_on_the_turn(algorithm, tmp_path):
    _, returns = explained(study(DrawsFromGlobalGenerators, algorithm), tmp_path)
    assert (returns == returns[0]).all()


def test_one_that_raises_is_compared_up_to_there_and_stops_nothing():
    resolved = resolve(study(Breaks), demonstrations())
    assert resolved.study.evaluation.reuse_environments


def test_a_ledger_begun_apart_is_extended_apart(tmp_path):
    asked = study(plain, reuse_environments=False)
    explained(asked, tmp_path)
    held = Ledger.load(tmp_path / "ledger.npz").header
    assert not with_ledger_design(study(plain), held).evaluation.reuse_environments


def test_records_of_a_shard_are_the_same_first_and_last():
    asked = resolve(study(normalizes_observations, left_alone), demonstrations()).study
    one, other = Retrainer(asked, demonstrations()), Retrainer(asked, demonstrations())
    for index in range(4):
        last = one.run(toys.shard(one, "design", [index]), keep_going)
    [alone] = other.run(toys.shard(other, "design", [3]), keep_going)
    assert last[0].returns.tolist() == alone.returns.tolist()


class Counted(gym.Wrapper):
    """Knows how many of its kind were made and closed."""

    made = closed = 0

    def __init__(self):
        super().__init__(plain())
        Counted.made += 1

    def close(self):
        Counted.closed += 1
        super().close()


def test_one_by_one_the_environments_are_made_once():
    asked = resolve(study(Counted, left_alone), demonstrations()).study
    ours = Retrainer(asked, demonstrations())
    before = Counted.made - Counted.closed, Counted.made
    for index in range(6):
        ours.run(toys.shard(ours, "design", [index]), keep_going)
    assert Counted.made - before[1] == 5
    ours.close()
    assert Counted.made - Counted.closed == before[0]


def test_environments_are_not_kept_when_something_is_raised():
    cache = EnvironmentCache()
    place = Environment(EnvironmentSpec.model_validate(Breaks))
    asked = Evaluation(n_episodes=2, backend="gymnasium")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            evaluate(Left(), place, asked, 0, progress=keep_going, cache=cache)
    with cache.borrow(place, [1, 2]) as envs:
        assert [env.n_steps for env in envs] == [0, 0]
