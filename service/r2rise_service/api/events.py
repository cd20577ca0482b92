"""`/jobs/{id}/events`: what happens to a job, as a stream or as a list."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from prometheus_client import Gauge
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from r2rise_service.api.answers import EventList
from r2rise_service.api.context import Context, InContext, Owner
from r2rise_service.api.jobs import known_job
from r2rise_service.models import JobEvent

router = APIRouter(tags=["jobs"])

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0

Look = Callable[[int], tuple[bool, list[JobEvent]]]
"""From the last event known: whether the job had ended, and the events after it."""


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
    lines = stream(_look(context, owner, job_id), last, context.stopping.is_set)
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
        has_ended, new = await run_in_threadpool(look, last)
        if new:
            last, silent = new[-1].id, 0.0
            for event in thinned(new):
                yield f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
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


def _look(context: Context, owner: str, job_id: str) -> Look:
    def look(last: int) -> tuple[bool, list[JobEvent]]:
        # The job first: when it had ended by then, no event can follow those found now.
        job = context.store.job(owner, job_id)
        has_ended = job is None or not job.is_live
        return has_ended, context.store.events(job_id, after=last)

    return look
