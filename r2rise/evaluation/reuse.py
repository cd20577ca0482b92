"""Whether an environment may be used again for another policy: tried, not assumed.

An environment that remembers earlier episodes (running normalisation, counters, curricula) shows
the same policy something else each time, and its return would depend on which policies came before.
"""

import time
from collections.abc import Callable, Iterator
from itertools import count, zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.design.seeds import episode_seeds, seeded_globals
from r2rise.environments import Environment, GymEnv, begin_episode
from r2rise.evaluation.actions import Chance
from r2rise.study.notices import Notice
from r2rise.study.parts import Evaluation

COMPARED_STEPS = 200
"""Steps of the episode that is compared; what an environment remembers shows early."""

OTHER_STEPS = 1000
"""Steps of the episodes in between, which are to reach their end where that is not too far."""

CUT_STEPS = 10
"""Steps of the episode that is left before its end."""

Actions = Iterator[Any]


class _Seen(NamedTuple):
    """Something that a policy sees of an episode, to the last bit."""

    what: str
    value: bytes


class Reuse(NamedTuple):
    """What came of using an environment again.

    Attributes:
        in_other: What first differed between two new environments, or None.
        in_used: What first differed between a new environment and a used one, or None.
        seconds: What it takes to make an environment.
    """

    in_other: str | None
    in_used: str | None
    seconds: float

    @property
    def harmless(self) -> bool:
        """Whether nothing differed."""
        return self.in_other is None and self.in_used is None

    def notices(self, environment: Environment) -> list[Notice]:
        """Say what differed; without the measured cost, so that equal studies have equal maps."""
        name = environment.spec.id
        so = (
            "Every policy gets new environments, so that its return does not depend on the "
            "policies before it."
        )
        if self.in_other is not None:
            detail = (
                f"Environment {name!r} is not fixed by its seed: {self.in_other} differs between "
                f"two new ones with the same seed and actions. It draws random numbers that do not "
                f"come from `reset(seed=...)`, or shares state with others of its kind. {so}"
            )
            return [Notice(code="environment_not_seeded", detail=detail)]
        if self.in_used is not None:
            detail = (
                f"Environment {name!r} keeps state between episodes: with the same seed and "
                f"actions {self.in_used} differs once it was used for others. {so}"
            )
            return [Notice(code="environment_keeps_state", detail=detail)]
        return []

    def cost(self, n_episodes: int) -> str:
        """Say what new environments for every policy cost."""
        return (
            f"New environments for every policy take about {self.seconds * n_episodes:.2g} s a "
            f"retraining ({n_episodes} episodes x {self.seconds * 1000:.2g} ms)."
        )


def check_reuse(environment: Environment, evaluation: Evaluation, acts: NDArray[Any]) -> Reuse:
    """Play an episode in a new environment, in the same one after others, and in another new one.

    The episode's actions are random ones of a fixed seed. Of the others one is random, one takes
    the given actions and one is left before its end. What is raised is compared, too.

    Args:
        environment: What is to be used again.
        evaluation: Its step limit and score.
        acts: (n, *act_shape) actions of a demonstration, which get further than random ones.
    """
    player = _Player(environment, evaluation)
    own, *others = episode_seeds(0, 4).tolist()
    with seeded_globals(0):
        used, _ = player.make(own)
        first = player.play(used, own, COMPARED_STEPS)
        player.play(used, others[0], OTHER_STEPS)
        player.play(used, others[1], OTHER_STEPS, iter(acts))
        again = [player.play(used, own, COMPARED_STEPS)]
        player.play(used, others[2], CUT_STEPS)
        again.append(player.play(used, own, COMPARED_STEPS))
        used.close()
        new, seconds = player.make(own)
        other = player.play(new, own, COMPARED_STEPS)
        new.close()
    in_used = _difference(first, again[0]) or _difference(first, again[1])
    return Reuse(_difference(first, other), in_used, seconds)


class _Player:
    """Makes environments and plays episodes in them as evaluation does."""

    def __init__(self, environment: Environment, evaluation: Evaluation) -> None:
        self._environment = environment
        self._most_steps = evaluation.max_steps or OTHER_STEPS
        self._key = None if evaluation.score == "return" else evaluation.score[len("info:") :]
        self._dtype = environment.observation_space.dtype

    def make(self, seed: int) -> tuple[GymEnv, float]:
        """Return a new environment and the seconds that it took."""
        started = time.perf_counter()
        env = self._environment.make(seed)
        return env, time.perf_counter() - started

    def play(
        self, env: GymEnv, seed: int, n_steps: int, actions: Actions | None = None
    ) -> list[_Seen]:
        """Return what an episode shows, until it ends, raises or runs out of steps or actions."""
        seen: list[_Seen] = []
        chance = Chance(self._environment.action_space, seed)
        chosen = (chance.action() for _ in count()) if actions is None else actions
        try:
            self._play(env, seed, min(n_steps, self._most_steps), chosen, seen.append)
        except Exception as error:
            seen.append(_Seen("what it raises", type(error).__name__.encode()))
        return seen

    def _play(
        self,
        env: GymEnv,
        seed: int,
        n_steps: int,
        actions: Actions,
        show: Callable[[_Seen], None],
    ) -> None:
        observation, _ = begin_episode(env, seed)
        show(_Seen("the first observation", self._bytes(observation)))
        for step, action in zip(range(1, n_steps + 1), actions, strict=False):
            observation, reward, terminated, truncated, info = env.step(action)
            show(_Seen(f"the observation after step {step}", self._bytes(observation)))
            show(_Seen(f"the reward of step {step}", np.float64(reward).tobytes()))
            ended = bool(terminated or truncated)
            show(_Seen(f"whether the episode ends at step {step}", bytes([ended])))
            if ended:
                if self._key is not None:
                    show(_Seen(f"info[{self._key!r}]", repr(info.get(self._key)).encode()))
                break

    def _bytes(self, observation: Any) -> bytes:
        return np.asarray(observation, dtype=self._dtype).tobytes()


def _difference(one: list[_Seen], other: list[_Seen]) -> str | None:
    """Return what first differs between two episodes, or None."""
    for own, theirs in zip_longest(one, other):
        if own != theirs:
            return str((own or theirs).what)
    return None
