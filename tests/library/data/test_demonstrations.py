import hashlib
import json

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from r2rise import Demonstrations, Masking, Segment
from r2rise.errors import DemonstrationsError


def ragged(lengths=(3, 1, 4), dtype=np.float32) -> Demonstrations:
    n, d = sum(lengths), len(lengths)
    return Demonstrations(
        obs=np.arange((n + d) * 2, dtype=dtype).reshape(n + d, 2),
        acts=np.arange(n),
        lengths=np.array(lengths),
        rews=np.arange(n, dtype=np.float32),
        terminal=np.array([True, False, True][:d]),
        frames=np.zeros((n, 2, 2, 3), np.uint8),
        meta={"environment": "x"},
    )


def test_arrays_are_read_only_and_the_callers_stays_writable():
    acts = np.zeros(3)
    ours = Demonstrations(obs=np.zeros((4, 1)), acts=acts, lengths=np.array([3]))
    with pytest.raises(ValueError, match="read-only"):
        ours.acts[0] = 1
    acts[0] = 1


def test_transitions_of_kept_frames():
    kept = np.array([1, 0, 1, 1, 0, 1, 0, 1], bool)
    found = ragged().transitions(kept)
    assert found.frame.tolist() == [0, 2, 3, 5, 7]
    assert (len(found), found.n_frames_in_all) == (5, 8)
    assert found.demonstration.tolist() == [0, 0, 1, 2, 2]
    assert found.time.tolist() == [0, 2, 0, 1, 3]
    assert found.acts.tolist() == [0, 2, 3, 5, 7]
    # demonstration i has one observation more: rows 0-3, 4-5, 6-10
    assert (found.obs[:, 0] / 2).tolist() == [0, 2, 4, 7, 9]
    assert (found.next_obs[:, 0] / 2).tolist() == [1, 3, 5, 8, 10]
    assert found.terminal.tolist() == [False, True, False, False, True]


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(1, 8),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_trainable_frames_show_no_masked_one(lengths, frame_stack, next_obs, random):
    numbers = [(demo, time) for demo, length in enumerate(lengths) for time in range(length)]
    kept = {number: random.random() < 0.7 for number in numbers}
    ours = Demonstrations(
        obs=np.zeros((len(numbers) + len(lengths), 1)),
        acts=np.zeros(len(numbers)),
        lengths=np.array(lengths),
    )

    def shows(demo, time):
        last = time + 1 if next_obs else time
        return [(demo, t) for t in range(time - frame_stack + 1, last + 1)]

    want = [all(kept.get(frame, True) for frame in shows(*number)) for number in numbers]
    masks = np.array([list(kept.values()), [True] * len(numbers)])
    found = ours.trainable(masks, frame_stack=frame_stack, next_obs=next_obs)
    assert found.tolist() == [want, [True] * len(numbers)]


def test_without_terminal_nothing_is_terminal():
    ours = Demonstrations(obs=np.zeros((4, 1)), acts=np.zeros(3), lengths=np.array([3]))
    assert not ours.transitions(np.ones(3, bool)).terminal.any()


def test_content_hash_is_of_key_dtype_shape_bytes_and_meta():
    ours = ragged()
    digest = hashlib.sha256()
    for key in ("obs", "acts", "lengths", "rews", "terminal", "frames"):
        array = getattr(ours, key)
        digest.update(f"{key}|{array.dtype.str}|{array.shape}|".encode() + array.tobytes())
    digest.update(b"meta|" + json.dumps({"environment": "x"}).encode())
    assert ours.content_hash == "sha256:" + digest.hexdigest()
    assert ragged(dtype=np.float64).content_hash != ours.content_hash


def test_content_hash_does_not_depend_on_memory_order():
    ours = ragged()
    fortran = Demonstrations(
        obs=np.asfortranarray(ours.obs),
        acts=ours.acts,
        lengths=ours.lengths,
        rews=ours.rews,
        terminal=ours.terminal,
        frames=ours.frames,
        meta=ours.meta,
    )
    assert fortran.content_hash == ours.content_hash


def test_saved_and_loaded_are_equal(tmp_path):
    ours = ragged()
    ours.save(tmp_path / "a.npz")
    again = Demonstrations.load(tmp_path / "a.npz")
    assert again.content_hash == ours.content_hash
    assert again.meta == {"environment": "x"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_large_files_are_memory_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr("r2rise.data.demonstrations.MEMORY_MAP_BYTES", 10)
    ours = ragged()
    ours.save(tmp_path / "a.npz")
    again = Demonstrations.load(tmp_path / "a.npz")
    assert isinstance(again.obs.base, np.memmap)
    assert again.content_hash == ours.content_hash


def test_unpacked_arrays_open_again(tmp_path):
    ours = ragged()
    folder = ours.unpack(tmp_path)
    assert folder == ours.unpack(tmp_path) == tmp_path / ours.content_hash[7:]
    assert Demonstrations.open(folder).content_hash == ours.content_hash
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_select_splits_where_frames_were_cut_out():
    left = ragged().select(drop=[Segment(0, 1, 2), Segment(1, 0, 1)])
    assert left.lengths.tolist() == [1, 1, 4]
    assert left.acts.tolist() == [0, 2, 4, 5, 6, 7]
    assert (left.obs[:, 0] / 2).tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 10]
    assert left.terminal.tolist() == [False, True, True]
    assert left.rews.tolist() == [0, 2, 4, 5, 6, 7]
    assert left.meta["selected_from"] == ragged().content_hash


def test_select_keep_and_drop_name_the_same_frames():
    ours = toys.demonstrations()
    segments = list(ours.segments(Masking(segment_length=7)))
    kept = ours.select(keep=segments[:3])
    assert kept.acts.tolist() == ours.select(drop=segments[3:]).acts.tolist()


@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.data())
def test_selected_transitions_are_those_of_the_original(lengths, data):
    n, d = sum(lengths), len(lengths)
    ours = Demonstrations(
        obs=np.arange(n + d),
        acts=np.arange(n),
        lengths=np.array(lengths),
        terminal=np.ones(d, bool),
    )
    segments = list(ours.segments(Masking(segment_length=3)))
    dropped = data.draw(st.sets(st.sampled_from(segments), max_size=len(segments) - 1))
    kept = np.ones(n, bool)
    for number, start, stop in dropped:
        kept[ours.first_frame[number] + start : ours.first_frame[number] + stop] = False
    left = ours.select(drop=dropped)
    want = ours.transitions(kept)
    got = left.transitions(np.ones(left.n_frames, bool))
    for name in ("obs", "acts", "next_obs", "terminal"):
        assert getattr(got, name).tolist() == getattr(want, name).tolist()


@pytest.mark.parametrize(
    ("segment", "keep"), [((9, 0, 1), False), ((0, 0, 99), False), ((0, 0, 0), True)]
)
def test_select_refuses_what_is_not_there(segment, keep):
    with pytest.raises(DemonstrationsError):
        ragged().select(**{"keep" if keep else "drop": [Segment(*segment)]})
