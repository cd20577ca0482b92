"""What a line of the server's log looks like."""

import json
import logging
import subprocess
import sys

from r2rise_service.logs import formatter

PROGRAM = """
import logging, warnings
from r2rise_service.logs import configure

def work():
    logging.getLogger("others").info("chatter")
    logging.getLogger("others").warning("two\\nlines")
    warnings.warn("careful")

if __name__ == "__main__":
    configure("info")
    from distributed import Client, LocalCluster
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster, Client(cluster) as client:
        client.submit(work).result()
"""


def record(**extra) -> logging.LogRecord:
    try:
        raise ValueError("no way\nat all")
    except ValueError:
        info = sys.exc_info()
    found = logging.LogRecord("r2rise_service.x", 40, "x.py", 1, "job %s", ("j",), info)
    found.__dict__.update(extra)
    return found


def test_a_line_is_json_with_fields_and_a_traceback():
    line = formatter(on_terminal=False).format(record(job="j", shard="design-0"))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["event"], found["level"], found["logger"]) == (
        "job j",
        "error",
        "r2rise_service.x",
    )
    assert (found["job"], found["shard"]) == ("j", "design-0")
    assert "ValueError: no way\nat all" in found["exception"]
    assert found["timestamp"].endswith("Z")


def test_on_a_terminal_it_is_for_people():
    text = formatter(on_terminal=True).format(record(job="j"))
    assert "job j" in text
    assert "ValueError" in text
    assert not text.startswith("{")


def test_worker_processes_log_in_the_same_way(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    found = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout == ""
    lines = [json.loads(line) for line in found.stderr.splitlines()]
    assert [line["event"] for line in lines if line["logger"] == "others"] == ["two\nlines"]
    (warned,) = [line for line in lines if line["logger"] == "py.warnings"]
    assert "careful" in warned["event"]
    assert {line["level"] for line in lines} == {"warning"}
