"""Runs the compiled loop in threads, in short calls after which it reports and can stop."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import ProgressCallback


class ThreadedUpdates:
    """Runs the updates of all masks in calls, each of which does some updates of some masks.

    Args:
        update: Does a range of a mask's updates. Its arguments are the mask, the mask's moments
            (2, n_parameters), the first update and the end of the range. It ignores updates beyond
            the mask's last one.
        moments: (2, n_parameters), the moments before the first update.
        n_masks: Number of masks in a call.
        n_updates: Number of updates in a call.
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
        self._stop, self._outcomes = Event(), SimpleQueue[Exception | None]()

    def run(self, n_updates: NDArray[np.int64], threads: int, progress: ProgressCallback) -> None:
        """Do all updates and report progress after each call.

        Args:
            n_updates: (n_masks,) number of updates of each mask.
            threads: Number of threads.
            progress: Called from this thread. An exception that it raises stops all threads.

        Raises:
            Exception: The first exception of a call.
        """
        first_masks = range(0, len(n_updates), self._n_masks)
        chunks = [range(len(n_updates))[first : first + self._n_masks] for first in first_masks]
        starts_of_calls = [
            range(0, int(n_updates[masks].max()), self._n_updates) for masks in chunks
        ]
        n_calls = sum(map(len, starts_of_calls))
        pool = ThreadPoolExecutor(threads)
        try:
            for masks, starts in zip(chunks, starts_of_calls, strict=True):
                pool.submit(self._train_chunk, masks, starts)
            for n_done in range(1, n_calls + 1):
                error = self._outcomes.get()
                if error is not None:
                    raise error
                progress(n_done / n_calls)
        finally:
            self._stop.set()  # threads of a canceled shard return after their current call
            pool.shutdown(cancel_futures=True)

    def _train_chunk(self, masks: range, starts: range) -> None:
        try:
            moments = np.repeat(self._moments[None], len(masks), axis=0)
            for start in starts:
                if self._stop.is_set():
                    return
                for mask, mask_moments in zip(masks, moments, strict=True):
                    self._update(mask, mask_moments, start, start + self._n_updates)
                self._outcomes.put(None)
        except Exception as error:
            self._outcomes.put(error)
