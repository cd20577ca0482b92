"""What every request can use."""

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

Answered = TypeVar("Answered")


QUICK = 2
"""Threads for quick questions: more of them would only wait for each other."""

ENDED_KEPT = 2048
"""Ended jobs that are kept as they are sent."""

INSPECTIONS = 2
"""Uploads that are looked into at once, each in a process of its own; the others wait."""


@dataclass(frozen=True)
class Context:
    """The parts of the service.

    Attributes:
        settings: What the operator decided.
        store: State.
        files: Demonstrations by their content.
        reconciler: What moves jobs on.
        maps: Importance maps, each computed once.
        outcomes: Results of other kinds of jobs, and reports.
        metrics: What is counted.
        quick: Lets few threads answer what is asked often and found at once.
        inspections: Lets few uploads be looked into at once.
        ended: Ended jobs as they are sent.
        stopping: Set when the server shuts down; event streams end then.
    """

    settings: Settings
    store: Store
    files: DatasetFiles
    reconciler: Reconciler
    maps: Maps
    outcomes: Outcomes
    metrics: Metrics
    stopping: threading.Event = field(default_factory=threading.Event)
    quick: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(QUICK))
    ended: SingleFlight = field(default_factory=lambda: SingleFlight(ENDED_KEPT))
    inspections: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(INSPECTIONS))

    async def quickly(self, ask: Callable[[], Answered]) -> Answered:
        """Return the answer to a quick question of the store.

        SQLite has it sooner than another thread would be woken; PostgreSQL is waited for in one.
        """
        if self.settings.on_sqlite:
            return ask()
        return await run_sync(ask, limiter=self.quick)


# Each `async`, as FastAPI would hand a plain function to another thread.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _owner(request: Request) -> str:
    caller: Caller = request.state.caller
    return caller.owner


async def _json_only(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        detail = f"Expected application/json, got {kind or 'no type'!r}."
        raise ProblemError(415, "unsupported-media-type", detail)


JSON_ONLY = [Depends(_json_only)]
"""Of routes whose body is JSON."""

InContext = Annotated[Context, Depends(_context)]
Owner = Annotated[str, Depends(_owner)]
