"""Every algorithm learns in every kind of space, or refuses it before anything is spent."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from needs import to_train
from quick_algorithms import quick, spec_of, train

from r2rise import Demonstrations, Study, explain
from r2rise.algorithms import TrainsMany, algorithm_names, make_algorithm
from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch
from r2rise.run.resolve import resolve

OBSERVATIONS = {
    "vectors": spaces.Box(-1, 1, (3,), np.float32),
    "vectors without bounds": spaces.Box(-np.inf, np.inf, (3,), np.float64),
    "vectors of another scale": spaces.Box(1e5, 2e5, (2,), np.float32),
    "matrices": spaces.Box(-1, 1, (2, 2), np.float32),
    "one of five": spaces.Discrete(5),
    "one of five from one": spaces.Discrete(5, start=1),
    "one of five from ten": spaces.Discrete(5, start=10),
    "numbers": spaces.Box(-1, 1, (), np.float32),
    "several choices": spaces.MultiDiscrete([3, 4]),
    "several choices from five": spaces.MultiDiscrete([3, 4], start=[5, -1]),
    "bits": spaces.MultiBinary(4),
    "images": spaces.Box(0, 255, (40, 36, 3), np.uint8),
    "images, channels first": spaces.Box(0, 255, (4, 40, 36), np.uint8),
    "small images": spaces.Box(0, 255, (10, 10, 4), np.uint8),
    "small images of bits": spaces.Box(0, 1, (10, 10, 4), bool),
}
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "discrete from one": spaces.Discrete(3, start=1),
    "several discrete": spaces.MultiDiscrete([2, 3]),
    "several discrete from three": spaces.MultiDiscrete([2, 3], start=[3, -2]),
    "a table of discrete": spaces.MultiDiscrete([[2, 3], [3, 2]]),
    "bits": spaces.MultiBinary(3),
    "vectors": spaces.Box(np.float32([-1, 0]), np.float32([1, 5]), dtype=np.float32),
    "vectors of float64": spaces.Box(-1, 1, (2,), np.float64),
    "vectors that vary in part": spaces.Box(np.float32([-1, 0]), np.float32([1, 0])),
    "matrices": spaces.Box(-1, 1, (2, 2), np.float32),
    "vectors without bounds": spaces.Box(-np.inf, np.inf, (2,), np.float32),
    "integers": spaces.Box(-3, 3, (2,), np.int64),
}
CASES = [
    *((observed, "discrete") for observed in OBSERVATIONS),
    *(("vectors", acted) for acted in ACTIONS),
    ("images", "vectors"),
    ("small images", "vectors"),
]


class Random(gym.Env):
    """Shows samples of a space; episodes of 7 steps."""

    metadata = {"render_modes": []}

    def __init__(self, observed: str, acted: str):
        self.observation_space, self.action_space = OBSERVATIONS[observed], ACTIONS[acted]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.time += 1
        return self.observation_space.sample(), 0.0, self.time == 7, False, {}


def demonstrations(environment: Environment, n: int = 30) -> Demonstrations:
    observed, acted = environment.observation_space, environment.action_space
    observed.seed(0)
    acted.seed(0)
    return Demonstrations(
        obs=np.stack([observed.sample() for _ in range(n + 1)]).astype(observed.dtype),
        acts=np.stack([acted.sample() for _ in range(n)]).astype(acted.dtype),
        lengths=np.array([n]),
    )


def refusal(study: Study, demos: Demonstrations) -> str:
    try:
        resolve(study, demos)
    except EnvironmentMismatch as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", to_train(algorithm_names()))
@pytest.mark.parametrize(("observed", "acted"), CASES)
def test_learns_or_refuses(name, observed, acted):
    study = Study(
        environment={
            "id": f"{__name__}:Random",
            "kwargs": {"observed": observed, "acted": acted},
        },
        algorithm=quick(name),
        evaluation={"n_episodes": 1, "max_steps": 7},
        budget=32,
    )
    environment = Environment(study.environment)
    demos = demonstrations(environment)
    refused = refusal(study, demos)
    if refused:
        wrong = (environment.observation_space, environment.action_space)
        assert any(str(space) in refused for space in wrong)
        return
    algorithm = make_algorithm(spec_of(quick(name)))
    if isinstance(algorithm, TrainsMany):
        algorithm.warm_up(environment)
    policy = train(quick(name), demos.transitions(np.arange(30) % 4 > 0), environment, 0)
    for deterministic in (True, False):
        actions, _ = policy.predict(demos.obs.copy(), deterministic=deterministic)
        assert actions.shape == (31, *environment.action_space.shape)
        for action in actions:
            assert environment.action_space.contains(
                action.astype(environment.action_space.dtype)
                if environment.action_space.shape
                else int(action)
            )


ACTED = {"discrete", "several discrete", "vectors", "vectors of float64"}
ACTED |= {"vectors that vary in part"}
HANDLED = {
    "airl": ACTED,
    "gail": ACTED,
    "sqil": {"discrete", "vectors", "vectors of float64"},
}


@pytest.mark.parametrize("name", to_train(HANDLED))
@pytest.mark.parametrize("acted", ACTIONS)
def test_action_spaces_of_the_algorithms_on_stable_baselines3(name, acted):
    spec = {"id": f"{__name__}:Random", "kwargs": {"observed": "bits", "acted": acted}}
    study = Study(environment=spec, algorithm=quick(name), budget=32)
    environment = Environment(study.environment)
    assert (refusal(study, demonstrations(environment)) == "") == (acted in HANDLED[name])


class Copy(gym.Env):
    """The observation tells the right action; both count from where they are told to."""

    metadata = {"render_modes": []}

    def __init__(self, observed: int | list[int] = 0, acted: int | list[int] = 0):
        self.observation_space, self.action_space = _choices(observed), _choices(acted)
        self._observed, self._acted = observed, acted

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self._shown(), {}

    def step(self, action):
        reward = float((action == np.add(self.right, self._acted)).all())
        self.time += 1
        return self._shown(), reward, self.time == 8, False, {}

    def _shown(self):
        self.right = self.np_random.integers(4)
        return np.add(self.right, self._observed)


def _choices(start: int | list[int]) -> spaces.Space:
    if isinstance(start, list):
        return spaces.MultiDiscrete([4] * len(start), start=start)
    return spaces.Discrete(4, start=start)


def of_copies(observed, acted) -> Demonstrations:
    right = np.random.default_rng(0).integers(4, size=65)

    def counted(start, numbers):
        return np.stack([np.add(number, start) for number in numbers])

    return Demonstrations(
        obs=counted(observed, right), acts=counted(acted, right[:-1]), lengths=np.array([64])
    )


@pytest.mark.parametrize(
    ("observed", "acted", "same_as"),
    [
        (5, 0, (0, 0)),
        (-2, -1, (0, 0)),
        ([5, 7], 0, ([0, 0], 0)),
        (0, [3], (0, [0])),
        ([-1], [-2, 4], ([0], [0, 0])),
    ],
)
def test_where_choices_start_makes_no_difference(observed, acted, same_as):
    """The same world with choices from 0 is the oracle: returns are equal to the last bit."""

    def returns(observed, acted):
        study = Study(
            environment={
                "id": f"{__name__}:Copy", "kwargs": {"observed": observed, "acted": acted}
            },
            algorithm={"name": "bc", "settings": {"n_updates": 100, "learning_rate": 0.01}},
            masking={"segment_length": 8},
            evaluation={"n_episodes": 2, "max_steps": 8},
            budget={"retrainings": 16, "baseline_retrainings": 2},
        )  # fmt: skip
        found = explain(of_copies(observed, acted), study)
        return found.baseline.all_frames.mean, [row.importance for row in found.top(8)]

    mean, importance = returns(observed, acted)
    assert mean == 8
    assert (mean, importance) == returns(*same_as)
