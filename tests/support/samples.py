"""Masks and returns that were drawn from a known model."""

import numpy as np

from r2rise import Masking
from r2rise.design.masks import make_design, mask_matrix
from r2rise.statistics.estimators import MaskedReturns


def sample_of(masks, returns, block=None, frames=None) -> MaskedReturns:
    masks = np.asarray(masks, dtype=bool)
    n, d = masks.shape
    return MaskedReturns(
        packed_masks=np.packbits(masks, axis=1),
        returns=np.asarray(returns, dtype=float),
        block=np.zeros(n, int) if block is None else np.asarray(block),
        n_frames=np.full(d, 10) if frames is None else np.asarray(frames),
    )


def drawn(design="bernoulli", p=0.5, d=6, n_blocks=2, n=32, seed=0, frames=None):
    masking = Masking(design=design, keep_probability=p, block_size=n)
    masks = mask_matrix(make_design(masking, d, seed), range(n_blocks * n))
    generator = np.random.default_rng(seed)
    returns = 50 + masks @ generator.normal(size=d) * 3 + generator.normal(size=len(masks))
    return masks, returns, sample_of(masks, returns, np.repeat(np.arange(n_blocks), n), frames)
