"""The segments that an export leaves out, by a curation, or by the map if there is none."""

import numpy as np
from numpy.typing import NDArray

from r2rise.data.segments import Segment
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap

_MaskAndNotes = tuple[NDArray[np.bool_], tuple[str, ...]]


def harmful_segments(importance: ImportanceMap, curation: Curation | None) -> _MaskAndNotes:
    """Return the segments to leave out, (n_segments,) bool, and a note for each thing unknown.

    If there is a curation of this map, they are the segments that it left out, or none if that did
    not improve the return. Otherwise they are the segments with the verdict `hurts`; the effect of
    leaving all of them out together has not been measured.

    Args:
        importance: A map with verdicts.
        curation: The result of a curation; ignored if it is of another map.
    """
    if curation is None or not _is_curation_of(curation, importance):
        verdicts = importance.verdicts.verdict if importance.verdicts is not None else ()
        hurts = np.array([verdict == "hurts" for verdict in verdicts], dtype=bool)
        return hurts, (
            "a test of the cuts: they are the segments with the verdict `hurts`; to test whether "
            "leaving all of them out improves the policy, run `r2rise curate`",
        )
    if not curation.is_worth_applying:
        return np.zeros(len(importance), dtype=bool), (
            f"all cuts: the curation of the map ended with `{curation.outcome}`",
        )
    edits = {Segment(edit.demonstration, edit.start, edit.stop) for edit in curation.edits}
    return np.array([importance.segment(i) in edits for i in range(len(importance))]), ()


def _is_curation_of(curation: Curation, importance: ImportanceMap) -> bool:
    return (curation.map_study_hash, curation.map_revision) == (
        importance.study_hash,
        importance.revision,
    )
