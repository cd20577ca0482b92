"""Cuts demonstrations into pieces whose frames belong to the same sets of an importance map.

robomimic's filter keys select demonstrations, not frames. To train on a set of frames, each run of
such frames becomes a separate demonstration.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.data.segments import Segment
from r2rise.errors import MapError
from r2rise.formats.episodes import episodes_of
from r2rise.formats.harm import harmful_segments
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.selection import Ranking


@dataclass(frozen=True)
class Pieces:
    """The pieces of demonstrations, and the sets that they belong to.

    Attributes:
        segments: Frames of each piece. Every frame is in exactly one piece.
        sets: Name of each set -> numbers of the pieces in it.
        notes: A line for each thing that is unknown.
    """

    segments: tuple[Segment, ...]
    sets: dict[str, list[int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def whole(cls, demonstrations: Demonstrations) -> "Pieces":
        """Return each demonstration as one piece."""
        lengths = demonstrations.lengths.tolist()
        return cls(tuple(Segment(i, 0, length) for i, length in enumerate(lengths)))

    @classmethod
    def of_map(
        cls,
        demonstrations: Demonstrations,
        importance: ImportanceMap,
        curation: Curation | None = None,
    ) -> "Pieces":
        """Cut where membership in the sets of a map changes.

        No piece spans two demonstrations, or a gap between the segments of a set.

        Args:
            demonstrations: The demonstrations of the map.
            importance: The map.
            curation: The result of a curation of the map, if there is one.

        Raises:
            MapError: If the map is of other demonstrations.
        """
        check_same(demonstrations, importance)
        masks, notes = memberships(importance, curation)
        table = importance.segments
        labels = np.stack([table.demonstration, *masks.values()], axis=1)
        changes = np.flatnonzero((labels[1:] != labels[:-1]).any(axis=1)) + 1
        bounds = [0, *changes.tolist(), len(importance)]
        segments = tuple(
            Segment(int(table.demonstration[a]), int(table.start[a]), int(table.stop[b - 1]))
            for a, b in pairwise(bounds)
        )
        sets = {
            key: [number for number, first in enumerate(bounds[:-1]) if mask[first]]
            for key, mask in masks.items()
        }
        return cls(segments, sets, notes)

    def episodes(self, demonstrations: Demonstrations) -> Iterator[Episode]:
        """Yield each piece as an episode, with the observation after its last frame."""
        episodes = enumerate(episodes_of(demonstrations))
        number, episode = next(episodes)
        for demonstration, start, stop in self.segments:
            while number < demonstration:
                number, episode = next(episodes)
            includes_end = stop == len(episode.acts)
            yield Episode(
                obs=episode.obs[start : stop + 1],
                acts=episode.acts[start:stop],
                rews=None if episode.rews is None else episode.rews[start:stop],
                terminal=None if episode.terminal is None else episode.terminal and includes_end,
                frames=None if episode.frames is None else episode.frames[start:stop],
            )


def check_same(demonstrations: Demonstrations, importance: ImportanceMap) -> None:
    """Check that a map was computed from these demonstrations.

    Raises:
        MapError: If it was not.
    """
    if importance.dataset.sha256 != demonstrations.content_hash:
        raise MapError(
            f"The map is about demonstrations {importance.dataset.sha256[:19]}..., not about "
            f"{demonstrations.content_hash[:19]}...: give the file that it was computed from, such "
            f"as demonstrations.npz beside it."
        )


def memberships(
    importance: ImportanceMap, curation: Curation | None = None
) -> tuple[dict[str, NDArray[np.bool_]], tuple[str, ...]]:
    """Return the segments of each set, (n_segments,) bool, and a note for each thing unknown.

    `top` and `bottom` are the more and the less important half of the estimated segments. `no_harm`
    is all segments but the harmful ones (see `harm.harmful_segments`).
    """
    ranking = Ranking(importance)
    half = len(ranking) // 2
    masks = {"top": ranking.top(half), "bottom": ranking.bottom(half)}
    if importance.verdicts is None:
        return masks, (f"no_harm: {importance.why_no_verdicts}",)
    is_harmful, notes = harmful_segments(importance, curation)
    return masks | {"no_harm": ~is_harmful}, tuple(f"no_harm: {note}" for note in notes)
