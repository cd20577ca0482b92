import io
import struct
import zipfile

import numpy as np
import pytest
import toys

import r2rise
from r2rise_service.storage.files import DatasetFiles, TooLarge
from r2rise_service.storage.inspect_upload import BadUpload, UploadInfo, inspect

MEBIBYTE = 2**20
HASH = "sha256:" + "ab" * 32


@pytest.fixture
def files(tmp_path):
    return DatasetFiles(tmp_path / "data" / "datasets")


@pytest.fixture
def folder(tmp_path, files):
    return tmp_path / "data" / "datasets"


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def stored(files, arrays):
    """The path of an uploaded npz of these arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return files.receive([buffer.getvalue()], 64 * MEBIBYTE)


def plain_arrays(**changes):
    arrays = {
        "obs": np.zeros((12, 3), np.float32),
        "acts": np.zeros((10, 2), np.float32),
        "lengths": np.array([4, 6]),
    }
    return arrays | changes


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_claiming(shape):
    """A .npy file of 8 bytes whose header claims a shape."""
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + bytes(8)


def test_a_file_is_received_kept_found_and_removed(files, folder):
    path = files.receive(iter([b"one", b"", b"two"]), 6)
    assert path.read_bytes() == b"onetwo"
    kept = files.keep(path, HASH)
    assert kept == files.path(HASH) == folder / f"{'ab' * 32}.npz"
    assert kept.read_bytes() == b"onetwo"
    assert everything(folder) == [kept.name]
    files.remove(HASH)
    files.remove(HASH)
    assert everything(folder) == []


def test_a_file_of_equal_content_stays(files, folder):
    files.keep(files.receive([b"first"], 100), HASH)
    kept = files.keep(files.receive([b"again"], 100), HASH)
    assert kept.read_bytes() == b"first"
    assert everything(folder) == [kept.name]


def test_too_large_an_upload_is_refused_and_leaves_nothing(files, folder):
    given = []

    def chunks():
        for _ in range(100):
            given.append(1)
            yield b"12345"

    with pytest.raises(TooLarge, match="at most 12 bytes"):
        files.receive(chunks(), 12)
    assert len(given) == 3
    assert everything(folder) == []


def test_an_upload_that_breaks_off_leaves_nothing(files, folder):
    def chunks():
        yield b"some"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        files.receive(chunks(), 100)
    assert everything(folder) == []


def test_leftovers_of_a_crash_are_removed(files, folder):
    kept = files.keep(files.receive([b"good"], 100), HASH)
    files.receive([b"nobody kept this"], 100)
    (folder / ".incoming.dir").mkdir()
    (folder / ".incoming.dir" / "obs.npy").write_bytes(b"x")
    DatasetFiles(folder)
    assert everything(folder) == [kept.name]


@pytest.mark.parametrize(
    "name", ["", "ab" * 32, "sha256:../../etc/passwd", HASH + "\n", HASH.upper(), HASH[:-1]]
)
def test_only_hashes_name_files(files, name):
    for use in (files.path, files.remove, lambda n: files.keep(files.receive([b"x"], 9), n)):
        with pytest.raises(ValueError, match="Expected sha256"):
            use(name)


def test_facts_are_those_of_the_library(files, folder, tmp_path):
    demonstrations = toys.demonstrations(3, 7)
    demonstrations.save(tmp_path / "d.npz")
    path = files.receive([(tmp_path / "d.npz").read_bytes()], MEBIBYTE)
    facts = inspect(path, max_array_bytes=MEBIBYTE)
    assert facts == UploadInfo(demonstrations.content_hash, (7, 7, 7), (1,), (1,))
    kept = files.keep(path, facts.sha256)
    assert r2rise.Demonstrations.load(kept).content_hash == facts.sha256
    assert everything(folder) == [kept.name]


@pytest.mark.slow
def test_large_arrays_are_unpacked_and_leave_nothing(files, folder):
    n = 300 * MEBIBYTE // 8  # more than the library keeps in memory
    path = stored(
        files,
        {"obs": np.zeros((n + 1, 2), np.float32), "acts": np.zeros(n, np.int8), "lengths": [n]},
    )
    facts = inspect(path, max_array_bytes=512 * MEBIBYTE)
    assert (facts.lengths, facts.obs_shape, facts.act_shape) == ((n,), (2,), ())
    assert everything(folder) == [path.name]


LIES = {  # name of the case: members of the zip, what the answer must say
    "pickled objects": (
        {"obs.npy": npy(np.array([{}, []], dtype=object))},
        "Python objects, which are never unpickled",
    ),
    "claims tebibytes": ({"obs.npy": npy_claiming((2**40,))}, "claims"),
    "negative shape": ({"obs.npy": npy_claiming((-1, -1))}, "claims the shape \\(-1, -1\\)"),
    "not an array": ({"obs.npy": b"no array at all"}, "obs is not a NumPy array"),
    "outside": ({"../evil.npy": npy(np.zeros(3)), "/tmp/evil.npy": npy(np.zeros(3))}, "lacks obs"),
    "nothing": ({}, "lacks obs, acts, lengths"),
    "dict": ({"obs.camera.npy": npy(np.zeros(3))}, "camera"),
}


@pytest.mark.parametrize("case", LIES)
def test_hostile_archives_are_refused(files, folder, case):
    members, words = LIES[case]
    rest = {"acts.npy": npy(np.zeros((10, 2))), "lengths.npy": npy(np.array([4, 6]))}
    complete = members if case in {"outside", "nothing"} else rest | members
    path = files.receive([zipped(complete)], MEBIBYTE)
    with pytest.raises(BadUpload, match=words) as refused:
        inspect(path, max_array_bytes=MEBIBYTE)
    assert str(path) not in str(refused.value)
    path.unlink()
    assert everything(folder.parent) == ["datasets"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"obs": np.zeros((11, 3))}, "obs"),
        ({"lengths": np.array([4, 7])}, "lengths"),
        ({"lengths": np.array([-1, 11])}, "demonstration 0 has length -1"),
        ({"obs": np.full((12, 3), np.nan)}, "NaN or infinite"),
        ({"acts": np.full((10, 2), np.inf)}, "NaN or infinite"),
        ({"meta": np.array("no json")}, "meta"),
    ],
)
def test_wrong_arrays_are_refused_in_the_words_of_the_library(files, folder, changes, words):
    path = stored(files, plain_arrays(**changes))
    with pytest.raises(r2rise.errors.DemonstrationsError) as own:
        r2rise.Demonstrations.load(path)
    with pytest.raises(BadUpload, match=words) as refused:
        inspect(path, max_array_bytes=MEBIBYTE)
    assert str(refused.value) == str(own.value).replace(str(path), "The file")
    assert everything(folder) == [path.name]


def test_a_bomb_is_refused_before_it_is_read(files, folder):
    path = stored(files, plain_arrays(obs=np.zeros((50 * MEBIBYTE // 4, 1), np.float32)))
    assert path.stat().st_size < MEBIBYTE
    with pytest.raises(BadUpload, match="are 52429280 bytes in all, expected at most 1048576"):
        inspect(path, max_array_bytes=MEBIBYTE)
    assert everything(folder) == [path.name]


def test_a_zip_that_understates_its_size_is_refused(files):
    content = bytearray(zipped({f"{k}.npy": npy(v) for k, v in plain_arrays().items()}))
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 140)  # the uncompressed size of obs
    path = files.receive([bytes(content)], MEBIBYTE)
    with pytest.raises(BadUpload, match="Bad CRC-32 for file 'obs.npy'"):
        inspect(path, max_array_bytes=MEBIBYTE)


@pytest.mark.parametrize("n_bytes", [0, 10, 300, -30])
def test_truncated_files_are_refused(files, n_bytes):
    whole = zipped({f"{k}.npy": npy(v) for k, v in plain_arrays().items()})
    path = files.receive([whole[:n_bytes]], MEBIBYTE)
    with pytest.raises(BadUpload, match="The file is not a whole .npz file"):
        inspect(path, max_array_bytes=MEBIBYTE)


def test_damaged_data_are_refused(files):
    noise = np.random.default_rng(0).normal(size=(12, 300))
    content = bytearray(zipped({f"{k}.npy": npy(v) for k, v in plain_arrays(obs=noise).items()}))
    content[2000:2100] = bytes(100)
    path = files.receive([bytes(content)], MEBIBYTE)
    with pytest.raises(BadUpload):
        inspect(path, max_array_bytes=MEBIBYTE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"seconds": 0.01}, "within 0.01 s"),
        ({"max_memory": MEBIBYTE}, "too much memory|could not be read: the process"),
        ({"max_memory": 320 * MEBIBYTE}, "ended with status 1, perhaps for lack of memory"),
    ],
)
def test_a_child_that_needs_too_much_is_ended(files, folder, limits, words):
    n = 25 * MEBIBYTE
    arrays = {"obs": np.zeros((n + 1, 10), np.int8), "acts": np.zeros(n, np.int8), "lengths": [n]}
    path = stored(files, arrays)
    with pytest.raises(BadUpload, match=words) as refused:
        inspect(path, max_array_bytes=2048 * MEBIBYTE, **limits)
    assert str(folder) not in str(refused.value)
    assert everything(folder) == [path.name]


def test_too_many_demonstrations_are_refused(files):
    n = 100_001
    arrays = {"obs": np.zeros(2 * n), "acts": np.zeros(n), "lengths": np.ones(n, np.int64)}
    with pytest.raises(BadUpload, match="holds 100001 demonstrations, expected at most 100000"):
        inspect(stored(files, arrays), max_array_bytes=64 * MEBIBYTE)
