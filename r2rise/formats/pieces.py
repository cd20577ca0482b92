"""Demonstrations cut into runs of frames that a map says the same of, with names for sets of them.

robomimic's filter keys name demonstrations, not frames. So that it can train on a set of frames,
each run of them becomes a demonstration of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.segments import Segment
from r2rise.errors import MapError
from r2rise.formats.episodes import Episode, episodes_of
from r2rise.formats.harm import harmful
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.selection import Ranking


@dataclass(frozen=True)
class Pieces:
    """Where demonstrations are cut, and which pieces belong to which set.

    Attributes:
        segments: Frames of each piece; every frame is in exactly one.
        sets: For each name the numbers of the pieces in it.
        notes: What could not be said.
    """

    segments: tuple[Segment, ...]
    sets: dict[str, list[int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def whole(cls, demonstrations: Demonstrations) -> "Pieces":
        """Return the demonstrations uncut."""
        lengths = demonstrations.lengths.tolist()
        return cls(tuple(Segment(i, 0, length) for i, length in enumerate(lengths)))

    @classmethod
    def of_map(
        cls,
        demonstrations: Demonstrations,
        importance: ImportanceMap,
        curation: Curation | None = None,
    ) -> "Pieces":
        """Cut where membership in the sets of a map changes; no piece bridges a gap.

        Args:
            demonstrations: Those that the map is about.
            importance: The map.
            curation: What a curation of the map found, if there was one.

        Raises:
            MapError: When the map is of other demonstrations.
        """
        check_same(demonstrations, importance)
        members, notes = memberships(importance, curation)
        table = importance.segments
        kinds = np.stack([table.demonstration, *members.values()], axis=1)
        changes = np.flatnonzero((kinds[1:] != kinds[:-1]).any(axis=1)) + 1
        bounds = [0, *changes.tolist(), len(importance)]
        segments = tuple(
            Segment(int(table.demonstration[a]), int(table.start[a]), int(table.stop[b - 1]))
            for a, b in pairwise(bounds)
        )
        sets = {
            key: [number for number, first in enumerate(bounds[:-1]) if mask[first]]
            for key, mask in members.items()
        }
        return cls(segments, sets, notes)

    def episodes(self, demonstrations: Demonstrations) -> Iterator[Episode]:
        """Yield each piece as an episode, with the observation after its last frame."""
        wholes = enumerate(episodes_of(demonstrations))
        number, episode = next(wholes)
        for demonstration, start, stop in self.segments:
            while number < demonstration:
                number, episode = next(wholes)
            at_the_end = stop == len(episode.acts)
            yield Episode(
                obs=episode.obs[start : stop + 1],
                acts=episode.acts[start:stop],
                rews=None if episode.rews is None else episode.rews[start:stop],
                terminal=None if episode.terminal is None else episode.terminal and at_the_end,
                frames=None if episode.frames is None else episode.frames[start:stop],
            )


def check_same(demonstrations: Demonstrations, importance: ImportanceMap) -> None:
    """Check that a map is about these demonstrations.

    Raises:
        MapError: When it is not.
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
    """Return for each set which segments are in it, (n_segments,) bool, and what is missing.

    `top` and `bottom` are the more and the less important half of the segments that were
    estimated, `no_harm` all but what is harmful (see `harm.harmful`).
    """
    ranking = Ranking(importance)
    half = len(ranking) // 2
    members = {"top": ranking.top(half), "bottom": ranking.bottom(half)}
    if importance.verdicts is None:
        return members, (f"no_harm: {importance.why_no_verdicts}",)
    left_out, notes = harmful(importance, curation)
    return members | {"no_harm": ~left_out}, tuple(f"no_harm: {note}" for note in notes)
