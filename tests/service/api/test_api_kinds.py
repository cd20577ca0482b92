"""Jobs that are based on maps, their results, comparisons and reports over REST."""

import io
import json

import numpy as np
import pytest
from api_helpers import OTHER, URL, ask, cartpole, check, map_of, running
from worth import without_time

import r2rise
from r2rise import Certificate, Curation, Demonstrations, Transfer
from r2rise_service.models import JobInfo


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("server"), max_retrainings=2000) as server:
        yield server


@pytest.fixture(scope="module")
def explained(server) -> JobInfo:
    return server.explained()


@pytest.fixture(scope="module")
def other(server) -> JobInfo:
    """A map of another algorithm over the same segments."""
    return server.explained(algorithm=OTHER, evaluation={"n_episodes": 2, "max_steps": 200})


@pytest.fixture(scope="module")
def certified(server, explained) -> JobInfo:
    return server.done(ask(server, "certify", explained.id, repetitions=2).json()["id"])


@pytest.fixture(scope="module")
def curated(server, explained) -> JobInfo:
    return server.done(ask(server, "curate", [explained.id]).json()["id"])


@pytest.fixture(scope="module")
def transferred(server, explained, other) -> JobInfo:
    ids = [explained.id, other.id]
    return server.done(ask(server, "transfer", ids, repetitions=2).json()["id"])


def test_a_job_says_what_it_is_based_on(server, explained):
    answer = ask(server, "certify", explained.id, repetitions=3, name="sure?", labels={"a": "b"})
    assert answer.status_code == 202
    job = answer.json()
    assert (job["kind"], job["based_on"], job["repetitions"]) == ("certify", [explained.id], 3)
    assert (job["name"], job["labels"], job["status"]) == ("sure?", {"a": "b"}, "queued")
    assert job["study"] == json.loads(explained.study.model_dump_json())
    assert job["dataset_id"] == explained.dataset_id
    # random actions and 2 baselines are there already; 3 repetitions, 4 arms of each size
    n_sizes = (job["progress"]["total"] - 3) / 12
    assert n_sizes == int(n_sizes) > 1
    assert job["progress"]["done"] == 3
    assert "importance" not in job["links"]
    for link in job["links"].values():
        assert server.client.get(URL + link).status_code in (200, 409), link
    server.client.post(f"/jobs/{job['id']}/cancel")


def test_the_certificate_is_that_of_the_library(server, explained, certified):
    oracle = r2rise.certify(cartpole(), map_of(server, explained), repetitions=2)
    answer = server.client.get(f"/jobs/{certified.id}/certificate")
    assert answer.headers["content-type"] == "application/json"
    assert without_time(Certificate.from_json(answer.text)) == without_time(oracle)
    assert certified.progress.done == certified.progress.total == 3 + oracle.n_retrainings


def test_the_curation_is_that_of_the_library(server, explained, curated):
    oracle = r2rise.curate(cartpole(), map_of(server, explained))
    found = Curation.from_json(server.client.get(f"/jobs/{curated.id}/curation").text)
    assert without_time(found) == without_time(oracle)
    assert curated.progress.done == curated.progress.total == oracle.n_retrainings
    assert (curated.repetitions, curated.based_on) == (None, (explained.id,))


def test_the_transfer_is_that_of_the_library(server, explained, other, transferred):
    maps = {explained.id: map_of(server, explained), other.id: map_of(server, other)}
    oracle = r2rise.transfer(cartpole(), maps, repetitions=2)
    found = Transfer.from_json(server.client.get(f"/jobs/{transferred.id}/transfer").text)
    assert without_time(found) == without_time(oracle)
    ledgers = []
    for part in (0, 1):
        params = {"part": part, "format": "npz"}
        file = server.client.get(f"/jobs/{transferred.id}/retrainings", params=params).content
        with np.load(io.BytesIO(file)) as arrays:
            ledgers.append(len(arrays["index"]))
            design = json.loads(str(arrays["meta"]))["design"]
            n_updates = design["algorithm"]["settings"]["n_updates"]
            assert n_updates == (10, 15)[part]
    assert sum(ledgers) == transferred.progress.done == transferred.progress.total
    path = f"/jobs/{transferred.id}/retrainings?part=2"
    check(server.client.get(path), 404, "not-found")


def test_pages_hold_all_records_of_an_index(server, transferred):
    """Two rankings have two masks of the same number and seeds."""
    found, token = [], 0
    while token is not None:
        params = {"kind": "certify", "page_size": 7, "page_token": token}
        page = server.client.get(f"/jobs/{transferred.id}/retrainings", params=params).json()
        found += page["data"]
        token = page["next_page_token"]
    assert len({(record["index"], record["mask"]) for record in found}) == len(found)
    assert len({record["index"] for record in found}) < len(found)


