"""`/metrics`: values after known actions."""

import pytest
from api_helpers import cartpole, records, running
from prometheus_client.parser import text_string_to_metric_families

from r2rise.ledger.record import Record


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def scraped(server) -> dict:
    answer = server.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def requests(found: dict, method: str, route: str, status: int) -> float:
    labels = [("method", method), ("route", route), ("status", str(status))]
    return found.get(("r2rise_request_seconds_count", *labels), 0.0)


def test_requests_are_counted_by_method_route_and_status(server):
    for job_id in ("a", "b", "c"):
        server.client.get(f"/jobs/{job_id}")
    server.client.get("/jobs", params={"page_size": 3})
    server.client.get("/nothing/here")
    server.client.post("/jobs", content=b"{", headers={"Content-Type": "application/json"})
    server.client.get("/jobs", headers={"Host": "evil.example"})
    server.client.request("BREW", "/jobs")
    found = scraped(server)
    assert requests(found, "GET", "/jobs/{job_id}", 404) == 3
    assert requests(found, "GET", "/jobs", 200) == 1
    assert requests(found, "GET", "unknown", 404) == 1
    assert requests(found, "POST", "/jobs", 422) == 1
    assert requests(found, "GET", "unknown", 421) == 1  # refused before it was routed
    assert sum(v for k, v in found.items() if k[0].endswith("_count") and "BREW" in str(k)) == 0
    assert requests(scraped(server), "GET", "/metrics", 200) == 1
    assert not any("page_size" in str(key) for key in found)


def test_jobs_retrainings_and_uploads(server):
    job = server.job()
    server.upload()
    server.submit(name="waits")
    server.work(job)
    found = scraped(server)
    jobs = {k[1][1]: v for k, v in found.items() if k[0] == "r2rise_jobs"}
    assert jobs == {
        "queued": 1, "running": 0, "canceling": 0, "succeeded": 1, "failed": 0, "canceled": 0,
    }  # fmt: skip
    for status, n in (("ok", 34), ("failed", 1)):  # one mask of the design is empty
        assert sum(record.status == status for record in records()) == n
        assert found["r2rise_retrainings", ("status", status)] == n
    assert found["r2rise_uploads_total", ("new", "true")] == 1
    assert found["r2rise_uploads_total", ("new", "false")] == 1
    server.client.delete(f"/jobs/{job.id}")
    assert scraped(server)["r2rise_retrainings", ("status", "ok")] == 0
    assert cartpole().content_hash not in str(found)


def test_failed_retrainings_are_apart(server):
    job = server.job()
    good = [record for record in records() if record.status == "ok"]
    failed = [Record.failed(record, "no luck") for record in good[:3]]
    server.store.records.add(job.id, failed + good[3:10])
    found = scraped(server)
    assert found["r2rise_retrainings", ("status", "failed")] == 3
    assert found["r2rise_retrainings", ("status", "ok")] == 7


def test_engine_and_parts(server):
    found = scraped(server)
    assert found["r2rise_reconciles",] == 1
    assert found["r2rise_workers",] == 3
    assert found["r2rise_shards_in_flight",] == 5
    assert found["r2rise_event_streams",] == 0
    parts = ("database", "engine", "disk")
    assert [found["r2rise_degraded", ("part", part)] for part in parts] == [0, 0, 0]
    assert found["process_resident_memory_bytes",] > 0
    server.reconciler.engine = "degraded: no worker"
    assert scraped(server)["r2rise_degraded", ("part", "engine")] == 1


def test_two_applications_count_apart(server, tmp_path):
    server.client.get("/jobs")
    with running(tmp_path / "other") as other:
        assert requests(scraped(other), "GET", "/jobs", 200) == 0
