"""What route functions depend on: the parts of the service, and the caller."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Request

from r2rise_service.api.access import Caller
from r2rise_service.api.computed import Maps, Outcomes, SingleFlight
from r2rise_service.api.metrics import Metrics
from r2rise_service.api.problems import ProblemError
from r2rise_service.queue.reconciler import Reconciler
from r2rise_service.settings import Settings
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles

Result = TypeVar("Result")


QUICK_THREADS = 2
"""Threads for quick queries; more of them would only wait for each other."""

ENDED_JOBS_CACHED = 2048
"""Number of ended jobs that are cached as JSON."""

MAX_INSPECTIONS = 2
"""Uploads that are inspected at once, each in a separate process; the others wait."""


@dataclass(frozen=True)
class Context:
    """The parts of the service.

    Attributes:
        settings: The operator's settings.
        store: The database.
        files: Demonstrations as files, named by their content.
        reconciler: Runs the jobs.
        maps: Importance maps, each computed once.
        outcomes: Results of other kinds of jobs, and reports.
        metrics: Counters for Prometheus.
        stopping: Set when the server shuts down; event streams end then.
        quick_limiter: Limits the threads for frequent, quick queries.
        ended_jobs: Ended jobs as JSON.
        inspection_limiter: Limits the uploads that are inspected at once.
    """

    settings: Settings
    store: Store
    files: DatasetFiles
    reconciler: Reconciler
    maps: Maps
    outcomes: Outcomes
    metrics: Metrics
    stopping: threading.Event = field(default_factory=threading.Event)
    quick_limiter: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(QUICK_THREADS))
    ended_jobs: SingleFlight = field(default_factory=lambda: SingleFlight(ENDED_JOBS_CACHED))
    inspection_limiter: CapacityLimiter = field(
        default_factory=lambda: CapacityLimiter(MAX_INSPECTIONS)
    )

    async def run_quick(self, query: Callable[[], Result]) -> Result:
        """Return the result of a quick query of the store.

        SQLite answers sooner than another thread would wake up, so that it is asked right here;
        PostgreSQL is waited for in a thread.
        """
        if self.settings.on_sqlite:
            return query()
        return await run_sync(query, limiter=self.quick_limiter)


# These are `async` because FastAPI would run plain functions in another thread.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _owner(request: Request) -> str:
    caller: Caller = request.state.caller
    return caller.owner


async def _json_only(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        detail = f"Expected application/json, got {media_type or 'no type'!r}."
        raise ProblemError(415, "unsupported-media-type", detail)


JSON_ONLY = [Depends(_json_only)]
"""Dependencies of routes whose body is JSON."""

RequestContext = Annotated[Context, Depends(_context)]
Owner = Annotated[str, Depends(_owner)]
