"""Hostile and broken uploads, and the page that shows what they get.

    python tests/support/hostile_uploads.py

writes `docs/uploads.md`.
"""

import io
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx2
import numpy as np
import psutil
from places import ROOT
from servers import ONE, Server

PAGE = ROOT / "docs" / "uploads.md"
MEBIBYTE = 2**20
LIMITS = {
    "R2RISE_MAX_UPLOAD_BYTES": str(4 * MEBIBYTE),
    "R2RISE_MAX_ARRAY_BYTES": str(64 * MEBIBYTE),
}
BOUNDARY = "b0undary"


class Upload(NamedTuple):
    """A wrong upload, the status and code it gets, and a part of the text."""

    what: str
    status: int
    code: str
    text: str
    body: Callable[[], bytes]
    headers: dict[str, str] = {}


def arrays(**changes) -> dict[str, np.ndarray]:
    good = {
        "obs": np.zeros((12, 3), np.float32),
        "acts": np.zeros((10, 2), np.float32),
        "lengths": np.array([4, 6]),
    }
    return {name: array for name, array in (good | changes).items() if array is not None}


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def claiming(shape, descr="<f8") -> bytes:
    """A .npy file of 8 bytes whose header claims something else."""
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(8)


def header_text(text: str) -> bytes:
    """A .npy file with any text as its header."""
    padded = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def members(**changes) -> dict[str, bytes]:
    return {f"{name}.npy": npy(array) for name, array in arrays().items()} | changes


def npz(**changes) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays(**changes))
    return file.getvalue()


def overlapping() -> bytes:
    """A zip whose directory names the same large member a thousand times."""
    one = zipped({"obs.npy": npy(np.zeros(8 * MEBIBYTE, np.int8))})
    start = one.index(b"PK\x01\x02")
    entry = one[start : one.index(b"PK\x05\x06")]
    n, directory = 1000, entry * 1000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, n, n, len(directory), start, 0)
    return one[:start] + directory + end


def understated() -> bytes:
    content = bytearray(zipped(members()))
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 140)
    return bytes(content)


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("obs.npy"))
    return file.getvalue()