@pytest.mark.parametrize("kind", ["certificate", "curation", "transfer"])
def test_results_in_every_format(server, certified, curated, transferred, kind):
    job = {"certificate": certified, "curation": curated, "transfer": transferred}[kind]
    path = f"/jobs/{job.id}/{kind}"
    plain = server.client.get(path)
    for ending, type_, start in (
        (".json", "application/json", b"{"), (".png", "image/png", b"\x89PNG"),
        (".svg", "image/svg+xml", b"<?xml"),
    ):  # fmt: skip
        answer = server.client.get(path + ending)
        assert (answer.status_code, answer.headers["content-type"]) == (200, type_)
        assert answer.content.startswith(start)
        again = server.client.get(path + ending, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert server.client.get(path + ".json").text == plain.text
    check(server.client.get(path + ".csv"), 404, "not-found")
    for wrong in {"certificate", "curation", "transfer", "importance"} - {kind}:
        check(server.client.get(f"/jobs/{job.id}/{wrong}"), 404, "no-such-result")
        check(server.client.get(f"/jobs/{job.id}/{wrong}.png"), 404, "no-such-result")


def test_better_demonstrations_where_a_gain_was_confirmed(server, explained, curated, tmp_path):
    path = f"/jobs/{curated.id}/curated.npz"
    found = Curation.from_json(server.client.get(f"/jobs/{curated.id}/curation").text)
    for outcome in ("no_gain", "gain"):
        edit = {"demonstration": 0, "start": 0, "stop": 100, "reason": "hurts"}
        told = Curation.model_validate(
            {**found.model_dump(by_alias=True), "outcome": outcome, "edits": [edit]}
        )
        server.store.jobs.set_status(curated.id, "running", only_from=["succeeded"])
        server.store.results.finish(curated.id, told.to_json())
        answer = server.client.get(path)
        if outcome == "no_gain":
            check(answer, 404, "no-such-result")
    (tmp_path / "better.npz").write_bytes(answer.content)
    better = Demonstrations.load(tmp_path / "better.npz")
    assert better.content_hash == told.apply(cartpole()).content_hash
    tag = {"If-None-Match": answer.headers["etag"]}
    assert server.client.get(path, headers=tag).status_code == 304
    check(server.client.get(f"/jobs/{explained.id}/curated.npz"), 404, "no-such-result")
    server.store.jobs.set_status(curated.id, "running", only_from=["succeeded"])
    server.store.results.finish(curated.id, found.to_json())


def test_a_report_has_the_map_and_the_newest_results(server, explained, certified, curated):
    path = f"/jobs/{explained.id}/report"
    page = server.client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    words = server.client.get(f"/jobs/{certified.id}/certificate").text
    outcome = Certificate.from_json(words).in_words().split(":")[0]
    assert outcome in page.text
    assert "r2rise plan DEMOS --study STUDY" in page.text
    assert "/tmp/" not in page.text
    tag = {"If-None-Match": page.headers["etag"]}
    assert server.client.get(path, headers=tag).status_code == 304
    server.client.patch(f"/jobs/{curated.id}", json={"name": "other"})
    assert server.client.get(path, headers=tag).status_code == 200
    alone = server.client.get(f"/jobs/{certified.id}/report")
    assert outcome in alone.text
    assert f"r2rise jobs curate {explained.id}" in alone.text


def test_results_of_jobs_that_have_not_succeeded(server, explained):
    job = ask(server, "certify", explained.id, repetitions=2).json()["id"]
    for name in ("certificate", "certificate.png", "report"):
        answer = server.client.get(f"/jobs/{job}/{name}")
        check(answer, 409, "not-ready")
        assert answer.headers["retry-after"]
    server.store.jobs.set_status(job, "failed", only_from=["queued"])
    for name in ("certificate", "certificate.png", "report"):
        check(server.client.get(f"/jobs/{job}/{name}"), 404, "no-such-result")


def test_a_job_outlives_what_it_is_based_on(tmp_path):
    with running(tmp_path) as server:
        explained = server.explained()
        found = map_of(server, explained)
        job = ask(server, "certify", explained.id, repetitions=2).json()["id"]
        assert server.client.delete(f"/jobs/{explained.id}").status_code == 204
        check(server.client.delete(f"/datasets/{explained.dataset_id}"), 409, "conflict")
        done = server.done(job)
        assert done.based_on == (explained.id,)
        told = server.client.get(f"/jobs/{job}/certificate").text
        oracle = r2rise.certify(cartpole(), found, repetitions=2)
        assert without_time(Certificate.from_json(told)) == without_time(oracle)
        assert server.client.get(f"/jobs/{job}/report").status_code == 200
        assert server.client.delete(f"/datasets/{explained.dataset_id}").status_code == 204
        check(ask(server, "certify", explained.id), 422, "refused")


def test_a_dry_run_of_every_kind(server, explained, other, curated):
    before = len(server.client.get("/jobs", params={"page_size": 500}).json()["data"])
    n_arms = {}
    for kind, based_on, more in (
        ("certify", explained.id, {}), ("certify", explained.id, {"repetitions": 4}),
        ("curate", explained.id, {}), ("transfer", [explained.id, other.id], {}),
    ):  # fmt: skip
        body = {"kind": kind, "based_on": based_on, **more}
        answer = server.client.post("/jobs", params={"dry_run": True}, json=body)
        assert answer.status_code == 200
        cost = answer.json()["cost"]
        assert cost["episodes"] == 2 * cost["retrainings"]
        assert cost["most_steps"] >= 30 * cost["episodes"]
        n_arms[kind, more.get("repetitions", 20)] = cost["retrainings"]
    assert n_arms["certify", 20] == 5 * n_arms["certify", 4]
    assert n_arms["transfer", 20] >= 2 * n_arms["certify", 20]
    assert n_arms["curate", 20] >= curated.progress.total
    after = len(server.client.get("/jobs", params={"page_size": 500}).json()["data"])
    assert before == after
