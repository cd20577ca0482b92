"""A service that is killed again and again ends with the map of an undisturbed run."""

import json
import random
import time
from pathlib import Path

import psutil
import pytest
from servers import Server

import r2rise
from r2rise_service import Client

DEMOS = r2rise.Demonstrations.load(Path(__file__).parent.parent / "examples" / "cartpole.npz")
STUDY = r2rise.Study(
    environment="CartPole-v1",
    algorithm={"name": "bc", "settings": {"n_epochs": 150}},
    execution={"shard_size": 8},
    budget=512,
)
KILLS = 10


def without_times(found: r2rise.ImportanceMap) -> dict:
    fields = json.loads(found.to_json())
    del fields["created_at"]
    return fields


@pytest.fixture(scope="module")
def undisturbed() -> dict:
    return without_times(r2rise.explain(DEMOS, STUDY))


def workers_of(server: Server) -> list[psutil.Process]:
    """The processes that retrain: those that have loaded torch, and so a lot of memory."""
    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        try:
            if process.memory_info().rss > 150 * 2**20:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.slow
def test_the_server_is_killed_ten_times(tmp_path, undisturbed):
    chance = random.Random(0)
    server = Server(tmp_path / "data")
    with Client(url=server.url) as client:
        job = client.jobs.create(client.datasets.upload(DEMOS), study=STUDY)
        acknowledged = 0
        for _ in range(KILLS):
            time.sleep(chance.uniform(3.0, 5.0))
            acknowledged = job.refresh().progress.done
            server.kill()
            server = Server(tmp_path / "data", port=server.port)
            assert job.refresh().progress.done >= acknowledged
        with server:
            assert without_times(job.wait(timeout=300).importance()) == undisturbed
            assert (job.progress.done, job.progress.failed) == (job.progress.total, 0)
    assert acknowledged > 0


@pytest.mark.slow
def test_workers_are_killed_ten_times(tmp_path, undisturbed):
    chance = random.Random(1)
    with Server(tmp_path / "data") as server, Client(url=server.url) as client:
        job = client.jobs.create(client.datasets.upload(DEMOS), study=STUDY)
        killed = 0
        while killed < KILLS and job.refresh().info.is_live:
            time.sleep(chance.uniform(1.0, 3.0))
            if workers := workers_of(server):
                chance.choice(workers).kill()
                killed += 1
        assert killed > 0
        assert without_times(job.wait(timeout=300).importance()) == undisturbed
        assert (job.progress.done, job.progress.failed) == (job.progress.total, 0)
