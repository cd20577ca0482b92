"""What is trained on: the frames, which of them each mask keeps, and when it visits them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.batch_order import epoch_order
from r2rise.algorithms.bc.settings import BCSettings

_HELD_OUT_EPOCH = 2**32 - 1


@dataclass(frozen=True, eq=False)
class TrainingData:
    """One shared copy of all frames.

    Attributes:
        features: (n_frames, n_inputs) or images (n_frames, channels, height, width), float32.
        targets: (n_frames, n_actions), int64 for choices, float32 for numbers.
        kept: (n_masks, n_frames) bool, the frames each mask is trained on.
        held_out: (n_masks, n_frames) bool, those for its validation loss, or None.
    """

    features: NDArray[np.float32]
    targets: NDArray[Any]
    kept: NDArray[np.bool_]
    held_out: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Schedule:
    """The batches of masks that share a training seed.

    Mask i visits the frames it keeps in the order of each epoch, `batch_size[i]` at a time, and
    drops what is left over. Its updates end after `n_updates[i]`.

    Attributes:
        order: (n_epochs, n_frames) int64, all frames in the shared order of each epoch.
        batch_size: (n_masks,) int64, at most the frames kept.
        n_batches: (n_masks,) int64, batches of an epoch.
        n_updates: (n_masks,) int64.
    """

    order: NDArray[np.int64]
    batch_size: NDArray[np.int64]
    n_batches: NDArray[np.int64]
    n_updates: NDArray[np.int64]

    @classmethod
    def of(cls, kept: NDArray[np.bool_], seed: int, settings: BCSettings) -> "Schedule":
        """Plan the updates of masks, (n_masks, n_frames) bool, each of which keeps a frame."""
        n_kept = kept.sum(axis=1)
        batch_size = np.minimum(settings.batch_size, n_kept)
        n_batches = n_kept // batch_size
        if settings.n_epochs is not None:
            n_updates = n_batches * settings.n_epochs
        else:
            n_updates = np.full(len(kept), settings.n_updates)
        n_epochs = int((-(-n_updates // n_batches)).max())
        every = np.arange(kept.shape[1])
        order = np.stack([epoch_order(every, seed, epoch) for epoch in range(n_epochs)])
        return cls(order, batch_size, n_batches, n_updates)

    def left_in_epoch(self, epoch: int) -> NDArray[np.int64]:
        """Return how many updates each mask has in an epoch, (n_masks,)."""
        left: NDArray[np.int64] = self.n_updates - epoch * self.n_batches
        return np.minimum(np.maximum(left, 0), self.n_batches)


def hold_out(kept: NDArray[np.bool_], seed: int, share: float) -> NDArray[np.bool_]:
    """Choose the frames of each mask that are held out, (n_masks, n_frames) bool.

    They are the first of the kept frames in one more shared order; one frame is always left to
    train on.
    """
    order = epoch_order(np.arange(kept.shape[1]), seed, _HELD_OUT_EPOCH)
    rank = np.cumsum(kept[:, order], axis=1)
    wanted = np.minimum(np.round(share * kept.sum(axis=1)), kept.sum(axis=1) - 1)
    held_out = np.zeros_like(kept)
    held_out[:, order] = kept[:, order] & (rank <= wanted[:, None])
    return held_out


def spread_rows(rows: NDArray[Any], frame: NDArray[np.int64]) -> NDArray[Any]:
    """Put the rows of some frames where these are among all; the others are as the first of them.

    Args:
        rows: (n, ...).
        frame: (n,) indices of their frames.

    Returns:
        (last frame + 1, ...).
    """
    spread = np.repeat(rows[:1], frame.max() + 1, axis=0)
    spread[frame] = rows
    return spread


def only(frame: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the mask that keeps just these frames, (1, last frame + 1) bool."""
    return np.isin(np.arange(frame.max() + 1), frame)[None]
