"""Masks of the most and least important segments, and of random ones to compare with."""

import numpy as np
from numpy.typing import NDArray

from r2rise.data.segments import Segments
from r2rise.results.importance_map import ImportanceMap

Mask = NDArray[np.bool_]

_MAX_DRAWS = 50


class Ranking:
    """The segments of a map in order of importance; those not estimated are left out.

    Attributes:
        order: (n_estimated,) indices of the estimated segments, the most important first.
    """

    def __init__(self, importance_map: ImportanceMap) -> None:
        values = importance_map.importance
        by_importance = np.argsort(-values, kind="stable")
        self.order = by_importance[np.isfinite(values[by_importance])]
        self._n_segments = len(values)

    def __len__(self) -> int:
        return len(self.order)

    def top(self, k: int) -> Mask:
        """Return the mask that keeps the k most important segments."""
        return self._keep(self.order[:k])

    def bottom(self, k: int) -> Mask:
        """Return the mask that keeps the k least important segments."""
        return self._keep(self.order[len(self) - k :])

    def all(self) -> Mask:
        """Return the mask that keeps all estimated segments."""
        return self._keep(self.order)

    def _keep(self, indices: NDArray[np.int64]) -> Mask:
        mask = np.zeros(self._n_segments, dtype=bool)
        mask[indices] = True
        return mask


def matched_random(
    mask: Mask, among: Mask, segments: Segments, generator: np.random.Generator
) -> Mask:
    """Draw a random mask that matches another in size.

    It keeps the same number of segments, of the same number of demonstrations. Of several draws the
    first with the same number of frames is returned, or else the closest.

    Args:
        mask: (n_segments,) mask to be matched.
        among: (n_segments,) segments to draw from, a superset of `mask`.
        segments: Positions of the segments.
        generator: Source of the draws.
    """
    n_demonstrations = len(np.unique(segments.demonstration[mask]))
    n_frames, closest = int(segments.n_frames[mask].sum()), mask
    smallest_difference = None
    for _ in range(_MAX_DRAWS):
        drawn = _draw(int(mask.sum()), n_demonstrations, among, segments, generator)
        if drawn is None:
            continue
        difference = abs(int(segments.n_frames[drawn].sum()) - n_frames)
        if smallest_difference is None or difference < smallest_difference:
            smallest_difference, closest = difference, drawn
        if difference == 0:
            break
    return closest


def _draw(
    k: int, n_demonstrations: int, among: Mask, segments: Segments, generator: np.random.Generator
) -> Mask | None:
    """Draw k segments of `n_demonstrations`, at least one of each; None if these have too few."""
    demonstration = segments.demonstration
    demonstrations = generator.permutation(np.unique(demonstration[among]))[:n_demonstrations]
    available = generator.permutation(
        np.flatnonzero(among & np.isin(demonstration, demonstrations))
    )
    if len(available) < k:
        return None
    _, one_of_each = np.unique(demonstration[available], return_index=True)
    remaining = np.setdiff1d(np.arange(len(available)), one_of_each)
    picked = np.concatenate([one_of_each, remaining])[:k]
    drawn = np.zeros(len(demonstration), dtype=bool)
    drawn[available[picked]] = True
    return drawn
