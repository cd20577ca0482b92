"""Load on a server, from a process of its own; `service_load.py` starts it.

python benchmarks/load_generator.py requests|streams|uploads '{"url": ..., "key": ..., ...}'

Prints what it measured as JSON.
"""

import asyncio
import itertools
import json
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

CONNECTIONS = 32


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return milliseconds that half, 99 % and all of the requests stay within."""
    found = 1000 * np.quantile(seconds, [0.5, 0.99, 1.0])
    return dict(zip(("p50_ms", "p99_ms", "max_ms"), found.round(2).tolist(), strict=True))


async def requests(
    url: str, key: str, jobs: list[str], rate: float, seconds: float, list_every: int
) -> dict[str, Any]:
    """Ask at fixed times whether or not answers came: latency counts from the time planned.

    Args:
        url: The server.
        key: API key.
        jobs: Ids that are asked for in turn.
        rate: Requests a second.
        seconds: How long.
        list_every: Every so many requests is for a list of 50 jobs instead.
    """
    latencies: dict[str, list[float]] = {"job": [], "list": []}
    statuses: Counter[int] = Counter()
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    headers = {"Authorization": f"Bearer {key}"}
    ids = itertools.cycle(jobs)
    async with httpx2.AsyncClient(
        base_url=f"{url}/api/v1", headers=headers, limits=limits, timeout=60
    ) as client:

        async def ask(kind: str, planned: float) -> None:
            answer = await client.get("/jobs" if kind == "list" else f"/jobs/{next(ids)}")
            latencies[kind].append(time.perf_counter() - planned)
            statuses[answer.status_code] += 1

        await asyncio.gather(*(client.get("/jobs") for _ in range(CONNECTIONS)))  # connect
        start, tasks = time.perf_counter() + 0.1, []
        for number in range(round(rate * seconds)):
            planned = start + number / rate
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
            kind = "list" if number % list_every == 0 else "job"
            tasks.append(asyncio.create_task(ask(kind, planned)))
        await asyncio.gather(*tasks)
    return {
        "requests": sum(statuses.values()),
        "statuses": dict(statuses),
        **percentiles([*latencies["job"], *latencies["list"]]),
        "job_p99_ms": percentiles(latencies["job"])["p99_ms"],
        "list_p99_ms": percentiles(latencies["list"])["p99_ms"],
    }


async def streams(url: str, key: str, jobs: list[str], copies: int) -> dict[str, Any]:
    """Follow jobs with several streams each, until all have ended.

    Returns:
        For each job the states that each of its streams told, in order.
    """
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(
        base_url=f"{url}/api/v1", headers=headers, limits=limits, timeout=None
    ) as client:

        async def follow(job: str) -> list[str]:
            states, kind = [], ""
            async with client.stream("GET", f"/jobs/{job}/events") as answer:
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data" and kind == "job.status":
                        states.append(json.loads(value)["data"]["status"])
            return states

        found = await asyncio.gather(*(follow(job) for job in jobs for _ in range(copies)))
    return {"states": [found[start : start + copies] for start in range(0, len(found), copies)]}


def uploads(url: str, key: str, files: list[str]) -> dict[str, Any]:
    """Upload files, all at once."""
    together = threading.Barrier(len(files))

    def upload(path: str) -> tuple[int, float]:
        with (
            httpx2.Client(headers={"Authorization": f"Bearer {key}"}, timeout=600) as client,
            Path(path).open("rb") as file,
        ):
            together.wait()
            started = time.perf_counter()
            answer = client.post(f"{url}/api/v1/datasets", files={"file": file})
            return answer.status_code, time.perf_counter() - started

    with ThreadPoolExecutor(len(files)) as pool:
        found = list(pool.map(upload, files))
    statuses = Counter(status for status, _ in found)
    return {"statuses": dict(statuses), "seconds": round(max(own for _, own in found), 1)}


def main(what: str, arguments: str) -> None:
    """Do what was asked."""
    asked = json.loads(arguments)
    if what == "uploads":
        found = uploads(**asked)
    else:
        found = asyncio.run({"requests": requests, "streams": streams}[what](**asked))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
