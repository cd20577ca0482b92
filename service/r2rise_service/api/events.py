"""`/jobs/{id}/events`: what happens to a job, as a stream or as a list."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Header, Query, Request
from prometheus_client import Gauge
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from r2rise_service.api.context import Owner, RequestContext
from r2rise_service.api.jobs import require_job
from r2rise_service.models import Answer, JobEvent
from r2rise_service.storage import Store

router = APIRouter(tags=["jobs"])

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0

PAGE_SIZE = 500
"""Events per query."""


class EventList(Answer):
    """Events of a job, in order; to get more, ask again with the last id."""

    data: tuple[JobEvent, ...]


class NewEvents(NamedTuple):
    """The events of a job after a known one.

    Attributes:
        text: The events as they are sent; all streams that wait for them share this object.
        last: Number of the newest event so far.
        has_ended: Whether no event will follow.
    """

    text: bytes
    last: int
    has_ended: bool


WaitForEvents = Callable[[int, bool], Awaitable[NewEvents]]
"""Waits for new events, given the last known number and whether to query before waiting."""


@router.get(
    "/jobs/{job_id}/events",
    response_model=EventList,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    request: Request,
    job_id: str,
    context: RequestContext,
    owner: Owner,
    after: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**63)] = None,
) -> Any:
    """Return the events after a number: as a stream if Accept allows it, else as a list."""
    await run_in_threadpool(require_job, context, owner, job_id)
    last = last_event_id if last_event_id is not None else after or 0
    if "text/event-stream" not in request.headers.get("accept", ""):
        page = await run_in_threadpool(context.store.jobs.events, job_id, after=last)
        return EventList(data=tuple(page))
    poller: EventPoller = request.app.state.event_poller

    lines = stream(partial(poller.wait_for_events, owner, job_id), last)
    counted_lines = _count_open(lines, context.metrics.streams)
    return StreamingResponse(counted_lines, media_type="text/event-stream")


async def stream(
    wait: WaitForEvents, last: int, *, heartbeat: float = HEARTBEAT_SECONDS
) -> AsyncIterator[bytes]:
    """Yield server-sent events until the last one of an ended job, or until the server stops.

    Args:
        wait: Waits for new events.
        last: Number of the last event that the client has.
        heartbeat: Seconds of silence after which a comment shows that the stream is alive.
    """
    at_once = True
    while True:
        try:
            async with asyncio.timeout(heartbeat):
                new_events = await wait(last, at_once)
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if new_events.text:
            yield new_events.text
        if new_events.has_ended:
            return
        last, at_once = new_events.last, False


async def _count_open(lines: AsyncIterator[bytes], streams: Gauge) -> AsyncIterator[bytes]:
    """Yield the lines of a stream, and count it as open until it ends."""
    with streams.track_inprogress():
        async for line in lines:
            yield line


def drop_superseded(events: Sequence[JobEvent]) -> list[JobEvent]:
    """Drop events of progress and new maps that a later event in the sequence supersedes."""
    latest = {event.type: event.id for event in events}
    superseded_types = ("job.progress", "job.importance")
    return [e for e in events if e.type not in superseded_types or e.id == latest[e.type]]


def render_events(events: Sequence[JobEvent]) -> bytes:
    """Return events in the format of server-sent events."""
    return "".join(
        f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
        for event in events
    ).encode()


class EventPoller:
    """Polls the store for all event streams; streams that wait for the same events share a task.

    A waiting stream costs nothing: the task queries the store, and renders new events once for all.

    Args:
        store: Where the events are.
        is_stopping: Returns whether the server shuts down.
        poll_seconds: Time between two queries.
    """

    def __init__(
        self, store: Store, is_stopping: Callable[[], bool], poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._store, self._is_stopping, self._poll_seconds = store, is_stopping, poll_seconds
        self._tasks: dict[tuple[str, str, int, bool], asyncio.Task[NewEvents]] = {}
        self._waiting: Counter[tuple[str, str, int, bool]] = Counter()

    async def wait_for_events(self, owner: str, job_id: str, last: int, at_once: bool) -> NewEvents:
        """Wait for the events of a job after the last known one.

        Args:
            owner: Owner of the job.
            job_id: Id of the job.
            last: Number of the last known event.
            at_once: Whether to query the store before waiting for the first time.
        """
        key = owner, job_id, last, at_once
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._poll(*key))
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._tasks[key]
                task.cancel()  # no stream waits for it any more

    async def _poll(self, owner: str, job_id: str, last: int, at_once: bool) -> NewEvents:
        if not at_once:
            await asyncio.sleep(self._poll_seconds)
        while not self._is_stopping():
            new_events = await run_in_threadpool(self._read_events, owner, job_id, last)
            if new_events.text or new_events.has_ended:
                return new_events
            await asyncio.sleep(self._poll_seconds)
        return NewEvents(b"", last, has_ended=True)

    def _read_events(self, owner: str, job_id: str, last: int) -> NewEvents:
        # The job is read first: when it has ended by then, no event can follow those read below.
        job = self._store.jobs.get(owner, job_id)
        has_ended = job is None or not job.is_live
        events: list[JobEvent] = []
        while page := self._store.jobs.events(job_id, after=last, limit=PAGE_SIZE):
            events, last = drop_superseded([*events, *page]), page[-1].id
            if len(page) < PAGE_SIZE:
                break
        return NewEvents(render_events(events), last, has_ended)