def part(name: str, content: bytes, filename: str | None = "demos.npz") -> bytes:
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def file(content: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: part("file", content()) + END


def with_metadata(text: str) -> Callable[[], bytes]:
    return lambda: part("metadata", text.encode(), None) + part("file", npz()) + END


def bad(what: str, text: str, content: Callable[[], bytes]) -> Upload:
    """A file that cannot be used."""
    return Upload(what, 422, "bad-demonstrations", text, file(content))


def plain(kind: str) -> dict[str, str]:
    return {"Content-Type": kind}


N = 100_001
TABLE = [
    bad("an empty file", "not a whole .npz", lambda: b""),
    bad("a text file", "not a whole .npz", lambda: b"no demonstrations\n" * 100),
    bad("an HTML page", "not a whole .npz", lambda: b"<!doctype html><title>404</title>"),
    bad("a tar archive", "not a whole .npz", tar),
    bad("a truncated zip", "not a whole .npz", lambda: npz()[:300]),
    bad("an empty zip", "lacks obs, acts, lengths", lambda: zipped({})),
    bad("a zip inside a zip", "lacks obs", lambda: zipped({"a.zip": zipped(members())})),
    bad("a zip bomb: 400 MiB of zeros in 400 KiB", "bytes in all, expected at most 67108864",
        lambda: zipped(members(**{"obs.npy": npy(np.zeros(400 * MEBIBYTE, np.int8))}))),
    bad("a zip bomb inside a zip", "lacks obs",
        lambda: zipped({"a.zip": zipped({"b.npy": bytes(32 * MEBIBYTE)})})),
    bad("a zip bomb with overlapping members", "bytes in all", overlapping),
    bad("a zip with 20 000 members", "not a NumPy array",
        lambda: zipped({f"{i}.npy": b"" for i in range(20_000)})),
    bad("a member larger than its stated size", "", understated),
    bad("duplicate member names", "", lambda: zipped(members()) + zipped({"obs.npy": npy([1])})),
    bad("parent directories in names: ../obs.npy", "lacks obs",
        lambda: zipped({f"../{k}": v for k, v in members().items()})),
    bad("absolute paths as names: /tmp/obs.npy", "lacks obs",
        lambda: zipped({f"/tmp/{k}": v for k, v in members().items()})),
    bad("drive letters in names: C:\\obs.npy", "lacks obs",
        lambda: zipped({f"C:\\{k}": v for k, v in members().items()})),
    bad("pickled objects", "never unpickled", lambda: npz(obs=np.array([{}] * 12, dtype=object))),
    bad("a header that claims tebibytes", "claims",
        lambda: zipped(members(**{"obs.npy": claiming((2**40,))}))),
    bad("a header that claims 2^200 numbers", "claims",
        lambda: zipped(members(**{"obs.npy": claiming((2**100, 2**100))}))),
    bad("a negative shape", "claims the shape",
        lambda: zipped(members(**{"obs.npy": claiming((-1, -1))}))),
    bad("65 dimensions", "", lambda: zipped(members(**{"obs.npy": claiming((1,) * 65)}))),
    bad("a header that contains code", "not a NumPy array",
        lambda: zipped(members(**{"obs.npy": header_text("__import__('os').getpid()")}))),
    bad("a deeply nested header", "",
        lambda: zipped(members(**{"obs.npy": header_text("(" * 9000)}))),
    bad("an unknown version of .npy", "not a NumPy array",
        lambda: zipped(members(**{"obs.npy": b"\x93NUMPY\x09\x00" + bytes(100)}))),
    bad("a structured dtype", "should hold numbers",
        lambda: npz(obs=np.zeros(12, dtype=[("a", "f4"), ("b", "i4")]))),
    bad("a text dtype", "should hold numbers", lambda: npz(obs=np.full((12, 3), "x"))),
    bad("a datetime dtype", "should hold numbers", lambda: npz(obs=np.zeros((12, 3), "M8[s]"))),
    bad("a dtype of zero bytes", "", lambda: npz(obs=np.zeros((12, 3), "V0"))),
    bad("complex numbers", "should hold numbers", lambda: npz(obs=np.zeros((12, 3), complex))),
    bad("a missing array", "lacks acts", lambda: npz(acts=None)),
    bad("lengths that do not add up", "Check that lengths sums", lambda: npz(lengths=[4, 7])),
    bad("lengths that overflow", "", lambda: npz(lengths=np.array([2**62, 2**62, 2**62]))),
    bad("lengths whose sum wraps around to zero", "rows",
        lambda: npz(obs=np.zeros((4, 3)), acts=np.zeros((0, 2)), lengths=[2**62] * 4)),
    bad("negative lengths", "has length -1", lambda: npz(lengths=[-1, 11])),
    bad("a demonstration without frames", "at least 1 frame", lambda: npz(lengths=[10, 0])),
    bad("100 001 demonstrations", "expected at most 100000",
        lambda: npz(obs=np.zeros(2 * N), acts=np.zeros(N), lengths=np.ones(N, np.int64))),
    bad("NaN", "NaN or infinite", lambda: npz(obs=np.full((12, 3), np.nan))),
    bad("infinity", "NaN or infinite", lambda: npz(acts=np.full((10, 2), np.inf))),
    bad("frames that are not pictures", "pictures", lambda: npz(frames=np.zeros((10, 4)))),
    bad("meta that is not JSON", "meta", lambda: npz(meta=np.array("{"))),
    bad("deeply nested meta", "", lambda: npz(meta=np.array("[" * 100_000))),
    bad("dict observations", "environment.obs_keys",
        lambda: npz(obs=None, **{"obs.a": np.zeros((12, 2))})),
    Upload("metadata that is not JSON", 422, "invalid", "metadata", with_metadata("{")),
    Upload("deeply nested metadata", 422, "invalid", "metadata", with_metadata("[" * 100_000)),
    Upload("metadata of 2 MiB", 400, "bad-request", "", with_metadata("x" * 2 * MEBIBYTE)),
    Upload("no file", 422, "invalid", "parts `file`", lambda: part("x", b"x", None) + END),
    Upload("two files", 400, "bad-request", "Too many files",
           lambda: part("file", npz()) + part("file", npz()) + END),
    Upload("a text field instead of a file", 422, "invalid", "parts `file`",
           lambda: part("file", b"x", None) + END),
    Upload("a truncated form", 422, "invalid", "parts `file`", lambda: part("file", npz())[:-400]),
    Upload("a boundary that differs from the header's", 400, "bad-request", "", file(npz),
           plain("multipart/form-data; boundary=other")),
    Upload("no boundary in the header", 400, "bad-request", "boundary", file(npz),
           plain("multipart/form-data")),
    Upload("another content type", 415, "unsupported-media-type", "multipart/form-data", npz,
           plain("application/octet-stream")),
    Upload("a JSON body", 415, "unsupported-media-type", "multipart/form-data", lambda: b"{}",
           plain("application/json")),
    Upload("a file over the limit", 413, "too-large", "4194304",
           file(lambda: bytes(4 * MEBIBYTE + 1))),
    Upload("a body over the limit", 413, "too-large", "at most", file(lambda: bytes(6 * MEBIBYTE))),
]  # fmt: skip


class Site:
    """A server that takes little, and what it has on disk."""

    def __init__(self, server: Server):
        self.server = server
        self.url = f"{server.url}/api/v1/datasets"
        self.process = psutil.Process(server.process.pid)
        self.before = self.memory()

    def memory(self) -> int:
        return self.process.memory_info().rss

    def send(self, upload: Upload) -> httpx2.Response:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} | upload.headers
        return httpx2.post(self.url, content=upload.body(), headers=headers, timeout=120)

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.server.data / "datasets").rglob("*"))


def started(folder: Path) -> Server:
    return Server(folder / "data", *ONE)


def as_page(site: Site) -> str:
    lines = [
        "# Invalid uploads",
        "",
        "This page lists how the server responds to hostile and damaged uploads "
        "([REST API](rest.md#uploads)); it is for people who write or debug a client, or judge the "
        "safety of a server.",
        "",
        "The server of this table accepts files of up to 4 MiB with arrays of up to 64 MiB. After "
        "each upload, nothing of it is left on disk, and the server's memory has grown by less "
        "than 100 MiB in all (`tests/service/api/test_hostile_uploads.py`).",
        "",
        "| upload | status | code | text |",
        "|---|---|---|---|",
    ]
    for upload in TABLE:
        problem = site.send(upload).json()
        text = " ".join(problem["detail"].split()).replace("|", "\\|")
        text = text if len(text) < 400 else f"{text[:400]}..."
        lines.append(f"| {upload.what} | {problem['status']} | `{problem['code']}` | {text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import os

    os.environ.update(LIMITS)
    with tempfile.TemporaryDirectory() as scratch, started(Path(scratch)) as running:
        PAGE.write_text(as_page(Site(running)), encoding="utf-8")
