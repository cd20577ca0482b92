"""The batch order that all masks of a block share.

Each frame has a random key for each pair of training seed and epoch. Every mask visits its kept
frames in the order of their keys. Two masks thus visit the frames that both keep in the same order.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.transitions import Transitions


def epoch_order(frame: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch visits the kept frames.

    Args:
        frame: (n,) indices of the kept frames among all frames.
        seed: Training seed of the block.
        epoch: Number of the epoch, from 0.

    Returns:
        (n,) int64, positions in `frame`. A frame's key does not depend on the other kept frames.
    """
    keys = np.random.default_rng([seed, epoch]).random(int(frame.max()) + 1)
    return np.argsort(keys[frame], kind="stable")


def epoch_batches(
    frame: NDArray[np.int64], seed: int, epoch: int, batch_size: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the batches of an epoch, as min(batch_size, n) positions in `frame` each.

    A shorter last batch is dropped.
    """
    size = min(batch_size, len(frame))
    order = epoch_order(frame, seed, epoch)
    for start in range(0, len(order) - size + 1, size):
        yield order[start : start + size]


class SharedOrder:
    """Batches of transitions for `imitation`. Each complete iteration is the next epoch.

    Attributes:
        size: Number of frames in a batch, at most the number of kept frames.
        per_epoch: Number of batches in an epoch.
    """

    def __init__(self, transitions: Transitions, seed: int, batch_size: int) -> None:
        self._transitions = transitions
        self._seed = seed
        self._epoch = 0
        self.size = min(batch_size, len(transitions))
        self.per_epoch = len(transitions) // self.size

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        transitions = self._transitions
        for batch in epoch_batches(transitions.frame, self._seed, self._epoch, self.size):
            yield {
                "obs": transitions.obs[batch],
                "acts": transitions.acts[batch],
                "next_obs": transitions.next_obs[batch],
                "dones": transitions.terminal[batch],
            }
        self._epoch += 1  # not reached when `imitation` peeks at the first batch
