"""Tests whether an environment may be reused for another policy.

An environment with state across episodes (running normalisation, counters, curricula) gives the
same policy other observations each time. A policy's return would then depend on earlier policies.
"""

import time
from collections.abc import Callable, Iterator
from itertools import count, zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.design.seeds import episode_seeds, seeded_globals
from r2rise.environments import Environment, begin_episode, failures_of
from r2rise.evaluation.actions import RandomActionSource
from r2rise.observations import GymEnv, in_space
from r2rise.study.notices import Notice
from r2rise.study.parts import Evaluation

COMPARED_STEPS = 200
"""Steps of the episode that is compared; state across episodes has early effects."""

OTHER_STEPS = 1000
"""Step limit of the episodes in between, which should reach their end if possible."""

CUT_STEPS = 10
"""Steps of the episode in between that is abandoned before its end."""

Actions = Iterator[Any]


class _Event(NamedTuple):
    """An observation, reward, end, score or exception of an episode, bit by bit."""

    name: str
    value: bytes


Trace = list[_Event]


class ReuseCheck(NamedTuple):
    """Result of the comparison of new and reused environments.

    Attributes:
        new_difference: Name of the first difference between two new environments, or None.
        reused_difference: Name of the first difference between a new and a used one, or None.
        seconds: Time to create an environment.
    """

    new_difference: str | None
    reused_difference: str | None
    seconds: float

    @property
    def is_safe(self) -> bool:
        """Whether there is no difference."""
        return self.new_difference is None and self.reused_difference is None

    def notices(self, environment: Environment) -> list[Notice]:
        """Return a notice about the difference, if any.

        It excludes the measured cost, so that equal studies have equal maps.
        """
        name = environment.spec.id
        remedy = (
            "Every policy gets new environments, so that its return does not depend on the "
            "policies before it."
        )
        if self.new_difference is not None:
            detail = (
                f"Environment {name!r} is not fixed by its seed: {self.new_difference} differs "
                f"between two new instances with the same seed and actions. It draws random "
                f"numbers that do not come from `reset(seed=...)`, or shares state with other "
                f"instances. {remedy}"
            )
            return [Notice(code="environment_not_seeded", detail=detail)]
        if self.reused_difference is not None:
            detail = (
                f"Environment {name!r} keeps state between episodes: with the same seed and "
                f"actions, {self.reused_difference} differs after other episodes. {remedy}"
            )
            return [Notice(code="environment_keeps_state", detail=detail)]
        return []

    def cost(self, n_episodes: int) -> str:
        """Return a sentence about the cost of new environments for every policy."""
        return (
            f"New environments for every policy take about {self.seconds * n_episodes:.2g} s per "
            f"retraining ({n_episodes} episodes x {self.seconds * 1000:.2g} ms)."
        )


def check_reuse(environment: Environment, evaluation: Evaluation, acts: NDArray[Any]) -> ReuseCheck:
    """Compare an episode in a new environment, the same one after reuse, and another new one.

    The compared episode has random actions of a fixed seed. Of the episodes in between one has
    random actions, one has the given actions and one is abandoned early. Exceptions are compared,
    too.

    Args:
        environment: The environment to reuse.
        evaluation: Step limit and score.
        acts: (n, *act_shape) actions of a demonstration, which get further than random ones.
    """
    player = _Player(environment, evaluation)
    seed, *other_seeds = episode_seeds(0, 4).tolist()
    with seeded_globals(0):
        reused_env, _ = player.make(seed)
        trace = player.play(reused_env, seed, COMPARED_STEPS)
        player.play(reused_env, other_seeds[0], OTHER_STEPS)
        player.play(reused_env, other_seeds[1], OTHER_STEPS, iter(acts))
        reused_traces = [player.play(reused_env, seed, COMPARED_STEPS)]
        player.play(reused_env, other_seeds[2], CUT_STEPS)
        reused_traces.append(player.play(reused_env, seed, COMPARED_STEPS))
        reused_env.close()
        new_env, seconds = player.make(seed)
        new_trace = player.play(new_env, seed, COMPARED_STEPS)
        new_env.close()
    new_difference = _first_difference(trace, new_trace)
    first, second = (_first_difference(trace, reused_trace) for reused_trace in reused_traces)
    return ReuseCheck(new_difference, first or second, seconds)


def check_first_step(environment: Environment) -> None:
    """Check that an episode can begin and go on for a step, with a random action.

    Raises:
        EnvironmentMismatch: When it cannot, or an observation does not fit its space.
    """
    space = environment.observation_space
    action = RandomActionSource(environment.action_space, 0).sample()
    with seeded_globals(0), failures_of(environment):
        env = environment.make(0)
        try:
            in_space(begin_episode(env, 0)[0], space)
            in_space(env.step(action)[0], space)
        finally:
            env.close()


class _Player:
    """Creates environments and plays episodes in them as evaluation does."""

    def __init__(self, environment: Environment, evaluation: Evaluation) -> None:
        self._environment = environment
        self._max_steps = evaluation.max_steps or OTHER_STEPS
        self._info_key = None if evaluation.score == "return" else evaluation.score[len("info:") :]
        self._dtype = environment.observation_space.dtype

    def make(self, seed: int) -> tuple[GymEnv, float]:
        """Return a new environment and the seconds that its creation took."""
        started = time.perf_counter()
        env = self._environment.make(seed)
        return env, time.perf_counter() - started

    def play(self, env: GymEnv, seed: int, n_steps: int, actions: Actions | None = None) -> Trace:
        """Play an episode until it ends, raises or runs out of steps or actions.

        Args:
            env: A new or used environment.
            seed: Seed of the episode.
            n_steps: Step limit, in addition to that of the evaluation.
            actions: The actions; random ones for None.

        Returns:
            All events of the episode.
        """
        trace: Trace = []
        if actions is None:
            source = RandomActionSource(self._environment.action_space, seed)
            actions = (source.sample() for _ in count())
        try:
            self._play(env, seed, min(n_steps, self._max_steps), actions, trace.append)
        except Exception as error:
            trace.append(_Event("what it raises", type(error).__name__.encode()))
        return trace

    def _play(
        self,
        env: GymEnv,
        seed: int,
        n_steps: int,
        actions: Actions,
        record: Callable[[_Event], None],
    ) -> None:
        observation, _ = begin_episode(env, seed)
        record(_Event("the first observation", self._bytes(observation)))
        for step, action in zip(range(1, n_steps + 1), actions, strict=False):
            observation, reward, terminated, truncated, info = env.step(action)
            record(_Event(f"the observation after step {step}", self._bytes(observation)))
            record(_Event(f"the reward of step {step}", np.float64(reward).tobytes()))
            ended = bool(terminated or truncated)
            record(_Event(f"whether the episode ends at step {step}", bytes([ended])))
            if ended:
                if self._info_key is not None:
                    value = repr(info.get(self._info_key)).encode()
                    record(_Event(f"info[{self._info_key!r}]", value))
                break

    def _bytes(self, observation: Any) -> bytes:
        return np.asarray(observation, dtype=self._dtype).tobytes()


def _first_difference(a: Trace, b: Trace) -> str | None:
    """Return the name of the first event that differs between two episodes, or None."""
    for event_a, event_b in zip_longest(a, b):
        if event_a != event_b:
            return str((event_a or event_b).name)
    return None
