import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r2rise import Masking, Segment, Segments
from r2rise.data.segments import read_boundaries
from r2rise.errors import StudyError


def test_the_last_segment_of_a_demonstration_may_be_shorter():
    segments = Segments.of(np.array([25, 10]), Masking(segment_length=10))
    assert list(segments) == [(0, 0, 10), (0, 10, 20), (0, 20, 25), (1, 0, 10)]
    assert segments.n_frames.tolist() == [10, 10, 5, 10]


def test_whole_demonstrations():
    assert list(Segments.of(np.array([25, 10]), Masking(segment_length="all"))) == [
        Segment(0, 0, 25),
        Segment(1, 0, 10),
    ]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 50))
def test_every_frame_is_in_exactly_one_segment(lengths, length):
    segments = Segments.of(np.array(lengths), Masking(segment_length=length))
    frames = [(d, t) for d, start, stop in segments for t in range(start, stop)]
    assert frames == [(d, t) for d, n in enumerate(lengths) for t in range(n)]
    mask = np.arange(len(segments)) % 2 == 0
    kept = segments.frames(mask)
    assert kept.tolist() == [mask[i] for i, s in enumerate(segments) for _ in range(s[1], s[2])]


def test_own_boundaries_from_a_csv_file(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("stop,start,demonstration,note\n3,0,0,a\n9,3,0,b\n4,0,1,c\n")
    masking = Masking(segment_length=None, boundaries=read_boundaries(path))
    assert list(Segments.of(np.array([9, 4]), masking)) == [(0, 0, 3), (0, 3, 9), (1, 0, 4)]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("0,0,3\n0,4,9\n", "line 3: expected a segment of demonstration 0 that starts at frame 3"),
        ("0,1,3\n", "starts at frame 0"),
        ("0,0,3\n0,2,9\n", "neither overlap nor leave gaps"),
        ("0,0,0\n", "not empty"),
        ("0,0,x\n", "whole-numbered columns"),
        ("0,0\n", "whole-numbered columns"),
    ],
)
def test_refused_boundaries(rows, reason, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("demonstration,start,stop\n" + rows)
    with pytest.raises(StudyError, match=reason):
        read_boundaries(path)


@pytest.mark.parametrize("starts", [((0, 3),), ((0, 12), (0,)), ((1,), (0,)), ((0, 5, 5), (0,))])
def test_boundaries_must_fit_the_demonstrations(starts):
    with pytest.raises(StudyError, match="boundaries"):
        Segments.of(np.array([9, 4]), Masking(segment_length=None, boundaries=starts))
