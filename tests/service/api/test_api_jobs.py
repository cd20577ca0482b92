"""Jobs over REST."""

import os

import pytest
from api_helpers import STUDY, URL, cartpole, running

from r2rise import Study
from r2rise.run.resolve import resolve
from r2rise_service.models import JobInfo


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def resolved() -> Study:
    return resolve(Study.parse(STUDY), cartpole()).study


def test_a_job_is_accepted_with_its_resolved_study(server):
    dataset = server.upload().json()
    answer = server.submit(name="first", labels={"a": "b"}, priority=3)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}" == job["links"]["self"]
    assert int(answer.headers["retry-after"]) > 0
    assert (job["status"], job["name"], job["labels"], job["priority"]) == (
        "queued", "first", {"a": "b"}, 3,
    )  # fmt: skip
    assert job["dataset_id"] == dataset["id"]
    assert job["progress"]["total"] == 35  # random actions, 2 baselines, 32 masks
    assert Study.parse(job["study"]) == resolved()
    assert job["study_hash"] == resolved().study_hash
    assert server.reconciler.woken == 1
    for link in job["links"].values():
        assert server.client.get(URL + link).status_code in (200, 409), link


def test_a_dry_run_stores_nothing(server):
    server.upload()
    body = {"study": {**STUDY, "demonstrations": cartpole().content_hash, "budget": 20}}
    answer = server.client.post("/jobs", params={"dry_run": True}, json=body)
    assert answer.status_code == 200
    study = Study.parse({**STUDY, "budget": 20})
    expected = resolve(study, cartpole())
    told = answer.json()
    assert Study.parse(told["study"]) == expected.study
    assert [w["code"] for w in told["warnings"]] == [n.code for n in expected.notices]
    n = 1 + 20 + expected.study.budget.retrainings
    assert told["cost"] == {"retrainings": n, "episodes": 2 * n, "most_steps": 60 * n}
    assert server.client.get("/jobs").json()["data"] == []
    assert server.reconciler.woken == 0


def test_an_idempotency_key_gives_the_same_job(server):
    server.upload()
    client = server.connect()
    client.headers["Idempotency-Key"] = "once"
    first, again = server.submit(client), server.submit(client)
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert server.reconciler.woken == 1
    other = server.submit(client, name="other")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert len(server.client.get("/jobs").json()["data"]) == 1


def test_pages_are_newest_first_and_filtered(server):
    server.upload()
    ids = [server.submit(labels={"n": str(n % 2)}).json()["id"] for n in range(5)]
    found, token = [], None
    while True:
        params = {"page_size": 2} | ({"page_token": token} if token else {})
        page = server.client.get("/jobs", params=params).json()
        assert len(page["data"]) <= 2
        found += [job["id"] for job in page["data"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert found == ids[::-1]

    def listed(**params):
        return [job["id"] for job in server.client.get("/jobs", params=params).json()["data"]]

    assert listed(label="n=1") == [ids[3], ids[1]]
    assert listed(label="n=") == []
    server.client.post(f"/jobs/{ids[0]}/cancel")
    assert listed(status="canceling") == [ids[0]]
    assert listed(dataset_id="ds_none") == []


def test_etag_says_whether_a_job_changed(server):
    job = server.job()
    path = f"/jobs/{job.id}"
    first = server.client.get(path)
    tag = {"If-None-Match": first.headers["etag"]}
    assert first.headers["etag"] == f'"{first.json()["version"]}"'
    assert server.client.get(path, headers=tag).status_code == 304
    server.work(job, 3)
    second = server.client.get(path, headers=tag)
    assert (second.status_code, second.json()["progress"]["done"]) == (200, 3)
    assert "retry-after" in second.headers
    server.work(job)
    assert "retry-after" not in server.client.get(path, headers=tag).headers


def test_changes_of_what_was_seen_only(server):
    path = f"/jobs/{server.job().id}"
    tag = server.client.get(path).headers["etag"]
    changed = server.client.patch(path, json={"name": "new"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["name"]) == (200, "new")
    late = server.client.patch(path, json={"name": "late"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition-failed")
    whatever = {"If-Match": "*"}
    assert server.client.patch(path, json={"priority": 5}, headers=whatever).status_code == 200
    job = JobInfo.model_validate(
        server.client.patch(path, json={"labels": {"x": "y"}, "name": None}).json()
    )
    assert (job.name, job.priority, job.labels) == ("new", 5, {"x": "y"})


def test_cancel_retry_and_removal(server):
    job = server.job()
    path = f"/jobs/{job.id}"
    for method, where in (("DELETE", path), ("POST", f"{path}/retry")):
        answer = server.client.request(method, where)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")

    for _ in range(2):  # twice is as good as once
        answer = server.client.post(f"{path}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "canceling")
    assert server.reconciler.canceled == [job.id, job.id]
    server.store.jobs.set_status(job.id, "canceled", only_from=("canceling",))
    answer = server.client.post(f"{path}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")

    woken = server.reconciler.woken
    answer = server.client.post(f"{path}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert server.reconciler.woken == woken + 1
    server.work(job)
    assert server.client.delete(path).status_code == 204
    assert server.client.get(path).status_code == 404
    assert server.client.delete(path).status_code == 404


def refusal(server, **changes) -> tuple[str, str]:
    """Where the only problem of a changed study is, and what is said about it."""
    answer = server.submit(study={**STUDY, "demonstrations": cartpole().content_hash, **changes})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-study")
    (part,) = answer.json()["errors"]
    return part["pointer"], part["detail"]


def test_a_job_has_a_limit_of_steps(tmp_path):
    n_steps = 35 * 2 * 30  # retrainings, episodes of each, steps of each
    with running(tmp_path, max_steps=n_steps) as server:
        server.upload()
        assert server.submit().status_code == 202
        pointer, detail = refusal(server, evaluation={"n_episodes": 2, "max_steps": 31})
        assert pointer == "#/study/evaluation"
        assert f"at most {n_steps} environment steps in one job, got {35 * 2 * 31}" in detail
        assert "35 retrainings x 2 episodes (n_episodes) x 31 steps (max_steps)" in detail
        assert refusal(server, budget={"retrainings": 33, "baseline_retrainings": 2})
        assert refusal(server, evaluation={"n_episodes": 20, "max_steps": 30})


def test_a_study_has_the_threads_of_the_machine_at_most(server):
    server.upload()
    cores = os.cpu_count()
    pointer, detail = refusal(server, execution={"threads": cores + 1})
    assert pointer == "#/study/execution/threads"
    assert f"at most {cores} threads, the server's cores, got {cores + 1}" in detail
    study = {**STUDY, "demonstrations": cartpole().content_hash, "execution": {"threads": cores}}
    assert server.submit(study=study).status_code == 202


def test_limits_of_jobs(tmp_path):
    with running(tmp_path, max_live_jobs=1, max_retrainings=35) as server:
        job = server.job()
        answer = server.submit()
        assert (answer.status_code, answer.json()["code"]) == (429, "too-many-jobs")
        assert int(answer.headers["retry-after"]) > 0
        server.work(job)
        study = {**STUDY, "demonstrations": cartpole().content_hash, "budget": 64}
        answer = server.submit(study=study)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/study/budget/retrainings"
        assert server.submit().status_code == 202
        answer = server.client.post(f"/jobs/{job.id}/retry")
        assert answer.status_code == 429
