"""Test whether failures depend on the mask: an algorithm may need the frames that it leaves out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from r2rise.ledger.record import EMPTY_MASK, Record, packed_masks
from r2rise.statistics.significance import holm

_LEVEL = 0.01
"""Probability of reporting a dependence where there is none."""

_MAX_NAMED = 3
"""Number of segments that are named; further ones are only counted."""


def failing_segments(kept: NDArray[np.bool_], failed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of segments that failures depend on, smallest p-value first.

    Each segment is tested with Fisher's exact test (1935) of failed against kept, two-sided as
    twice the smaller tail. The p-values are adjusted for all segments by Holm (1979), at 0.01.

    Args:
        kept: (n_retrainings, n_segments) masks.
        failed: (n_retrainings,) whether each retraining failed.
    """
    from scipy.stats import hypergeom

    if not failed.any() or failed.all():
        return np.zeros(0, dtype=np.int64)
    n_kept, n_both = kept.sum(axis=0), kept[failed].sum(axis=0)
    chance = hypergeom(len(kept), n_kept, failed.sum())
    p = 2 * np.minimum(chance.cdf(n_both), chance.sf(n_both - 1))
    order = np.argsort(p, kind="stable")
    segments: NDArray[np.int64] = order[holm(p)[order] <= _LEVEL]
    return segments


def failing_segments_words(kept: NDArray[np.bool_], failed: NDArray[np.bool_]) -> str | None:
    """Return the segments that failures depend on, and how often, as text; None without any."""
    segments = failing_segments(kept, failed).tolist()
    if not segments:
        return None
    descriptions = [
        _segment_words(number, kept[:, number], failed) for number in segments[:_MAX_NAMED]
    ]
    remainder = (
        f"; and {len(segments) - _MAX_NAMED} more segments" if len(segments) > _MAX_NAMED else ""
    )
    return f"Failures depend on what is masked: {'; '.join(descriptions)}{remainder}."


def _segment_words(number: int, kept: NDArray[np.bool_], failed: NDArray[np.bool_]) -> str:
    without = f"{failed[~kept].sum()} of {(~kept).sum()} failed without"
    return f"{without} segment {number}, {failed[kept].sum()} of {kept.sum()} with it"


def failures_by_segment(records: Sequence[Record], n_segments: int) -> str | None:
    """Return `failing_segments_words` of records. Empty masks always fail, and are excluded."""
    trained = [record for record in records if record.reason != EMPTY_MASK]
    if not trained:
        return None
    kept = np.array([record.mask(n_segments) for record in trained])
    return failing_segments_words(kept, np.array([r.status == "failed" for r in trained]))


def failures_follow_frames_kept(records: Sequence[Record], n_frames: NDArray[np.int64]) -> bool:
    """Return whether failures depend on the number of frames kept (Mann and Whitney 1947, 0.01).

    Empty masks always fail, and are excluded.
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
