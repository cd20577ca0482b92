"""Every refusal of the demonstrations file."""

import contextlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r2rise import Demonstrations
from r2rise.errors import DemonstrationsError


def arrays(**changes) -> dict[str, np.ndarray]:
    good = {
        "obs": np.zeros((12, 3), np.float32),
        "acts": np.zeros(10, np.int64),
        "lengths": np.array([4, 6]),
    }
    return {k: v for k, v in (good | changes).items() if v is not None}


BAD = {
    "missing key": (arrays(acts=None), "lacks acts"),
    "objects": (arrays(acts=np.array([{}] * 10, object)), "Python objects"),
    "sum of lengths": (arrays(lengths=np.array([4, 5])), "obs should have 11 rows"),
    "no final observation": (arrays(obs=np.zeros((10, 3))), "obs should have 12 rows"),
    "too few actions": (arrays(obs=np.zeros((12, 3)), acts=np.zeros(9)), "acts should have 10"),
    "NaN": (arrays(obs=np.full((12, 3), np.nan)), "obs holds NaN or infinite .* row 0"),
    "infinite action": (arrays(acts=np.array([0.0] * 9 + [np.inf])), "acts holds NaN .* row 9"),
    "lengths of no demonstration": (arrays(lengths=np.zeros(0, int)), "at least one"),
    "an empty demonstration": (arrays(lengths=np.array([10, 0])), "at least 1 frame"),
    "lengths not whole": (arrays(lengths=np.array([4.0, 6.0])), "whole numbers"),
    "text": (arrays(acts=np.array(["a"] * 10)), "should hold numbers"),
    "rewards of another size": (arrays(rews=np.zeros(3)), "rews should have 10 rows"),
    "rewards of another shape": (arrays(rews=np.zeros((10, 2))), "rews should be"),
    "terminal not bool": (arrays(terminal=np.zeros(2)), "terminal should be"),
    "pictures of another shape": (arrays(frames=np.zeros((10, 4, 4), np.uint8)), "frames should"),
    "meta not JSON": (arrays(meta=np.array("{")), "meta should be"),
    "meta not an object": (arrays(meta=np.array("[1]")), "meta should be"),
    "dict observations": (
        arrays(obs=None, **{"obs.a": np.zeros((12, 1)), "obs.b": np.zeros((12, 2))}),
        r"dict observations \(a, b\): name those to concatenate with obs_keys",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refused_with_the_exact_reason(name, tmp_path):
    contents, reason = BAD[name]
    np.savez(tmp_path / "bad.npz", **contents)
    with pytest.raises(DemonstrationsError, match=reason):
        Demonstrations.load(tmp_path / "bad.npz")


def test_dict_observations_are_concatenated_in_the_order_asked_for(tmp_path):
    parts = {"obs.a": np.full((12, 1), 1.0), "obs.b": np.full((12, 2), 2.0)}
    np.savez(tmp_path / "a.npz", **arrays(obs=None, **parts))
    ours = Demonstrations.load(tmp_path / "a.npz", obs_keys=("b", "a"))
    assert ours.obs[0].tolist() == [2.0, 2.0, 1.0]
    with pytest.raises(DemonstrationsError, match="no observation 'c'"):
        Demonstrations.load(tmp_path / "a.npz", obs_keys=("c",))


def test_keys_of_large_dict_observations_may_have_slashes(tmp_path, monkeypatch):
    obs = np.arange(10.0).reshape(5, 2)
    np.savez(tmp_path / "a.npz", **{"obs.a/b": obs, "acts": np.zeros(4), "lengths": [4]})
    monkeypatch.setattr("r2rise.data.demonstrations.MEMORY_MAP_BYTES", 0)
    found = Demonstrations.load(tmp_path / "a.npz", obs_keys=("a/b",))
    np.testing.assert_array_equal(found.obs, obs)


def test_a_header_that_claims_too_much_is_refused_before_reading(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        for name in ("obs", "acts", "lengths"):
            archive.writestr(f"{name}.npy", header.getvalue())
    with pytest.raises(DemonstrationsError, match="claims 8000000000000 bytes"):
        Demonstrations.load(tmp_path / "bomb.npz")


@given(st.binary(max_size=200))
def test_no_bytes_give_anything_but_a_demonstrations_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "any.npz"
    path.write_bytes(content)
    with pytest.raises(DemonstrationsError):
        Demonstrations.load(path)


@settings(max_examples=400)
@given(st.data())
def test_damaged_files_give_a_demonstrations_error_or_the_same_arrays(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "a.npz"
    np.savez(path, **arrays())
    whole = Demonstrations.load(path).content_hash
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with contextlib.suppress(DemonstrationsError):
        assert Demonstrations.load(path).content_hash == whole


def test_a_header_of_negative_sizes_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (-1, -8)}
    )
    with zipfile.ZipFile(tmp_path / "lies.npz", "w") as archive:
        for name in ("obs", "acts", "lengths"):
            archive.writestr(f"{name}.npy", header.getvalue() + bytes(64))
    with pytest.raises(DemonstrationsError, match="claims the shape"):
        Demonstrations.load(tmp_path / "lies.npz")
