"""The compiled loop in calls by threads, after each of which it reports and can be stopped."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import ProgressCallback


class ThreadedUpdates:
    """ThreadedUpdates of the compiled loop, each of which does some updates of some masks.

    Args:
        update: Does a mask's updates from one number to another; gets the mask, its moments
            (2, n_parameters) and both numbers. Updates beyond its last are left out.
        moments: (2, n_parameters), those before the first update.
        n_masks: Masks of a call.
        n_updates: Updates of a call.
    """

    def __init__(
        self,
        update: Callable[[int, NDArray[Any], int, int], None],
        moments: NDArray[Any],
        n_masks: int,
        n_updates: int,
    ) -> None:
        self._update, self._moments = update, moments
        self._n_masks, self._n_updates = n_masks, n_updates
        self._stop, self._finished = Event(), SimpleQueue[Exception | None]()

    def run(self, n_updates: NDArray[np.int64], threads: int, progress: ProgressCallback) -> None:
        """Do all updates, (n_masks,), and report each call; raise what one raised."""
        starts = range(0, len(n_updates), self._n_masks)
        chunks = [range(len(n_updates))[start : start + self._n_masks] for start in starts]
        calls = [range(0, int(n_updates[masks].max()), self._n_updates) for masks in chunks]
        n_calls = sum(map(len, calls))
        pool = ThreadPoolExecutor(threads)
        try:
            for masks, updates in zip(chunks, calls, strict=True):
                pool.submit(self._train_some, masks, updates)
            for done in range(1, n_calls + 1):
                error = self._finished.get()
                if error is not None:
                    raise error
                progress(done / n_calls)
        finally:
            self._stop.set()  # those of a canceled shard are not waited for
            pool.shutdown(cancel_futures=True)

    def _train_some(self, masks: range, updates: range) -> None:
        try:
            moments = np.repeat(self._moments[None], len(masks), axis=0)
            for start in updates:
                if self._stop.is_set():
                    return
                for mask, own in zip(masks, moments, strict=True):
                    self._update(mask, own, start, start + self._n_updates)
                self._finished.put(None)
        except Exception as error:
            self._finished.put(error)
