"""Service, workers and scheduler are killed again and again; the map is that of a quiet run."""

import random
import time
from pathlib import Path

import psutil
import pytest
from clusters import SchedulerProcess, WorkerProcesses, certificate, tls_options
from places import CARTPOLE
from served import THOROUGH, without_times
from servers import Server, run
from sqlalchemy import NullPool, create_engine, text

import r2rise
from r2rise_service import Client
from r2rise_service.client import Job

pytestmark = pytest.mark.slow

DEMOS = r2rise.Demonstrations.load(CARTPOLE)
KILLS, SCHEDULER_KILLS = 10, 3


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> str:
    """The map of the library, and of a server that nobody kills."""
    library = without_times(r2rise.explain(DEMOS, THOROUGH, workers=2))
    data = tmp_path_factory.mktemp("quiet") / "data"
    with Server(data) as server, Client(url=server.url) as client:
        job = client.jobs.create(client.datasets.upload(DEMOS), study=THOROUGH)
        assert without_times(job.wait(timeout=300).importance()) == library
    return library


class Chaos:
    """A job on a server that can be killed, and what was acknowledged of it."""

    def __init__(self, folder: Path, url: str, *options: str) -> None:
        self.url = url
        self._data, self._options = folder / "data", list(options)
        if url.startswith("postgresql"):
            run("db", "upgrade", "--database", url)
            self._options += ["--database", url]
        self.server = Server(self._data, *self._options)
        self._client = Client(url=self.server.url)
        self.job: Job = self._client.jobs.create(
            self._client.datasets.upload(DEMOS), study=THOROUGH
        )
        self.done = 0
        self.hits = 0

    def kill_server(self) -> None:
        """Kill it while the job is live, and start another at the same address."""
        self._hit()
        self.server.kill()
        self.server = Server(self._data, *self._options, port=self.server.port)

    def hit(self, kill) -> None:
        """Kill something else while the job is live."""
        self._hit()
        kill()

    def _hit(self) -> None:
        self.progressed(self.done)
        assert self.job.info.is_live
        self.hits += 1

    def progressed(self, done: int) -> None:
        """Wait until there is more; what was there once is there still."""
        deadline = time.monotonic() + 120
        while (found := self.job.refresh().progress.done) <= done and self.job.info.is_live:
            assert found >= self.done
            assert time.monotonic() < deadline, self.server.log.read_text()[-5000:]
            time.sleep(0.05)
        self.done = found

    def ends_like(self, undisturbed: str) -> None:
        """Check that nothing was lost and nothing counted twice."""
        assert without_times(self.job.wait(timeout=300).importance()) == undisturbed
        progress = self.job.progress
        assert (progress.done, progress.failed) == (progress.total, 0)
        with create_engine(self.url, poolclass=NullPool).connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM records")) == progress.total
        self._client.close()
        self.server.stop()
        print(f"{self.hits} kills hit the live job")


def retraining(process: psutil.Process) -> list[psutil.Process]:
    """The processes below one that retrain: those that have loaded torch, and so a lot."""
    found = []
    for child in process.children(recursive=True):
        try:
            if child.memory_info().rss > 150 * 2**20:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def kill_one(server: psutil.Process, chance: random.Random) -> None:
    """Kill one of a server's workers; those killed before may be starting still."""
    while not (workers := retraining(server)):
        time.sleep(0.05)
    chance.choice(workers).kill()


def test_the_server_is_killed_ten_times(tmp_path, url, undisturbed):
    chance = random.Random(0)
    chaos = Chaos(tmp_path, url)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.0, 1.5))
        chaos.kill_server()
    assert chaos.hits == KILLS
    chaos.ends_like(undisturbed)


def test_workers_are_killed_ten_times(tmp_path, url, undisturbed):
    chance = random.Random(1)
    chaos = Chaos(tmp_path, url)
    process = psutil.Process(chaos.server.process.pid)
    for _ in range(KILLS):
        chaos.hit(lambda: kill_one(process, chance))
        time.sleep(chance.uniform(0.0, 1.5))
    assert chaos.hits == KILLS
    chaos.ends_like(undisturbed)


def test_the_scheduler_is_killed_three_times(tmp_path, url, undisturbed):
    chance = random.Random(2)
    tls = certificate(tmp_path / "tls")
    scheduler = SchedulerProcess(tmp_path, tls)
    with WorkerProcesses(tmp_path, scheduler.address, tls):
        chaos = Chaos(tmp_path, url, "--scheduler", scheduler.address, *tls_options(tls))
        for _ in range(SCHEDULER_KILLS):
            time.sleep(chance.uniform(0.0, 3.0))
            chaos.hit(scheduler.kill)
            killed = time.monotonic()
            scheduler = SchedulerProcess(tmp_path, tls, scheduler.port)  # as `restart: always`
            chaos.progressed(chaos.done)
            print(f"new records {time.monotonic() - killed:.1f} s after the scheduler was killed")
        assert chaos.hits == SCHEDULER_KILLS
        chaos.ends_like(undisturbed)
    scheduler.stop()
