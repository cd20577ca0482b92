"""Which segments to keep: the most and the least important, and random ones to compare with."""

import numpy as np
from numpy.typing import NDArray

from r2rise.data.segments import Segments
from r2rise.results.importance_map import ImportanceMap

Mask = NDArray[np.bool_]

_TRIES = 50


class Ranking:
    """The segments of a map in order of importance; those not estimated are left out.

    Attributes:
        order: (n_known,) indices of the estimated segments, the most important first.
    """

    def __init__(self, importance_map: ImportanceMap) -> None:
        values = importance_map.importance
        by_importance = np.argsort(-values, kind="stable")
        self.order = by_importance[np.isfinite(values[by_importance])]
        self._n_segments = len(values)

    def __len__(self) -> int:
        return len(self.order)

    def top(self, k: int) -> Mask:
        """Keep the k most important segments."""
        return self._keep(self.order[:k])

    def bottom(self, k: int) -> Mask:
        """Keep the k least important segments."""
        return self._keep(self.order[len(self) - k :])

    def all(self) -> Mask:
        """Keep all segments that were estimated."""
        return self._keep(self.order)

    def _keep(self, indices: NDArray[np.int64]) -> Mask:
        mask = np.zeros(self._n_segments, dtype=bool)
        mask[indices] = True
        return mask


def matched_random(
    mask: Mask, among: Mask, segments: Segments, generator: np.random.Generator
) -> Mask:
    """Draw random segments that resemble a mask in all but which ones they are.

    The same number of segments of the same number of demonstrations; of several draws the first
    with as many frames, else the closest.

    Args:
        mask: (n_segments,) what is to be matched.
        among: (n_segments,) segments to draw from; holds those of `mask`.
        segments: Where the segments lie.
        generator: Source of the draws.
    """
    n_demonstrations = len(np.unique(segments.demonstration[mask]))
    n_frames, best = int(segments.n_frames[mask].sum()), mask
    smallest = None
    for _ in range(_TRIES):
        drawn = _draw(int(mask.sum()), n_demonstrations, among, segments, generator)
        if drawn is None:
            continue
        difference = abs(int(segments.n_frames[drawn].sum()) - n_frames)
        if smallest is None or difference < smallest:
            smallest, best = difference, drawn
        if difference == 0:
            break
    return best


def _draw(
    k: int, n_demonstrations: int, among: Mask, segments: Segments, generator: np.random.Generator
) -> Mask | None:
    """Draw k segments of so many demonstrations, at least one of each; None where none fit."""
    owner = segments.demonstration
    chosen = generator.permutation(np.unique(owner[among]))[:n_demonstrations]
    available = generator.permutation(np.flatnonzero(among & np.isin(owner, chosen)))
    if len(available) < k:
        return None
    _, one_of_each = np.unique(owner[available], return_index=True)
    others = np.setdiff1d(np.arange(len(available)), one_of_each)
    picked = np.concatenate([one_of_each, others])[:k]
    drawn = np.zeros(len(owner), dtype=bool)
    drawn[available[picked]] = True
    return drawn
