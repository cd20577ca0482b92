"""Training data: the frames, the frames that each mask keeps, and when it visits them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.batch_order import epoch_order
from r2rise.algorithms.bc.settings import BCSettings

ORDERS_IN_MEMORY = 2**26
"""Bytes of epoch orders that are cached; others are computed again."""
_HELD_OUT_EPOCH = 2**32 - 1
"""Reserved number of the epoch whose order selects the held-out frames."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """One copy of all frames, shared by the masks.

    Attributes:
        features: (n_frames, n_inputs) or images (n_frames, channels, height, width), float32.
        targets: (n_frames, n_actions), int64 for discrete and float32 for Box actions.
        kept: (n_masks, n_frames) bool, the frames each mask is trained on.
        held_out: (n_masks, n_frames) bool, the frames for its validation loss, or None.
    """

    features: NDArray[np.float32]
    targets: NDArray[Any]
    kept: NDArray[np.bool_]
    held_out: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Schedule:
    """The updates of masks that share a training seed.

    Mask i visits the frames it keeps in the order of each epoch, `batch_size[i]` at a time, and
    drops the remainder.

    Attributes:
        kept: (n_masks, n_frames) bool.
        batch_size: (n_masks,) int64, at most the number of kept frames.
        n_batches: (n_masks,) int64, batches of an epoch.
        stops: (n_stops, n_masks) int64, increasing numbers of updates after which the parameters
            of each mask are returned. Training ends at the last.
        settings: Step sizes, and the updates over which parameters are averaged.
        order_of: Returns all frames in the shared order of an epoch, (n_frames,) int64.
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
        """Plan the updates of all masks.

        Args:
            kept: (n_masks, n_frames) bool. Each mask keeps at least one frame.
            seed: Seed of the epoch orders.
            settings: Batch size, amount of training, and averaging.
            amounts: Increasing numbers of updates after which parameters are returned. They
                replace the amount of the settings.

        Raises:
            StudyError: If nothing determines how long to train.
        """
        n_kept = kept.sum(axis=1)
        batch_size = np.minimum(settings.batch_size, n_kept)
        n_batches = n_kept // batch_size
        if amounts is None:
            stops = np.array([[settings.updates(n) for n in n_batches.tolist()]])
        else:
            stops = np.repeat(np.array(amounts, np.int64)[:, None], len(kept), axis=1)
        all_frames = np.arange(kept.shape[1])
        cached = lru_cache(max(2, ORDERS_IN_MEMORY // max(1, all_frames.nbytes)))
        order_of = cached(partial(epoch_order, all_frames, seed))
        return cls(kept, batch_size, n_batches, stops, settings, order_of)

    @property
    def n_updates(self) -> NDArray[np.int64]:
        """(n_masks,) number of updates of each mask."""
        last: NDArray[np.int64] = self.stops[-1]
        return last

    @property
    def n_averaged(self) -> NDArray[np.int64]:
        """(n_masks,) number of last updates whose parameters are averaged; 0 for no averaging."""
        n_averaged = np.asarray(self.settings.average_last * self.n_updates)
        return np.ceil(n_averaged).astype(np.int64)

    def rates(self, masks: Any, updates: Any) -> NDArray[np.float64]:
        """Return Adam's step sizes at updates, numbered from 0. The arguments are broadcast."""
        decays = self.settings.learning_rate_decay == "linear"
        factor = 1 - decays * updates / self.n_updates[masks]
        return np.asarray(self.settings.learning_rate * factor)

    def batches(self, mask: int, start: int, stop: int) -> NDArray[np.int64]:
        """Return the frames of a mask's updates `start` to `stop` - 1, (n_updates, batch_size)."""
        size, n_batches = int(self.batch_size[mask]), int(self.n_batches[mask])
        kept, first_epoch = self.kept[mask], start // n_batches
        visits = []
        for epoch in range(first_epoch, -(-stop // n_batches)):
            order = self.order_of(epoch)
            visits.append(order[kept[order]][: n_batches * size])
        n_skipped = first_epoch * n_batches
        return np.concatenate(visits).reshape(-1, size)[start - n_skipped : stop - n_skipped]


def hold_out(kept: NDArray[np.bool_], seed: int, share: float) -> NDArray[np.bool_]:
    """Choose the frames of each mask that are held out, (n_masks, n_frames) bool.

    They are the first of the kept frames in a separate shared order. At least one kept frame is
    left to train on.
    """
    order = epoch_order(np.arange(kept.shape[1]), seed, _HELD_OUT_EPOCH)
    rank = np.cumsum(kept[:, order], axis=1)
    n_held_out = np.minimum(np.round(share * kept.sum(axis=1)), kept.sum(axis=1) - 1)
    held_out = np.zeros_like(kept)
    held_out[:, order] = kept[:, order] & (rank <= n_held_out[:, None])
    return held_out


def spread_rows(rows: NDArray[Any], frame: NDArray[np.int64]) -> NDArray[Any]:
    """Place rows at the indices of their frames. All other rows are copies of the first row.

    Args:
        rows: (n, ...).
        frame: (n,) indices of the frames among all frames.

    Returns:
        (last frame + 1, ...).
    """
    spread = np.repeat(rows[:1], frame.max() + 1, axis=0)
    spread[frame] = rows
    return spread


def mask_of(frame: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the mask that keeps exactly these frames, (1, last frame + 1) bool."""
    return np.isin(np.arange(frame.max() + 1), frame)[None]
