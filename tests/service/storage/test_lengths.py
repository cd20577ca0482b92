"""The lengths of demonstrations are kept with their jobs."""

import pytest
from api_helpers import cartpole, running
from stores import LENGTHS, STUDY, execute

from r2rise_service.api import computed
from r2rise_service.storage import NewJob, Source


def test_a_job_knows_its_demonstrations_when_their_dataset_is_gone(store, dataset, job):
    store.jobs.set_status(job.id, "succeeded", only_from=["queued"])
    assert store.datasets.remove("me", dataset.id)
    sources = (Source(job.id, "its map", "{}"),)
    based, _ = store.jobs.add(NewJob("me", "curate", dataset.id, STUDY, 100, sources=sources))
    for one in (job, based):
        assert (store.datasets.lengths_of_job(one.id), one.version) == (LENGTHS, 1)
    assert store.datasets.lengths_of_job("job_none") is None


@pytest.fixture
def server(tmp_path):
    with running(tmp_path) as server:
        yield server


def test_a_map_is_computed_without_opening_the_demonstrations(server, monkeypatch):
    job = server.job()
    server.work(job)
    with monkeypatch.context() as patch:
        patch.setattr(computed, "Demonstrations", None)
        answer = server.client.get(f"/jobs/{job.id}/importance.json")
    assert answer.status_code == 200
    lengths = cartpole().lengths.tolist()
    assert list(server.app.state.context.maps.ledger(job).header.lengths) == lengths


def test_demonstrations_are_opened_for_a_job_of_which_no_lengths_were_kept(server):
    job = server.job()
    server.work(job)
    execute(server.settings.database_url, "UPDATE jobs SET lengths = NULL")
    assert server.store.datasets.lengths_of_job(job.id) is None
    lengths = cartpole().lengths.tolist()
    assert list(server.app.state.context.maps.ledger(job).header.lengths) == lengths
