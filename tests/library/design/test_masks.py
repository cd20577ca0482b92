"""Designs: their closed-form properties, and that nobody's order of asking matters."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard
from scipy.stats import binomtest

from r2rise import Masking
from r2rise.design.masks import (
    balanced_counts,
    foldover_block_size,
    make_design,
    mask_matrix,
)
from r2rise.design.seeds import episode_seeds, retraining_seeds

ANY_DESIGN = st.builds(
    lambda design, p, d, blocks, seed: (
        Masking(design=design, keep_probability=0.5 if design == "foldover" else p,
                block_size=foldover_block_size(d) if design == "foldover" else blocks),
        d, seed,
    ),
    st.sampled_from(["foldover", "balanced", "bernoulli"]),
    st.sampled_from([0.1, 0.2, 0.5, 0.8]), st.integers(1, 70), st.sampled_from([2, 16, 64]),
    st.integers(0, 2**40),
)  # fmt: skip


@given(ANY_DESIGN)
def test_masks_do_not_depend_on_who_asks_in_what_order(given_design):
    masking, d, seed = given_design
    n = 3 * masking.block_size
    in_order = mask_matrix(make_design(masking, d, seed), range(n))
    order = list(range(n))
    random.Random(seed).shuffle(order)
    shuffled = make_design(masking, d, seed)
    for index in order[:20]:
        assert (shuffled.mask(index) == in_order[index]).all()
    assert in_order.shape == (n, d)
    assert in_order.dtype == bool


@given(st.integers(1, 130), st.integers(0, 1000))
def test_foldover_main_effects_are_orthogonal_and_clear_of_pairs(d, seed):
    n = foldover_block_size(d)
    signs = 2 * mask_matrix(make_design(foldover(n), d, seed), range(n)).astype(int) - 1
    assert (signs.sum(axis=0) == 0).all()
    assert (signs.T @ signs == n * np.eye(d)).all()
    assert (signs[0::2] == -signs[1::2]).all()
    first = signs[:, 0]
    pairs = signs[:, :, None] * signs[:, None, :]
    assert (np.einsum("i,ijk->jk", first, pairs) == 0).all()


def foldover(block_size: int) -> Masking:
    return Masking(design="foldover", block_size=block_size)


def test_foldover_entries_are_those_of_a_hadamard_matrix():
    d, n = 7, 16
    signs = 2 * mask_matrix(make_design(foldover(n), d, 5), range(0, n, 2)).astype(int) - 1
    columns = hadamard(n // 2).T
    for column in signs.T:
        matches = [k for k, own in enumerate(columns) if abs(own @ column) == n // 2]
        assert len(matches) == 1
        assert matches[0] != 0


@pytest.mark.parametrize(("d", "n"), [(1, 4), (3, 8), (4, 16), (50, 128), (63, 128), (64, 256)])
def test_foldover_block_is_the_smallest_that_fits(d, n):
    assert foldover_block_size(d) == n


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.8, 0.93])
@pytest.mark.parametrize("d", [1, 7, 50, 200])
def test_balanced_masks_keep_segments_equally_often_and_numbers_vary(p, d):
    n = 64
    masks = mask_matrix(
        make_design(Masking(design="balanced", keep_probability=p, block_size=n), d, 3),
        range(2 * n),
    )
    counts = balanced_counts(d, p)
    assert masks.sum(axis=1).tolist() == list(counts) * n
    for block in (masks[:n], masks[n:]):
        kept = block.sum(axis=0)
        assert kept.max() - kept.min() <= 1
    if d >= 7:
        assert counts[0] > counts[1]
        assert abs(sum(counts) / 2 - p * d) <= 1
        assert (masks[:n] != masks[n:]).any()


@pytest.mark.parametrize("p", [0.2, 0.8])
def test_bernoulli_entries_are_kept_with_the_keep_probability(p):
    masks = mask_matrix(
        make_design(Masking(design="bernoulli", keep_probability=p, block_size=1), 100, 1),
        range(400),
    )
    assert binomtest(int(masks.sum()), masks.size, p).pvalue > 1e-3
    assert abs(np.corrcoef(masks[:-1].ravel(), masks[1:].ravel())[0, 1]) < 0.02


def test_other_seeds_and_blocks_give_other_masks():
    one, other = (make_design(foldover(128), 50, seed) for seed in (0, 1))
    assert (mask_matrix(one, range(128)) != mask_matrix(other, range(128))).any()
    assert (mask_matrix(one, range(128)) != mask_matrix(one, range(128, 256))).any()


def test_seeds_are_shared_within_a_block_only():
    kinds = ("design", "baseline", "random_policy")
    seeds = {retraining_seeds(7, kind, number) for kind in kinds for number in range(50)}
    assert len(seeds) == 150
    assert len({seed for pair in seeds for seed in pair}) == 300
    assert retraining_seeds(7, "design", 3) == retraining_seeds(7, "design", 3)


def test_more_episodes_extend_the_list_of_seeds():
    assert episode_seeds(5, 4).tolist() == episode_seeds(5, 9)[:4].tolist()
    assert len(set(episode_seeds(5, 1000).tolist())) == 1000


def test_masks_are_made_when_asked_for():
    design = make_design(Masking(design="bernoulli", block_size=1), 2000, 0)
    held = [value for value in vars(design).values() if hasattr(value, "nbytes")]
    assert not held
    assert design.mask(99_999).sum() > 0
