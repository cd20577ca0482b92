"""Designs: which segments each mask keeps.

Mask i is a function of the study's seed and i alone, in every process and in any order. Masks are
generated on demand, at most one block at a time. A design caches only the last few blocks.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from r2rise.design.seeds import mask_generator
from r2rise.errors import StudyError
from r2rise.study.choices import DesignName, TrainingSeeds
from r2rise.study.parts import Masking

Mask = NDArray[np.bool_]

BALANCED_BLOCK_SIZE = 64

MIN_DEGREES_OF_FREEDOM = 8
"""Least residual degrees of freedom of a block of pairs: fewer make intervals needlessly wide."""

_CACHED_BLOCKS = 4


class Design(ABC):
    """Draws masks, in blocks.

    Attributes:
        in_pairs: Whether masks 2k and 2k + 1 are complements and only whole blocks are used.
        n_segments: Length of a mask.
        block_size: Masks that share a training seed: mask i belongs to block i // block_size.
    """

    in_pairs: ClassVar[bool] = False

    def __init__(
        self, n_segments: int, block_size: int, seed: int, keep_probability: float
    ) -> None:
        self.n_segments = n_segments
        self.block_size = block_size
        self._seed = seed
        self._keep_probability = keep_probability

    @classmethod
    @abstractmethod
    def default_block_size(
        cls, n_segments: int, budget: int, training_seeds: TrainingSeeds = "block"
    ) -> int:
        """Return the block size for a study that names none."""

    @classmethod  # noqa: B027  (by default every size fits)
    def check_block_size(cls, block_size: int, n_segments: int) -> None:
        """Check a block size that a study names.

        Raises:
            StudyError: When it does not fit the design.
        """

    @abstractmethod
    def mask(self, index: int) -> Mask:
        """Return mask `index`, (n_segments,) bool, True where a segment is kept."""

    def masks(self, indices: NDArray[np.int64]) -> Mask:
        """Return the masks of `indices`, (n_masks, n_segments) bool."""
        rows = [self.mask(int(index)) for index in indices]
        return np.array(rows, dtype=bool).reshape(len(rows), self.n_segments)


class Foldover(Design):
    """Blocks of n masks: the rows of H and -H, where H is a Hadamard matrix of order n/2.

    Segments are random columns of H (never the constant one) with random signs. Main effects are
    orthogonal to each other and to two-factor interactions. Masks 2k and 2k+1 are complements.
    """

    in_pairs = True

    def __init__(
        self, n_segments: int, block_size: int, seed: int, keep_probability: float = 0.5
    ) -> None:
        super().__init__(n_segments, block_size, seed, keep_probability)
        self._columns = functools.lru_cache(maxsize=_CACHED_BLOCKS)(self._draw_columns)

    @classmethod
    def default_block_size(
        cls, n_segments: int, budget: int, training_seeds: TrainingSeeds = "block"
    ) -> int:
        """Return the smallest block; with a seed per pair one that also estimates the noise."""
        paired_size = paired_block_size(n_segments)
        is_paired = training_seeds == "pair" and budget >= paired_size
        return paired_size if is_paired else foldover_block_size(n_segments)

    @classmethod
    def check_block_size(cls, block_size: int, n_segments: int) -> None:
        """Check that the size is a power of two and that half of it exceeds `n_segments`."""
        smallest = foldover_block_size(n_segments)
        if block_size < smallest or block_size & (block_size - 1):
            raise StudyError(
                f"masking.block_size {block_size} does not fit a foldover design of {n_segments} "
                f"segments: expected a power of two of at least {smallest}, or none.",
                field="masking.block_size",
            )

    def _draw_columns(self, block: int) -> tuple[NDArray[np.int64], Mask]:
        generator = mask_generator(self._seed, block)
        order = self.block_size // 2
        columns = 1 + generator.choice(order - 1, size=self.n_segments, replace=False)
        return columns, generator.integers(0, 2, size=self.n_segments).astype(bool)

    def mask(self, index: int) -> Mask:
        """Return mask `index`."""
        mask: Mask = self.masks(np.array([index]))[0]
        return mask

    def masks(self, indices: NDArray[np.int64]) -> Mask:
        """Return the masks of `indices`, (n_masks, n_segments) bool.

        Entry j of a mask is +1 (kept) or -1: the Hadamard (Sylvester) entry
        1 - 2 (popcount(row & column j) & 1), with the sign of the segment and of the complement.
        """
        blocks, positions = np.divmod(indices, self.block_size)
        rows, complements = np.divmod(positions, 2)
        masks = np.zeros((len(indices), self.n_segments), dtype=bool)
        for block in np.unique(blocks):
            in_block = blocks == block
            columns, flipped = self._columns(int(block))
            negative = (np.bitwise_count(rows[in_block, None] & columns) & 1).astype(bool)
            masks[in_block] = negative ^ flipped ^ (complements[in_block, None] == 0)
        return masks


class Balanced(Design):
    """Blocks that keep all segments equally often while the number of kept segments varies.

    Mask i keeps k_i = round(p d +- sqrt(p (1-p) d)) of d segments, with alternating sign. They are
    dealt from consecutive random permutations of the segments. A segment that would be dealt twice
    to one mask goes to the next. A block is dealt as a whole and cached, so that each of its masks
    costs O(n_segments).
    """

    def __init__(
        self, n_segments: int, block_size: int, seed: int, keep_probability: float
    ) -> None:
        super().__init__(n_segments, block_size, seed, keep_probability)
        self._n_kept = balanced_counts(n_segments, keep_probability)
        self._block = functools.lru_cache(maxsize=_CACHED_BLOCKS)(self._deal)

    @classmethod
    def default_block_size(
        cls,
        n_segments: int,
        budget: int,
        training_seeds: TrainingSeeds = "block",  # noqa: ARG003
    ) -> int:
        """Return a block size of full rank if the budget has two such blocks."""
        full_rank = foldover_block_size(n_segments)
        return full_rank if budget >= 2 * full_rank else BALANCED_BLOCK_SIZE

    @classmethod
    def check_block_size(cls, block_size: int, n_segments: int) -> None:  # noqa: ARG003
        """Check that the size is even."""
        if block_size % 2:
            raise StudyError(
                f"masking.block_size {block_size} does not fit a balanced design: expected an "
                f"even number (masks keep more and fewer segments in turn).",
                field="masking.block_size",
            )

    def _deal(self, block: int) -> NDArray[np.bool_]:
        generator = mask_generator(self._seed, block)
        masks = np.zeros((self.block_size, self.n_segments), dtype=bool)
        deck = np.zeros(0, dtype=np.int64)
        for position, mask in enumerate(masks):
            n_kept = self._n_kept[position % 2]
            hand, deck = deck[:n_kept], deck[n_kept:]
            if len(hand) < n_kept:
                new_deck = generator.permutation(self.n_segments)
                in_hand = np.isin(new_deck, hand)
                refill = new_deck[~in_hand][: n_kept - len(hand)]
                hand = np.concatenate([hand, refill])
                deck = new_deck[~np.isin(new_deck, refill)]
            mask[hand] = True
        masks.flags.writeable = False
        return masks

    def mask(self, index: int) -> Mask:
        """Return mask `index`."""
        block, position = divmod(index, self.block_size)
        mask: Mask = self._block(block)[position]
        return mask


class Bernoulli(Design):
    """Independent entries, each kept with the keep probability."""

    @classmethod
    def default_block_size(
        cls,
        n_segments: int,  # noqa: ARG003
        budget: int,  # noqa: ARG003
        training_seeds: TrainingSeeds = "block",  # noqa: ARG003
    ) -> int:
        """Return 1: every mask has its own training seed."""
        return 1

    def mask(self, index: int) -> Mask:
        """Return mask `index`."""
        generator = mask_generator(self._seed, index)
        kept: Mask = generator.random(self.n_segments) < self._keep_probability
        return kept


DESIGNS: dict[DesignName, type[Design]] = {
    "foldover": Foldover,
    "balanced": Balanced,
    "bernoulli": Bernoulli,
}


def make_design(masking: Masking, n_segments: int, seed: int) -> Design:
    """Return the design of a resolved study.

    Raises:
        StudyError: When the design is `auto` or the block size is missing.
    """
    if masking.block_size is None or masking.design == "auto":
        raise StudyError("masking.design or block_size is not filled in: resolve the study first.")
    return DESIGNS[masking.design](n_segments, masking.block_size, seed, masking.keep_probability)


def balanced_counts(n_segments: int, keep_probability: float) -> tuple[int, int]:
    """Return the two alternating numbers of segments that balanced masks keep, 0 if unavoidable."""
    mean = keep_probability * n_segments
    spread = np.sqrt(keep_probability * (1 - keep_probability) * n_segments)
    low, high = (int(np.clip(round(mean + d), 0, n_segments)) for d in (-spread, spread))
    return high, max(low, 1) if high > 1 else low


def foldover_block_size(n_segments: int) -> int:
    """Return the smallest fold-over block: n, with n/2 a power of two above n_segments."""
    return int(2 * 2 ** max(1, n_segments.bit_length()))


def paired_block_size(n_segments: int) -> int:
    """Return the smallest block whose pairs can each have a training seed.

    Each pair gives one difference. One difference per segment is used for the effects, and at least
    8 more must remain to estimate the noise.
    """
    return foldover_block_size(n_segments + MIN_DEGREES_OF_FREEDOM - 1)


def masks_for_intervals(n_segments: int, training_seeds: TrainingSeeds = "block") -> int:
    """Return the fewest masks that compare training seeds: two fold-over blocks or one of pairs."""
    if training_seeds == "pair":
        return paired_block_size(n_segments)
    return 2 * foldover_block_size(n_segments)


def mask_matrix(design: Design, indices: Iterable[int]) -> NDArray[np.bool_]:
    """Return the masks of `indices`, (n_masks, n_segments) bool."""
    return design.masks(np.fromiter(indices, dtype=np.int64))
