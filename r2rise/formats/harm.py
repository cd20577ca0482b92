"""Which segments an export leaves out: what a curation confirmed, else what the map alone says."""

import numpy as np
from numpy.typing import NDArray

from r2rise.data.segments import Segment
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap

_Chosen = tuple[NDArray[np.bool_], tuple[str, ...]]


def harmful(importance: ImportanceMap, curation: Curation | None) -> _Chosen:
    """Return the segments to leave out, (n_segments,) bool, and what is not known of that.

    Those that a curation of the map left out, if that gained something; none where it did not.
    Where there is no curation, those whose verdict is `hurts`, which nobody has tried together.

    Args:
        importance: A map with verdicts.
        curation: What a curation of it found.
    """
    if curation is None or not _is_of(curation, importance):
        verdicts = importance.verdicts.verdict if importance.verdicts is not None else ()
        hurts = np.array([verdict == "hurts" for verdict in verdicts], dtype=bool)
        return hurts, (
            "a confirmed gain: cut is what hurts by the verdicts of the map, segment by segment; "
            "whether it gains anything to leave all of it out, `r2rise curate` finds out",
        )
    if not curation.is_worth_applying:
        return np.zeros(len(importance), dtype=bool), (
            f"any cut: the curation of the map ended with `{curation.outcome}`",
        )
    edits = {Segment(edit.demonstration, edit.start, edit.stop) for edit in curation.edits}
    return np.array([importance.segment(i) in edits for i in range(len(importance))]), ()


def _is_of(curation: Curation, importance: ImportanceMap) -> bool:
    return (curation.map_study_hash, curation.map_revision) == (
        importance.study_hash,
        importance.revision,
    )
