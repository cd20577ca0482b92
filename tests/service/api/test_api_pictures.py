"""Pictures of frames, pixel for pixel."""

import io

import numpy as np
import pytest
from api_helpers import running
from PIL import Image

import r2rise
from r2rise_service.api.pictures import newest_image

LENGTHS = [3, 5, 2]


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def random_bytes(*shape):
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def upload(server, **arrays):
    """Upload demonstrations of 10 frames, and return their path."""
    plain = {"obs": np.zeros((13, 2)), "acts": np.zeros(10), "lengths": np.array(LENGTHS)}
    file = io.BytesIO()
    np.savez_compressed(file, **plain | arrays)
    answer = server.client.post("/datasets", files={"file": file.getvalue()})
    assert answer.status_code == 201, answer.text
    return f"/datasets/{answer.json()['id']}"


def pixels(answer):
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_recorded_frames_are_shown_pixel_for_pixel(server):
    frames = random_bytes(10, 24, 32, 3)
    obs = random_bytes(13, 8, 8, 3)  # frames are preferred to them
    path = upload(server, frames=frames, obs=obs)
    row = 0
    for demonstration, length in enumerate(LENGTHS):
        for frame in range(length):
            url = f"{path}/demonstrations/{demonstration}/frames/{frame}.png"
            np.testing.assert_array_equal(pixels(server.client.get(url)), frames[row])
            row += 1


def test_image_observations_are_shown_where_the_action_was_taken(server):
    obs = random_bytes(13, 12, 10, 3)
    path = upload(server, obs=obs)
    for demonstration, frame, row in [(0, 0, 0), (0, 2, 2), (1, 0, 4), (1, 4, 8), (2, 1, 11)]:
        url = f"{path}/demonstrations/{demonstration}/frames/{frame}.png"
        np.testing.assert_array_equal(pixels(server.client.get(url)), obs[row])


@pytest.mark.parametrize(
    ("shape", "newest"),
    [
        ((12, 10), np.s_[:, :]),
        ((12, 10, 1), np.s_[:, :, 0]),
        ((12, 10, 3), np.s_[:, :, :]),
        ((12, 10, 4), np.s_[:, :, 3]),  # four grey images, one after another
        ((12, 10, 12), np.s_[:, :, 9:]),
        ((1, 12, 10), np.s_[0]),
        ((4, 12, 10), np.s_[3]),
        ((4, 12, 10, 1), np.s_[3, :, :, 0]),
        ((4, 12, 10, 3), np.s_[3]),
        ((9, 12, 10, 3), np.s_[8]),
    ],
)
def test_the_newest_image_of_a_stack_is_shown(shape, newest):
    observation = random_bytes(*shape)
    np.testing.assert_array_equal(newest_image(observation), observation[newest])


def test_the_newest_colours_of_a_stack_of_channels_are_shown():
    observation = random_bytes(6, 12, 10)
    np.testing.assert_array_equal(newest_image(observation), np.moveaxis(observation[3:], 0, -1))


@pytest.mark.parametrize(
    "observation",
    [np.zeros((12, 10, 3)), random_bytes(12), random_bytes(2, 2, 2, 2, 3), random_bytes(0, 4, 3)],
)
def test_what_is_no_image_has_no_picture(observation):
    assert newest_image(observation) is None


def test_a_picture_that_one_has_is_not_sent_again(server):
    path = upload(server, frames=random_bytes(10, 4, 4, 3))
    first = server.client.get(f"{path}/demonstrations/1/frames/2.png")
    etag = first.headers["etag"]
    assert "max-age" in first.headers["cache-control"]
    again = server.client.get(
        f"{path}/demonstrations/1/frames/2.png", headers={"If-None-Match": etag}
    )
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = server.client.get(
        f"{path}/demonstrations/1/frames/3.png", headers={"If-None-Match": etag}
    )
    assert (other.status_code, other.headers["etag"] != etag) == (200, True)


def test_what_has_no_picture_is_said(server):
    path = upload(server)
    missing = server.client.get(f"{path}/demonstrations/0/frames/0.png")
    assert (missing.status_code, missing.json()["code"]) == (404, "no-picture")
    assert "(2,)" in missing.json()["detail"]
    for where in ("0/frames/3", "3/frames/0", "-1/frames/0", "0/frames/-1", f"0/frames/{10**30}"):
        answer = server.client.get(f"{path}/demonstrations/{where}.png")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), where
    unknown = server.client.get("/datasets/ds_none/demonstrations/0/frames/0.png")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")


def test_only_the_row_is_read_and_the_unpacked_arrays_go_with_the_dataset(server, monkeypatch):
    frames = random_bytes(10, 4, 4, 3)
    path = upload(server, frames=frames)
    url = f"{path}/demonstrations/2/frames/1.png"
    assert server.client.get(url).status_code == 200

    def never(*_args, **_kwargs):
        raise AssertionError("the file was read again")

    monkeypatch.setattr(r2rise.Demonstrations, "load", never)
    np.testing.assert_array_equal(pixels(server.client.get(url)), frames[9])
    unpacked = server.settings.datasets / "unpacked"
    assert len(list(unpacked.iterdir())) == 1
    assert server.client.delete(path).status_code == 204
    assert list(unpacked.iterdir()) == []
