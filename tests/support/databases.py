"""Databases for tests: SQLite, and a private PostgreSQL of the test session."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from needs import require
from ports import free_port
from sqlalchemy import create_engine, text

WHO_MAY_CONNECT = """
host all tester 127.0.0.1/32 trust
host all all    127.0.0.1/32 scram-sha-256
"""


def as_postgres(*command):
    """Run a tool of PostgreSQL, which refuses to be root."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*user, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """URL of a private PostgreSQL, without the name of a database."""
    require(shutil.which("initdb") is not None, "PostgreSQL is not installed")
    require(shutil.which("pg_ctl") is not None, "PostgreSQL is not installed")
    folder = Path("/tmp") / f"r2rise-postgres-{os.getpid()}"  # the user postgres must get there
    port = free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    as_postgres("initdb", "-D", str(folder), "-A", "trust", "-U", "tester", "--no-sync")
    (folder / "pg_hba.conf").write_text(WHO_MAY_CONNECT)
    try:
        as_postgres(
            "pg_ctl", "-D", str(folder), "-w", "-o", options, "-l", f"{folder}/log", "start"
        )
        yield f"postgresql+psycopg://tester@127.0.0.1:{port}/"
        as_postgres("pg_ctl", "-D", str(folder), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """URL of a new database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'r2rise.sqlite'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def postgres_url(postgres):
    """URL of a new database on PostgreSQL."""
    name = f"test_{os.urandom(6).hex()}"
    engine = create_engine(f"{postgres}postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{postgres}{name}"
