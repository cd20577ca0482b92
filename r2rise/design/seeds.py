"""Seeds of all random numbers of a study.

All seeds are derived from `study.seed` by `numpy.random.SeedSequence` with the spawn key
`(kind, number, purpose)`. A mask therefore has the same seeds in every process and in any order.
"""

import contextlib
import functools
import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal[
    "design",
    "baseline",
    "pilot",
    "certify",
    "curate",
    "random_policy",
    "confirm",
    "training_check",
    "training_maps",
    "amounts",
]
"""Purpose of a retraining; each kind has its own seeds."""

_KIND_KEYS: dict[Kind, int] = {
    "design": 0,
    "baseline": 1,
    "pilot": 2,
    "certify": 3,
    "curate": 4,
    "random_policy": 5,
    "confirm": 6,
    "training_check": 7,
    "training_maps": 8,
    "amounts": 9,
}
_MASKS, _TRAINING, _EVALUATION, _PAIR_TRAINING, _PAIR_EVALUATION = range(5)


class Seeds(NamedTuple):
    """The two seeds that the masks of a block or pair share, each below 2**31."""

    training: int
    evaluation: int


def _sequence(seed: int, kind: Kind, number: int, purpose: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(_KIND_KEYS[kind], number, purpose))


def _first_word(sequence: np.random.SeedSequence) -> int:
    """Return a seed below 2**31, which all libraries accept."""
    return int(sequence.generate_state(1)[0] >> 1)


@functools.lru_cache(maxsize=1024)
def retraining_seeds(seed: int, kind: Kind, number: int) -> Seeds:
    """Return the training and evaluation seed of block (or baseline, or repetition) `number`."""
    return Seeds(
        training=_first_word(_sequence(seed, kind, number, _TRAINING)),
        evaluation=_first_word(_sequence(seed, kind, number, _EVALUATION)),
    )


@functools.lru_cache(maxsize=1024)
def pair_seeds(seed: int, pair: int) -> Seeds:
    """Return the seeds of a pair of complements, for designs with one training seed per pair."""
    return Seeds(
        training=_first_word(_sequence(seed, "design", pair, _PAIR_TRAINING)),
        evaluation=_first_word(_sequence(seed, "design", pair, _PAIR_EVALUATION)),
    )


def mask_generator(seed: int, number: int, kind: Kind = "design") -> np.random.Generator:
    """Return the generator that draws the masks of block (or mask, or repetition) `number`."""
    return np.random.default_rng(_sequence(seed, kind, number, _MASKS))


def episode_seeds(evaluation_seed: int, n_episodes: int) -> NDArray[np.int64]:
    """Return one seed per episode, (n_episodes,) int64.

    A larger `n_episodes` extends the array and leaves its beginning unchanged.
    """
    words = np.random.SeedSequence(evaluation_seed).generate_state(n_episodes)
    return (words >> 1).astype(np.int64)


@contextlib.contextmanager
def seeded_globals(seed: int, threads: int | None = None) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python; restore their states afterwards.

    Args:
        seed: Seed of all three.
        threads: Torch's number of threads within the block; unchanged for None.
    """
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    threads_before = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(threads or threads_before)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
            torch.set_num_threads(threads_before)
