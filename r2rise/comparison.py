"""Two importance maps over the same segments, compared without retraining."""

import numpy as np
from pydantic import BaseModel, ConfigDict

from r2rise.errors import MapError
from r2rise.importance import ImportanceMap


class Comparison(BaseModel):
    """How alike two maps are.

    Attributes:
        n_segments: Segments estimated in both.
        spearman: Rank correlation; null when a map is constant.
        kendall: Kendall's tau-b; null when a map is constant.
        k: Size of the top lists.
        top_overlap: Share of the k most helpful segments that the maps have in common.
        top_overlap_by_chance: The same for unrelated maps.
        bottom_overlap: Share of the k most harmful segments in common.
    """

    model_config = ConfigDict(frozen=True)

    n_segments: int
    spearman: float | None
    kendall: float | None
    k: int
    top_overlap: float
    top_overlap_by_chance: float
    bottom_overlap: float


def compare(a: ImportanceMap, b: ImportanceMap, *, k: int = 10) -> Comparison:
    """Compare two maps over the same segments of the same demonstrations.

    Raises:
        MapError: When demonstrations or segments differ, or fewer than 2 segments are in both.
    """
    from scipy.stats import kendalltau, spearmanr

    if a.dataset.sha256 != b.dataset.sha256:
        raise MapError(
            f"The maps are of different demonstrations ({a.dataset.sha256[:19]}... and "
            f"{b.dataset.sha256[:19]}...): only maps of the same ones can be compared."
        )
    if [a.segment(i) for i in range(len(a))] != [b.segment(i) for i in range(len(b))]:
        raise MapError(
            f"The maps have different segments ({len(a)} and {len(b)}): use the same "
            f"--segment-length or --segments for both."
        )
    both = np.isfinite(a.importance) & np.isfinite(b.importance)
    n = int(both.sum())
    if n < 2:
        raise MapError(f"Only {n} segments are estimated in both maps: at least 2 are needed.")
    ours, theirs = a.importance[both], b.importance[both]
    varies = bool(np.ptp(ours) > 0 and np.ptp(theirs) > 0)
    k = min(k, n)
    return Comparison(
        n_segments=n,
        spearman=float(spearmanr(ours, theirs).statistic) if varies else None,
        kendall=float(kendalltau(ours, theirs).statistic) if varies else None,
        k=k,
        top_overlap=_overlap(-ours, -theirs, k),
        top_overlap_by_chance=k / n,
        bottom_overlap=_overlap(ours, theirs, k),
    )


def _overlap(
    ours: np.ndarray[tuple[int], np.dtype[np.float64]],
    theirs: np.ndarray[tuple[int], np.dtype[np.float64]],
    k: int,
) -> float:
    first, second = (set(np.argsort(v, kind="stable")[:k].tolist()) for v in (ours, theirs))
    return len(first & second) / k
