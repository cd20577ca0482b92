"""Do failures go with what is masked? An algorithm may need what a mask leaves out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from r2rise.ledger.record import EMPTY_MASK, Record, packed_masks
from r2rise.statistics.significance import holm

_LEVEL = 0.01
"""Probability of saying that failures go with something where they go with nothing."""

_NAMED = 3
"""Segments that are named; further ones are counted."""


def failing_segments(kept: NDArray[np.bool_], failed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the segments that failures go with, the clearest first, (n_found,).

    For each segment Fisher's exact test (1935) of failed against kept, twice the smaller tail;
    over all segments the procedure of Holm (1979) at 0.01.

    Args:
        kept: (n_retrainings, n_segments) masks.
        failed: (n_retrainings,).
    """
    from scipy.stats import hypergeom

    if not failed.any() or failed.all():
        return np.zeros(0, dtype=np.int64)
    n_kept, n_both = kept.sum(axis=0), kept[failed].sum(axis=0)
    chance = hypergeom(len(kept), n_kept, failed.sum())
    p = 2 * np.minimum(chance.cdf(n_both), chance.sf(n_both - 1))
    order = np.argsort(p, kind="stable")
    found: NDArray[np.int64] = order[holm(p)[order] <= _LEVEL]
    return found


def failing_segments_words(kept: NDArray[np.bool_], failed: NDArray[np.bool_]) -> str | None:
    """Return which segments failures go with, and how often, or None where there are none."""
    found = failing_segments(kept, failed).tolist()
    if not found:
        return None
    named = [_words(number, kept[:, number], failed) for number in found[:_NAMED]]
    more = f"; and {len(found) - _NAMED} more segments" if len(found) > _NAMED else ""
    return f"Failures go with what is masked: {'; '.join(named)}{more}."


def _words(number: int, kept: NDArray[np.bool_], failed: NDArray[np.bool_]) -> str:
    without = f"{failed[~kept].sum()} of {(~kept).sum()} failed without"
    return f"{without} segment {number}, {failed[kept].sum()} of {kept.sum()} with it"


def failures_by_segment(records: Sequence[Record], n_segments: int) -> str | None:
    """Return `failing_segments_words` of records; masks that keep nothing do not count."""
    trained = [record for record in records if record.reason != EMPTY_MASK]
    if not trained:
        return None
    kept = np.array([record.mask(n_segments) for record in trained])
    return failing_segments_words(kept, np.array([r.status == "failed" for r in trained]))


def failures_follow_frames_kept(records: Sequence[Record], n_frames: NDArray[np.int64]) -> bool:
    """Say whether failures go with the number of frames kept (Mann and Whitney 1947, p < 0.01).

    Masks that keep nothing do not count.
    """
    from scipy.stats import mannwhitneyu

    trained = [record for record in records if record.reason != EMPTY_MASK]
    failed = np.array([record.status == "failed" for record in trained], dtype=bool)
    if failed.sum() < 2 or failed.all():
        return False
    packed = packed_masks(trained, len(n_frames))
    kept = np.unpackbits(packed, axis=1, count=len(n_frames)) @ n_frames
    if np.ptp(kept) == 0:
        return False
    return bool(mannwhitneyu(kept[failed], kept[~failed]).pvalue < _LEVEL)
