"""What an upload gets that is hostile or broken, over HTTP from a server in its own process."""

import socket

import httpx2
import pytest
from hostile_uploads import (
    BOUNDARY,
    END,
    LIMITS,
    MEBIBYTE,
    PAGE,
    TABLE,
    Site,
    Upload,
    file,
    npz,
    part,
    started,
)
from slow import mostly_slow

MOST_GROWTH = 100 * MEBIBYTE


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LIMITS.items():
            patch.setenv(name, value)
        with started(tmp_path_factory.mktemp("hostile")) as server:
            yield Site(server)


@pytest.mark.parametrize("upload", mostly_slow(TABLE, 12), ids=lambda upload: upload.what)
def test_a_wrong_upload_is_refused_and_leaves_nothing(site, upload):
    answer = site.send(upload)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (upload.status, upload.code), problem
    assert upload.text in problem["detail"], problem["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(site.server.data) not in answer.text
    assert site.left() == []
    assert site.memory() < site.before + MOST_GROWTH


def raw(site: Site, head: str, body: bytes) -> bytes:
    """Send a request byte by byte as it is, end it, and return what comes back."""
    address = "127.0.0.1", site.server.port
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(f"{head}\r\nHost: 127.0.0.1\r\n".encode() + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


HEAD = (
    "POST /api/v1/datasets HTTP/1.1\r\n"
    f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nConnection: close"
)


def test_a_body_shorter_than_its_length_leaves_nothing(site):
    raw(site, f"{HEAD}\r\nContent-Length: 1000000", b"\r\n" + part("file", npz()))
    assert site.left() == []


@pytest.mark.parametrize("length", ["-5", "x", "99999999999999999999"])
def test_a_length_that_is_none_is_refused(site, length):
    answer = raw(site, f"{HEAD}\r\nContent-Length: {length}", b"\r\n" + part("file", npz()) + END)
    assert answer.split()[1] in (b"400", b"413")
    assert site.left() == []


def test_a_chunked_body_over_the_limit_is_refused(site):
    chunks = (part("file", b"")[:-2] if i == 0 else bytes(MEBIBYTE) for i in range(12))
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = httpx2.post(site.url, content=chunks, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert site.left() == []


def test_a_good_upload_is_taken_after_all_of_them(site):
    answer = site.send(Upload("good", 201, "", "", file(npz)))
    assert answer.status_code == 201, answer.text
    assert len(site.left()) == 1
    assert site.memory() < site.before + MOST_GROWTH


def test_the_page_lists_every_row():
    page = PAGE.read_text(encoding="utf-8")
    for upload in TABLE:
        assert f"| {upload.what} | {upload.status} | `{upload.code}` |" in page
