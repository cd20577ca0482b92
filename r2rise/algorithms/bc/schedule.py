"""What is trained on: the frames, which of them each mask keeps, and when it visits them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.batch_order import epoch_order
from r2rise.algorithms.bc.settings import BCSettings

ORDERS_IN_MEMORY = 2**26
"""Bytes of the orders of epochs that are remembered; others are made again."""
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
    """The updates of masks that share a training seed.

    Mask i visits the frames it keeps in the order of each epoch, `batch_size[i]` at a time, and
    drops what is left over.

    Attributes:
        kept: (n_masks, n_frames) bool.
        batch_size: (n_masks,) int64, at most the frames kept.
        n_batches: (n_masks,) int64, batches of an epoch.
        stops: (n_stops, n_masks) int64, numbers of updates, increasing, after which the
            parameters of each mask are asked for; its updates end at the last.
        settings: How large the steps are, and over what parameters are averaged.
        order_of: Gives all frames in the shared order of an epoch, (n_frames,) int64.
    """

    kept: NDArray[np.bool_]
    batch_size: NDArray[np.int64]
    n_batches: NDArray[np.int64]
    stops: NDArray[np.int64]
    settings: BCSettings
    order_of: Callable[[int], NDArray[np.int64]]

    @classmethod
    def of(
        cls,
        kept: NDArray[np.bool_],
        seed: int,
        settings: BCSettings,
        amounts: Sequence[int] | None = None,
    ) -> "Schedule":
        """Plan the updates of masks, (n_masks, n_frames) bool, each of which keeps a frame.

        Args:
            kept: The frames of each mask.
            seed: Of the orders.
            settings: Size of a batch, how long to train, and how it ends.
            amounts: Updates at which parameters are asked for, increasing, instead of how long the
                settings say.

        Raises:
            StudyError: When nothing says how long to train.
        """
        n_kept = kept.sum(axis=1)
        batch_size = np.minimum(settings.batch_size, n_kept)
        n_batches = n_kept // batch_size
        if amounts is None:
            stops = np.array([[settings.updates(n) for n in n_batches.tolist()]])
        else:
            stops = np.repeat(np.array(amounts, np.int64)[:, None], len(kept), axis=1)
        every = np.arange(kept.shape[1])
        remember = lru_cache(max(2, ORDERS_IN_MEMORY // max(1, every.nbytes)))
        order_of = remember(partial(epoch_order, every, seed))
        return cls(kept, batch_size, n_batches, stops, settings, order_of)

    @property
    def n_updates(self) -> NDArray[np.int64]:
        """Updates of each mask, (n_masks,)."""
        last: NDArray[np.int64] = self.stops[-1]
        return last

    @property
    def n_averaged(self) -> NDArray[np.int64]:
        """Last updates of each mask over which its parameters are averaged, (n_masks,), or 0."""
        exact = np.asarray(self.settings.average_last * self.n_updates)
        return np.ceil(exact).astype(np.int64)

    def rates(self, masks: Any, updates: Any) -> NDArray[np.float64]:
        """Return Adam's step sizes at updates, numbered from 0; both arguments are broadcast."""
        falls = self.settings.learning_rate_decay == "linear"
        left = 1 - falls * updates / self.n_updates[masks]
        return np.asarray(self.settings.learning_rate * left)

    def batches(self, mask: int, start: int, stop: int) -> NDArray[np.int64]:
        """Return the frames of a mask's updates from one number to another, (n, batch_size)."""
        size, n_batches = int(self.batch_size[mask]), int(self.n_batches[mask])
        kept, first = self.kept[mask], start // n_batches
        visits = []
        for epoch in range(first, -(-stop // n_batches)):
            order = self.order_of(epoch)
            visits.append(order[kept[order]][: n_batches * size])
        skipped = first * n_batches
        return np.concatenate(visits).reshape(-1, size)[start - skipped : stop - skipped]


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
