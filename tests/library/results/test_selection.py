"""Which segments are kept: rankings, and random ones that resemble them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import DATA
from scipy import stats

from r2rise import ImportanceMap, Masking, Segments
from r2rise.results.selection import Ranking, matched_random

GOLDEN = ImportanceMap.load(DATA / "importance_map-1.0.json")
NAN = float("nan")


def ranking(*importance: float) -> Ranking:
    return Ranking(GOLDEN.model_copy(update={"importance": np.array(importance)}))


def segments(*lengths: int, length: int = 10) -> Segments:
    return Segments.of(np.array(lengths), Masking(segment_length=length))


def only(n: int, *kept: int) -> np.ndarray:
    return np.isin(np.arange(n), kept)


def test_top_bottom_and_all_leave_out_what_was_not_estimated():
    values = ranking(2.0, NAN, -1.0, 5.0, NAN, 0.0)
    assert len(values) == 4
    assert values.order.tolist() == [3, 0, 5, 2]
    assert np.flatnonzero(values.top(1)).tolist() == [3]
    assert np.flatnonzero(values.top(3)).tolist() == [0, 3, 5]
    assert np.flatnonzero(values.bottom(1)).tolist() == [2]
    assert np.flatnonzero(values.bottom(3)).tolist() == [0, 2, 5]
    assert np.flatnonzero(values.all()).tolist() == [0, 2, 3, 5]
    assert not values.top(0).any()
    assert not values.bottom(0).any()


def test_equal_values_are_ranked_as_they_come():
    assert ranking(1.0, 2.0, 1.0, 2.0).order.tolist() == [1, 3, 0, 2]


def test_nothing_estimated():
    nothing = ranking(NAN, NAN)
    assert len(nothing) == 0
    assert not nothing.all().any()


@given(st.lists(st.one_of(st.floats(-9, 9), st.just(NAN)), min_size=1, max_size=20), st.data())
def test_top_and_bottom_are_the_extremes(values, data):
    found = ranking(*values)
    k = data.draw(st.integers(0, len(found)))
    importance, known = np.array(values), np.isfinite(values)
    for kept, sign in ((found.top(k), 1), (found.bottom(k), -1)):
        assert kept.sum() == k
        assert not (kept & ~known).any()
        rest = known & ~kept
        if k and rest.any():
            assert (sign * importance[kept]).min() >= (sign * importance[rest]).max()
    assert (found.top(k) ^ found.bottom(len(found) - k)).sum() == len(found)


@given(
    st.lists(st.integers(10, 60), min_size=1, max_size=4),
    st.integers(5, 20),
    st.integers(0, 2**31),
    st.data(),
)
def test_random_ones_resemble_what_they_are_compared_with(lengths, length, seed, data):
    cut = segments(*lengths, length=length)
    known = np.array(data.draw(st.lists(st.booleans(), min_size=len(cut), max_size=len(cut))))
    mask = known & np.array(
        data.draw(st.lists(st.booleans(), min_size=len(cut), max_size=len(cut)))
    )
    drawn = matched_random(mask, known, cut, np.random.default_rng(seed))
    assert drawn.sum() == mask.sum()
    assert not (drawn & ~known).any()
    owner = cut.demonstration
    assert len(np.unique(owner[drawn])) == len(np.unique(owner[mask]))


RAGGED = segments(25, 25, 35)  # 10 10 5, 10 10 5, 10 10 10 5


@pytest.mark.parametrize("kept", [(0,), (2,), (0, 2), (2, 5), (0, 3, 9), (2, 3, 8), (0, 1, 2, 6)])
def test_frames_match_where_a_ragged_end_is_among_them(kept):
    mask, everything = only(10, *kept), np.ones(10, bool)
    for seed in range(50):
        drawn = matched_random(mask, everything, RAGGED, np.random.default_rng(seed))
        assert RAGGED.n_frames[drawn].sum() == RAGGED.n_frames[mask].sum()
        assert drawn.sum() == len(kept)
        owners = RAGGED.demonstration
        assert len(np.unique(owners[drawn])) == len(np.unique(owners[mask]))


def test_where_no_other_fits_the_frames_it_is_itself_or_the_closest():
    cut = segments(13, 40)  # 10 3, 10 10 10 10
    mask = only(6, 0, 1)
    for seed in range(20):
        drawn = matched_random(mask, np.ones(6, bool), cut, np.random.default_rng(seed))
        # of one demonstration, 13 frames
        assert np.flatnonzero(drawn).tolist() == [0, 1]
    without = only(6, 0, 2, 3, 4, 5)
    drawn = matched_random(only(6, 2, 3), without, cut, np.random.default_rng(0))
    # the first demonstration has one known segment only: two of it cannot be drawn
    assert not drawn[:2].any()


def test_every_segment_has_its_turn_where_all_are_alike():
    """2 of 6 segments of one demonstration: each of the 15 pairs equally often."""
    cut, generator = segments(60), np.random.default_rng(0)
    counts = dict.fromkeys(combinations(range(6), 2), 0)
    for _ in range(3000):
        drawn = matched_random(only(6, 0, 1), np.ones(6, bool), cut, generator)
        counts[tuple(np.flatnonzero(drawn).tolist())] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_demonstrations_have_their_turn_too():
    """One segment of each of 2 of 3 demonstrations with 2 each: 3 pairs of them, 4 pairs each."""
    cut, generator = segments(20, 20, 20), np.random.default_rng(1)
    pairs = [(i, j) for i, j in combinations(range(6), 2) if i // 2 != j // 2]
    counts = dict.fromkeys(pairs, 0)
    for _ in range(3000):
        drawn = matched_random(only(6, 0, 2), np.ones(6, bool), cut, generator)
        counts[tuple(np.flatnonzero(drawn).tolist())] += 1
    assert len(pairs) == 12
    assert stats.chisquare(list(counts.values())).pvalue > 0.001
