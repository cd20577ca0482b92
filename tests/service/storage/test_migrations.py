"""The schema, and databases that older versions left."""

import multiprocessing
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from stores import LENGTHS, N_SEGMENTS, STUDY, design_records, execute, failures

from r2rise.design.tasks import baseline_tasks
from r2rise.ledger.ledger import Ledger, LedgerHeader
from r2rise.ledger.record import Record
from r2rise_service.storage import Store
from r2rise_service.storage.database import Database, alembic_config


def test_migrating_makes_the_schema_of_the_tables(url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from r2rise_service.storage.tables import Table

    store = Store(url)
    assert not store.is_current()
    store.migrate()
    assert store.is_current()
    store.migrate()
    store.close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


def test_an_older_schema_is_not_current(store, url):
    execute(url, "UPDATE alembic_version SET version_num = '0000'")
    assert not store.is_current()


def test_a_database_that_cannot_be_reached_is_not_current(tmp_path):
    (tmp_path / "db").write_bytes(b"no database at all" * 100)
    store = Store(f"sqlite:///{tmp_path / 'db'}")
    assert not store.is_current()
    store.close()


@pytest.mark.slow
def test_several_processes_may_migrate_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'db'}"
    code = "import sys; from r2rise_service.storage import Store; Store(sys.argv[1]).migrate()"
    children = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    store = Store(url)
    assert store.is_current()
    store.close()


def open_new_databases(together, folder):
    for number in range(60):
        database = Database(f"sqlite:///{folder / str(number)}")
        together.wait(30)
        with database.writing() as session:
            session.execute(text("CREATE TABLE IF NOT EXISTS anything (number INTEGER)"))
        database.close()


@pytest.mark.slow
def test_several_processes_may_open_a_new_database_at_once(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    arguments = (spawn.Barrier(4), tmp_path)
    children = [spawn.Process(target=open_new_databases, args=arguments) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4


def test_sqlite_is_set_up_and_only_one_connection_writes(tmp_path):
    from r2rise_service.storage.database import Database

    database = Database(f"sqlite:///{tmp_path / 'db'}")
    for opened in (database.writing, database.reading):
        with opened() as session:
            values = [
                session.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        assert values == ["wal", 1, 1, 30_000]
    with database.reading() as session, pytest.raises(OperationalError, match="readonly"):
        session.execute(text("CREATE TABLE t (x INTEGER)"))
    database.close()


def test_a_database_in_memory_is_refused():
    with pytest.raises(ValueError, match="Expected sqlite:///path of a file"):
        Store("sqlite://")


def test_another_process_reads_while_one_writes(tmp_path):
    path = tmp_path / "db"
    store = Store(f"sqlite:///{path}")
    store.migrate()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.keys.valid() == []
        other.execute("COMMIT")
    store.close()


# a database of version 0001

OLD_JOB = """
INSERT INTO jobs (id, owner, kind, status, status_reason, name, labels, warnings, priority,
    dataset_id, sha256, study, study_hash, total, done, failed, revision, version, error,
    created_at, started_at, finished_at)
VALUES (:id, 'me', 'explain', :status, '', 'old', '{}', '[]', 0, 'ds_1', :sha256, :study, 'hash',
    100, 6, 1, 4, 7, NULL, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000',
    '2026-01-01 00:00:12.000000')
"""
OLD_RECORD = """
INSERT INTO records (job_id, kind, "index", packed_mask, training_seed, evaluation_seed, returns,
    status, reason, seconds, attempts, evaluation_seconds)
VALUES (:job, :kind, :index, :mask, :training_seed, :evaluation_seed, :returns, :status, :reason,
    :seconds, :attempts, :evaluation_seconds)
"""
OLD_DATASET = """
INSERT INTO datasets (id, owner, sha256, lengths, obs_shape, act_shape, metadata, created_at)
VALUES ('ds_1', 'you', :sha256, '[40, 40]', '[4]', '[]', '{}', '2026-01-01 00:00:00.000000')
"""
OLD_EVENT = """
INSERT INTO events (job_id, type, data, created_at)
VALUES (:id, 'job.status', '{"status": "queued"}', '2026-01-01 00:00:00.000000')
"""


def old_records() -> list[Record]:
    baselines = baseline_tasks(STUDY, N_SEGMENTS, 2)
    done = [Record(*task.key, np.array([task.index + 0.5])) for task in baselines]
    return [*design_records([2, 0, 1]), *failures([3]), *done]


def make_old(url: str) -> None:
    """Make a database of version 0001 with two jobs that have the same records."""
    from alembic import command

    database = Database(url)
    with database.altering() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    database.close()
    for job, status in (("job_1", "succeeded"), ("job_2", "queued")):
        study = STUDY.model_dump_json()
        content = STUDY.demonstrations
        execute(url, OLD_JOB, id=job, status=status, study=study, sha256=content)
        execute(url, OLD_EVENT, id=job)
        for record in old_records():
            fields = {**record.to_json(), "mask": record.packed_mask}
            execute(url, OLD_RECORD, **{**fields, "job": job, "returns": record.returns.tobytes()})
    execute(url, "INSERT INTO marks (job_id, block, elapsed) VALUES ('job_1', 0, 2.5)")


def test_jobs_and_records_of_version_1_are_kept(url):
    make_old(url)
    store = Store(url)
    assert not store.is_current()
    store.migrate()
    assert store.is_current()
    oracle = Ledger(LedgerHeader(STUDY.design_part(), LENGTHS, N_SEGMENTS), old_records())
    for job in ("job_1", "job_2"):
        ledger = store.records.ledger(job, LENGTHS, N_SEGMENTS)
        for kind in ("design", "baseline", "random_policy"):
            ours, theirs = ledger.records(kind), oracle.records(kind)
            assert [record.to_json() for record in ours] == [record.to_json() for record in theirs]
        assert len(store.jobs.events(job)) == 1
    assert store.records.ledger("job_1", LENGTHS, N_SEGMENTS).elapsed == {0: 2.5}

    done = store.jobs.get("me", "job_1")
    assert (done.study, done.based_on, done.repetitions) == (STUDY, (), None)
    assert done.progress.per_second == pytest.approx(0.5)  # 6 in 12 seconds
    queued = store.records.add("job_2", old_records())  # the same tasks are known
    assert (queued.version, queued.progress.done) == (8, 6)  # the one that failed, failed again
    mended = store.records.add("job_2", design_records([3, 4]))
    assert (mended.progress.done, mended.progress.failed, mended.revision) == (7, 0, 5)
    assert store.jobs.remove("me", "job_1")
    store.close()


def test_jobs_of_older_versions_learn_the_lengths_of_their_demonstrations(url):
    make_old(url)
    execute(url, "UPDATE jobs SET sha256 = 'sha256:gone' WHERE id = 'job_2'")
    execute(url, OLD_DATASET, sha256=STUDY.demonstrations)
    with closing(Store(url)) as store:
        store.migrate()
        assert store.datasets.lengths_of_job("job_1") == LENGTHS
        assert store.datasets.lengths_of_job("job_2") is None
