"""`/jobs/{id}/events`: what happens to a job, as a stream or as a list."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from prometheus_client import Gauge
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from r2rise_service.api.answers import EventList
from r2rise_service.api.context import InContext, Owner
from r2rise_service.api.jobs import known_job
from r2rise_service.models import JobEvent
from r2rise_service.storage.store import Store

router = APIRouter(tags=["jobs"])

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0

Found = tuple[bool, list[JobEvent]]
"""Whether the job had ended, and the events after the last one known."""

Look = Callable[[int], Awaitable[Found]]
"""From the last event known to what is new."""


@router.get(
    "/jobs/{job_id}/events",
    response_model=EventList,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    request: Request,
    job_id: str,
    context: InContext,
    owner: Owner,
    after: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**63)] = None,
) -> Any:
    """Return events after a number: a stream where it is accepted, else a list."""
    await run_in_threadpool(known_job, context, owner, job_id)
    last = last_event_id if last_event_id is not None else after or 0
    if "text/event-stream" not in request.headers.get("accept", ""):
        found = await run_in_threadpool(context.store.events, job_id, after=last)
        return EventList(data=tuple(found))
    looks: Looks = request.app.state.looks

    async def look(last: int) -> Found:
        return await looks.look(owner, job_id, last)

    lines = stream(look, last, context.stopping.is_set)
    counted = _counted(lines, context.metrics.streams)
    return StreamingResponse(counted, media_type="text/event-stream")


async def stream(
    look: Look,
    last: int,
    is_stopping: Callable[[], bool],
    *,
    every: float = LOOK_SECONDS,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> AsyncIterator[str]:
    """Yield server-sent events until the last one of an ended job, or until the server stops.

    Args:
        look: Finds what is new.
        last: Number of the last event that is known.
        is_stopping: Whether the server shuts down.
        every: Seconds between looks.
        heartbeat: Seconds of silence after which a comment shows that the stream lives.
    """
    silent = 0.0
    while not is_stopping():
        has_ended, new = await look(last)
        if new:
            last, silent = new[-1].id, 0.0
            yield "".join(
                f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
                for event in thinned(new)
            )
            continue
        if has_ended:
            return
        if silent >= heartbeat:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(every)
        silent += every


async def _counted(lines: AsyncIterator[str], streams: Gauge) -> AsyncIterator[str]:
    """Yield the lines of a stream that counts as open meanwhile."""
    with streams.track_inprogress():
        async for line in lines:
            yield line


def thinned(new: Sequence[JobEvent]) -> list[JobEvent]:
    """Leave out what a later event of the same look has overtaken: progress and new maps."""
    latest = {event.type: event.id for event in new}
    overtaken = ("job.progress", "job.importance")
    return [e for e in new if e.type not in overtaken or e.id == latest[e.type]]


class Looks:
    """Looks into the store for all streams: those that know equally much share one.

    Args:
        store: What is looked into.
        every: Seconds for which what was found is good enough.
    """

    def __init__(self, store: Store, every: float = LOOK_SECONDS / 2) -> None:
        self._store, self._every = store, every
        self._newest: dict[tuple[str, str, int], tuple[float, asyncio.Task[Found]]] = {}

    async def look(self, owner: str, job_id: str, last: int) -> Found:
        """Return what happened to a job after the last event known."""
        now = time.monotonic()
        for key, (began, _) in list(self._newest.items()):
            if now - began <= self._every:
                break  # the older ones come first
            del self._newest[key]
        key = owner, job_id, last
        if key not in self._newest:
            task = asyncio.create_task(run_in_threadpool(self._look, *key))
            self._newest[key] = now, task
        return await asyncio.shield(self._newest[key][1])

    def _look(self, owner: str, job_id: str, last: int) -> Found:
        # The job first: when it had ended by then, no event can follow those found now.
        job = self._store.job(owner, job_id)
        has_ended = job is None or not job.is_live
        return has_ended, self._store.events(job_id, after=last)
