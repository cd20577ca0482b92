"""Demonstrations of an expert, as read-only arrays without padding."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.data.checks import (
    ARRAY_KEYS,
    check_arrays,
    check_kept,
    check_meta,
    read_only,
    row_chunks,
)
from r2rise.data.episode_parts import to_episodes
from r2rise.data.episodes import Episode, joined_arrays
from r2rise.data.npz import open_npz, unpacking, write_npz
from r2rise.data.segments import FINEST_SEGMENT_LENGTH, AnySegment, HasSegment, Segments, runs_of
from r2rise.data.transitions import Transitions
from r2rise.errors import DemonstrationsError
from r2rise.files import move_folder, to_path
from r2rise.study.parts import Masking

MEMORY_MAP_BYTES = 256 * 2**20
"""Demonstrations with more bytes than this in all arrays are unpacked and memory-mapped."""


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """A set of demonstrations of any lengths, concatenated.

    Attributes:
        obs: (n_frames + n_demos, *obs_shape); demonstration i has lengths[i] + 1 rows.
        acts: (n_frames, *act_shape).
        lengths: (n_demos,) int64, frames of each demonstration.
        rews: (n_frames,) rewards of the expert, or None.
        terminal: (n_demos,) bool, False where a time limit cut the demonstration off, or None
            (then none counts as terminal).
        frames: (n_frames, H, W, 3) uint8 pictures to show to people, or None.
        meta: Where the demonstrations come from (environment id, source).

    Raises:
        DemonstrationsError: When the arrays are inconsistent or hold NaN or infinite values.
    """

    obs: NDArray[Any]
    acts: NDArray[Any]
    lengths: NDArray[np.int64]
    rews: NDArray[Any] | None = None
    terminal: NDArray[np.bool_] | None = None
    frames: NDArray[np.uint8] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ARRAY_KEYS:
            array = getattr(self, key)
            if array is not None:
                object.__setattr__(self, key, read_only(key, array))
        check_arrays(self._arrays)
        check_meta(self.meta)
        object.__setattr__(self, "lengths", read_only("lengths", self.lengths.astype(np.int64)))

    @classmethod
    def load(cls, path: str | Path, *, obs_keys: tuple[str, ...] = ()) -> "Demonstrations":
        """Read a demonstrations file (`.npz`); large ones are unpacked and memory-mapped.

        Args:
            path: The file.
            obs_keys: For dict observations (arrays `obs.<key>` in the file): keys to concatenate.

        Raises:
            DemonstrationsError: When the file cannot be used; it states the exact reason.
        """
        path = to_path(path, "path")

        def assemble(scratch: Path | None = None) -> Demonstrations:
            fields = file.fields(scratch)
            try:
                return cls(**fields)
            except DemonstrationsError as error:
                raise DemonstrationsError(f"{path}: {error}") from None

        with open_npz(path, obs_keys) as file:
            return assemble() if file.n_bytes <= MEMORY_MAP_BYTES else memory_mapped(assemble)

    @classmethod
    def from_episodes(
        cls,
        episodes: Iterable[object],
        *,
        obs_keys: tuple[str, ...] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> "Demonstrations":
        """Build demonstrations from episodes in memory.

        Args:
            episodes: Dicts or objects with `obs` (T + 1 rows), `acts` (T rows) and optionally
                `rews`, `terminal` and `frames`: arrays, lists or torch tensors. Trajectories of
                `imitation` and episodes of a Minari dataset are taken as they are.
            obs_keys: For dict observations: keys to concatenate.
            meta: Where the demonstrations come from.

        Raises:
            DemonstrationsError: When an episode cannot be used, or they are not alike.
        """
        arrays = joined_arrays(to_episodes(episodes, obs_keys), source="the list of episodes")
        return cls(**arrays, meta=dict(meta or {}))

    def save(self, path: str | Path) -> None:
        """Write a compressed `.npz` file atomically."""
        write_npz(to_path(path, "path"), self._arrays, self.meta)

    @property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that are present, by key."""
        arrays = {key: getattr(self, key) for key in ARRAY_KEYS}
        return {key: array for key, array in arrays.items() if array is not None}

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        return (
            f"Demonstrations({len(self)} with {self.n_frames} frames in all, "
            f"obs {self.obs.shape[1:]} {self.obs.dtype}, acts {self.acts.shape[1:]} "
            f"{self.acts.dtype})"
        )

    def _repr_html_(self) -> str:
        """Return the demonstrations as a notebook shows them."""
        html: str = import_module("r2rise.report.notebook").html_of(self)
        return html

    @property
    def n_frames(self) -> int:
        """Frames of all demonstrations."""
        return len(self.acts)

    @cached_property
    def frame_demonstration(self) -> NDArray[np.int64]:
        """Demonstration of each frame, (n_frames,) int64."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def first_frame(self) -> NDArray[np.int64]:
        """Index of the first frame of each demonstration, (n_demos,) int64."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)

    @cached_property
    def content_hash(self) -> str:
        """`sha256:<hex>` of key, dtype, shape and C-order bytes of every array, and of `meta`."""
        digest = hashlib.sha256()
        for key, array in self._arrays.items():
            digest.update(f"{key}|{array.dtype.str}|{array.shape}|".encode())
            for rows in row_chunks(array):
                digest.update(np.ascontiguousarray(rows).tobytes())
        digest.update(f"meta|{json.dumps(dict(self.meta), sort_keys=True)}".encode())
        return f"sha256:{digest.hexdigest()}"

    def segments(self, masking: Masking | None = None) -> Segments:
        """Cut the demonstrations into segments, by default of 10 frames."""
        return Segments.of(self.lengths, masking or Masking(segment_length=FINEST_SEGMENT_LENGTH))

    def trainable(
        self, kept: NDArray[np.bool_], *, frame_stack: int = 1, next_obs: bool = False
    ) -> NDArray[np.bool_]:
        """Return the kept frames whose transition reveals nothing of a masked frame.

        Args:
            kept: (..., n_frames) bool, True for kept frames.
            frame_stack: Number of frames in an observation: its own and the preceding ones.
            next_obs: Whether the next observation is used, too. It belongs to the next frame; the
                one after a demonstration's last frame belongs to none.

        Returns:
            (..., n_frames) bool.
        """
        check_kept(kept, self.n_frames)
        usable = kept.copy()
        for offset in range(1, frame_stack):
            usable[..., offset:] &= kept[..., :-offset] | ~self._same_demonstration(offset)
        if next_obs:
            usable[..., :-1] &= kept[..., 1:] | ~self._same_demonstration(1)
        return usable

    def _same_demonstration(self, offset: int) -> NDArray[np.bool_]:
        """Return whether frames i and i + offset share a demonstration, (n_frames - offset,)."""
        demonstration = self.frame_demonstration
        return np.equal(demonstration[offset:], demonstration[:-offset])

    def transitions(self, kept: NDArray[np.bool_]) -> Transitions:
        """Return the transitions of the kept frames only; `kept` is (n_frames,) bool."""
        check_kept(kept, self.n_frames)
        frame = np.flatnonzero(kept)
        demonstration = self.frame_demonstration[frame]
        time = frame - self.first_frame[demonstration]
        observation = frame + demonstration  # each demonstration has one extra observation
        is_terminal = np.zeros(len(self), bool) if self.terminal is None else self.terminal
        return Transitions(
            obs=self.obs[observation],
            acts=self.acts[frame],
            next_obs=self.obs[observation + 1],
            terminal=is_terminal[demonstration] & (time == self.lengths[demonstration] - 1),
            demonstration=demonstration,
            time=time,
            frame=frame,
            n_frames_in_all=self.n_frames,
        )

    def select(
        self, *, keep: Iterable[AnySegment] | None = None, drop: Iterable[AnySegment] = ()
    ) -> "Demonstrations":
        """Return demonstrations with a subset of the segments.

        A demonstration is split where frames were removed, so that no transition bridges a gap.

        Args:
            keep: Segments, or rows of a map, to keep; all frames when left out.
            drop: Segments to remove from these.

        Raises:
            DemonstrationsError: When a segment lies outside its demonstration or no frame is left.
        """
        kept = np.full(self.n_frames, keep is None)
        for segment in keep or ():
            kept[self._frame_slice(segment)] = True
        for segment in drop:
            kept[self._frame_slice(segment)] = False
        if not kept.any():
            raise DemonstrationsError("No frame is left: keep at least one segment.")
        return self._from_runs(runs_of(kept, self.frame_demonstration))

    def _frame_slice(self, item: AnySegment) -> slice:
        segment = item.segment if isinstance(item, HasSegment) else item
        is_triple = isinstance(segment, tuple | list) and len(segment) == 3
        if not (is_triple and all(hasattr(number, "__index__") for number in segment)):
            raise DemonstrationsError(f"Expected segments or rows of a map, got {item!r}.")
        index, start, stop = segment
        if not (0 <= index < len(self) and 0 <= start <= stop <= self.lengths[index]):
            raise DemonstrationsError(
                f"Segment {tuple(segment)} lies outside the {len(self)} demonstrations: expected "
                f"(demonstration, start, stop) within their lengths {self.lengths.tolist()[:10]}."
            )
        return slice(self.first_frame[index] + start, self.first_frame[index] + stop)

    def _from_runs(self, runs: list[tuple[int, int]]) -> "Demonstrations":
        """Build a demonstration from each run of frames, with the observation after its last."""
        episodes = (self.episode(start, stop) for start, stop in runs)
        arrays = joined_arrays(episodes, source="the selection")
        return Demonstrations(**arrays, meta={**self.meta, "selected_from": self.content_hash})

    def episode(self, start: int, stop: int) -> Episode:
        """Return frames `start` to `stop` of all, which are of one demonstration, as views."""
        index = int(self.frame_demonstration[start])  # each demonstration has one more observation
        is_end = stop == self.first_frame[index] + self.lengths[index]
        return Episode(
            obs=self.obs[start + index : stop + index + 1],
            acts=self.acts[start:stop],
            rews=None if self.rews is None else self.rews[start:stop],
            terminal=None if self.terminal is None else bool(is_end and self.terminal[index]),
            frames=None if self.frames is None else self.frames[start:stop],
        )

    def unpack(self, cache: Path) -> Path:
        """Write the arrays to `<cache>/<hash>/*.npy` for memory mapping; return that folder."""
        folder = cache / self.content_hash.removeprefix("sha256:")
        if folder.exists():
            return folder
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            unfinished = Path(scratch) / "arrays"
            unfinished.mkdir()
            for key, array in self._arrays.items():
                np.save(unfinished / f"{key}.npy", array, allow_pickle=False)
            (unfinished / "meta.json").write_text(json.dumps(dict(self.meta)), encoding="utf-8")
            move_folder(unfinished, folder)
        return folder

    @classmethod
    def open(cls, folder: Path) -> "Demonstrations":
        """Memory-map the arrays that `unpack` wrote."""
        arrays = {
            key: np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
            for key in ARRAY_KEYS
            if (folder / f"{key}.npy").exists()
        }
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        return cls(**arrays, meta=meta)


def memory_mapped(assemble: Callable[[Path], Demonstrations]) -> Demonstrations:
    """Return large demonstrations, memory-mapped from the cache.

    Args:
        assemble: Builds the demonstrations; it may write their arrays to the empty folder that it
            is called with.

    Raises:
        DemonstrationsError: When the disk is full.
    """
    with unpacking() as (cache, scratch):
        return Demonstrations.open(assemble(scratch).unpack(cache))
