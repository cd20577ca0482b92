"""Datasets over REST."""

import io

import numpy as np
import pytest
from api_helpers import CARTPOLE, URL, cartpole, running

from r2rise_service.keys import digest_of, new_secret


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def test_the_same_content_is_one_dataset(server):
    first = server.upload(metadata='{"who": "me"}')
    assert first.status_code == 201
    info = first.json()
    assert first.headers["location"] == f"/api/v1/datasets/{info['id']}"
    assert info["sha256"] == cartpole().content_hash
    assert info["lengths"] == cartpole().lengths.tolist()
    assert (info["n_frames"], info["obs_shape"], info["act_shape"]) == (500, [4], [])
    assert info["metadata"] == {"who": "me"}

    again = server.upload()
    assert (again.status_code, again.json()) == (200, info)
    assert server.client.get(URL + first.headers["location"]).json() == info
    own = server.client.get("/datasets", params={"sha256": info["sha256"]}).json()
    assert own == {"data": [info], "next_page_token": None}
    assert server.client.get("/datasets", params={"sha256": "sha256:0"}).json()["data"] == []


def test_the_list_comes_in_pages_and_the_client_asks_for_all(server):
    ids = []
    for seed in range(3):
        file = io.BytesIO()
        arrays = {"obs": np.full((3, 1), float(seed)), "acts": np.zeros(2), "lengths": [2]}
        np.savez(file, **arrays)
        ids.append(server.client.post("/datasets", files={"file": file.getvalue()}).json()["id"])
    first = server.client.get("/datasets", params={"page_size": 2}).json()
    params = {"page_size": 2, "page_token": first["next_page_token"]}
    second = server.client.get("/datasets", params=params).json()
    assert [one["id"] for one in first["data"] + second["data"]] == ids[::-1]
    assert second["next_page_token"] is None
    wrong = server.client.get("/datasets", params={"page_token": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad-page-token")


def test_other_compression_of_the_same_arrays_is_the_same_content(server, tmp_path):
    server.upload()
    with np.load(CARTPOLE) as arrays:
        file = io.BytesIO()
        np.savez(file, **arrays)
    answer = server.client.post("/datasets", files={"file": file.getvalue()})
    assert answer.status_code == 200


def test_the_file_goes_with_its_last_use(server):
    path = server.files.path(cartpole().content_hash)
    job = server.job()
    assert path.exists()
    refused = server.client.delete(f"/datasets/{job.dataset_id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")

    server.store.jobs.set_status(job.id, "canceled", only_from=("queued",))
    assert server.client.delete(f"/datasets/{job.dataset_id}").status_code == 204
    assert server.client.get(f"/datasets/{job.dataset_id}").status_code == 404
    assert path.exists(), "the job may be tried again"
    assert server.client.delete(f"/jobs/{job.id}").status_code == 204
    assert not path.exists()


def test_owners_do_not_see_each_other(server):
    secrets = {owner: new_secret() for owner in ("ann", "bob")}
    for owner, secret in secrets.items():
        server.store.keys.add(owner, "key", ["read", "submit"], digest_of(secret))
    ann, bob = (server.connect(secret) for secret in secrets.values())
    hers, his = server.upload(ann).json(), server.upload(bob).json()
    assert hers["sha256"] == his["sha256"]
    assert hers["id"] != his["id"]
    assert bob.get(f"/datasets/{hers['id']}").status_code == 404
    assert bob.delete(f"/datasets/{hers['id']}").status_code == 404

    job = server.submit(ann).json()
    for method, path in [
        ("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry"), ("GET", "/events"),
        ("GET", "/importance"), ("GET", "/importance.png"), ("GET", "/retrainings"),
    ]:  # fmt: skip
        answer = bob.request(method, f"/jobs/{job['id']}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), path
    assert bob.patch(f"/jobs/{job['id']}", json={"name": "mine"}).status_code == 404
    assert bob.get("/jobs").json()["data"] == []

    assert ann.post(f"/jobs/{job['id']}/cancel").status_code == 202
    server.store.jobs.set_status(job["id"], "canceled", only_from=("canceling",))
    assert ann.delete(f"/datasets/{hers['id']}").status_code == 204
    assert ann.delete(f"/jobs/{job['id']}").status_code == 204
    assert server.files.path(his["sha256"]).exists(), "it is his, too"


def test_too_large_files_leave_nothing(tmp_path):
    with running(tmp_path, max_upload_bytes=1000) as server:
        answer = server.upload()
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
        assert list(server.settings.datasets.iterdir()) == []
        chunks = (b"x" * 2**20 for _ in range(3))
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        streamed = server.client.post("/datasets", content=chunks, headers=kind)
        assert (streamed.status_code, streamed.json()["code"]) == (413, "too-large")


def test_arrays_that_unpack_to_more_than_allowed(tmp_path):
    with running(tmp_path, max_array_bytes=1000) as server:
        answer = server.upload()
        assert (answer.status_code, answer.json()["code"]) == (422, "bad-demonstrations")
        assert "1000" in answer.json()["detail"]
        assert list(server.settings.datasets.iterdir()) == []
