"""A fake world whose true importance is known: it stands in for training and evaluation.

Everything else is the real thing: designs, ledger, estimators, stopping, verdicts, planner,
certificate and curation run as they do for users, through the engine protocol.
"""

import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from r2rise import Demonstrations, Study
from r2rise.design.tasks import Task
from r2rise.ledger.record import Record
from r2rise.run.shards import Shard

Floats = NDArray[np.float64]

N_DEMOS, SEGMENTS_EACH, SEGMENT_FRAMES = 2, 10, 10
N_SEGMENTS = N_DEMOS * SEGMENTS_EACH
ALL_FRAMES_RETURN = 100.0
"""Return of all frames; random actions have 0, so that the margin of 2 % is 2."""


@dataclass(frozen=True)
class World:
    """How returns come about: level + effects of what is kept + noise of three kinds.

    Attributes:
        effects: (n_segments,) importance of each segment.
        seed_effects: Standard deviation over training seeds of each segment's effect.
        training_noise: Standard deviation over (mask, training seed).
        episode_noise: Standard deviation over episodes.
        seed_noise: Standard deviation over training seeds, the same for all masks.
    """

    effects: Floats
    seed_effects: float = 1.0
    training_noise: float = 6.0
    episode_noise: float = 10.0
    seed_noise: float = 8.0

    def returns(self, task: Task, n_episodes: int) -> Floats:
        """Return what a retraining gives, (n_episodes,)."""
        own = np.random.default_rng([task.training_seed, zlib.crc32(task.packed_mask)])
        noise = own.normal(0.0, self.episode_noise, n_episodes)
        if task.kind == "random_policy":
            return noise
        shared = np.random.default_rng(task.training_seed)
        kept = task.mask(len(self.effects))
        effects = self.effects + shared.normal(0.0, self.seed_effects, len(self.effects))
        mean = ALL_FRAMES_RETURN - self.effects.sum() + effects[kept].sum()
        mean += shared.normal(0.0, self.seed_noise) + own.normal(0.0, self.training_noise)
        return mean + noise


class HasReturns(Protocol):
    """What an engine asks of a world."""

    def returns(self, task: Task, n_episodes: int) -> Floats:
        """Return what a retraining gives, (n_episodes,)."""
        ...


@dataclass
class SimulatedEngine:
    """Answers shards from a world, at once and in order."""

    world: HasReturns
    window: int = 1
    _waiting: deque[Shard] = field(default_factory=deque)
    _n_episodes: int = 0

    def start(self, study: Study, demonstrations: Demonstrations) -> None:  # noqa: ARG002
        self._n_episodes = study.evaluation.n_episodes

    def submit(self, shard: Shard) -> None:
        self._waiting.append(shard)

    def results(self) -> Iterator[list[Record]]:
        while self._waiting:
            shard = self._waiting.popleft()
            yield [
                Record(
                    *task.key,
                    self.world.returns(task, self._n_episodes),
                    seconds=0.5,
                    evaluation_seconds=0.1,
                )
                for task in shard.tasks
            ]

    def close(self) -> None:
        self._waiting.clear()


def demonstrations() -> Demonstrations:
    """Return demonstrations that CartPole-v1 accepts; nothing is learned from them."""
    n = N_SEGMENTS * SEGMENT_FRAMES
    return Demonstrations(
        obs=np.zeros((n + N_DEMOS, 4), np.float32),
        acts=np.zeros(n, np.int64),
        lengths=np.full(N_DEMOS, SEGMENTS_EACH * SEGMENT_FRAMES),
    )


def mixed_effects(seed: int, size: float = 4.0) -> Floats:
    """Return effects of which a third each are nothing, helpful and harmful."""
    generator = np.random.default_rng([seed, 99])
    signs = np.resize([0.0, 1.0, -1.0], N_SEGMENTS)
    sizes = generator.gamma(4.0, size / 4.0, N_SEGMENTS)
    return generator.permutation(signs * sizes)
