"""The commands of docker-compose.yml, run: from an empty database to a map and an orderly end."""

import json
import subprocess
from urllib.request import urlopen

import numpy as np
import pytest
from deployment import ROOT
from sqlalchemy import create_engine, make_url, text
from stack import Stack

import r2rise
from r2rise_service import Client
from r2rise_service.client import NotAllowed

N_WORKERS = 2
DEMOS = r2rise.Demonstrations.load(ROOT / "examples" / "cartpole.npz")
STUDY = r2rise.Study(
    environment="CartPole-v1",
    algorithm={"name": "bc", "settings": {"n_epochs": 2}},
    evaluation={"n_episodes": 2, "max_steps": 100},
    budget={"retrainings": 128, "baseline_retrainings": 2},
)


@pytest.fixture
def stack(postgres, tmp_path):
    """All services; the database is this test's own, with the password of `make secrets`."""
    found = Stack(tmp_path, make_url(postgres).port, {"worker": N_WORKERS})
    password = (found.secrets / "database_password").read_text().strip()
    engine = create_engine(f"{postgres}postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE r2rise LOGIN PASSWORD '{password}'"))
        connection.execute(text("CREATE DATABASE r2rise OWNER r2rise"))
        try:
            yield found
        finally:
            found.kill()
            connection.execute(text("DROP DATABASE r2rise WITH (FORCE)"))
            connection.execute(text("DROP ROLE r2rise"))
    engine.dispose()


@pytest.mark.slow
def test_the_services_start_in_order_make_a_map_and_stop(stack):
    stack.up()
    stack.wait_healthy("api")
    key = (stack.secrets / "first_key").read_text().strip()
    with Client(url=stack.url) as nobody, pytest.raises(NotAllowed):
        list(nobody.jobs.list())
    with Client(url=stack.url, api_key=key) as client:
        job = client.jobs.create(client.datasets.upload(DEMOS), study=STUDY)
        found = job.wait(timeout=300).importance()
    want = r2rise.explain(DEMOS, STUDY)
    assert np.array_equal(found.importance, want.importance)
    assert np.array_equal(found.std_error, want.std_error)
    create = ["r2rise", "keys", "create", "--owner", "anna"]  # as `docker compose exec api` does
    made = subprocess.run(
        create, env=stack.variables("api"), capture_output=True, text=True, check=True
    )
    with Client(url=stack.url, api_key=made.stdout.strip()) as anna:
        assert list(anna.jobs.list()) == []
    with urlopen(f"{stack.scheduler_status}/json/counts.json") as answer:
        assert json.load(answer)["workers"] == N_WORKERS
    for name in ("api", "worker", "scheduler"):
        assert set(stack.stop(name)) == {0}, f"{name}\n{stack.log.read_text()}"
