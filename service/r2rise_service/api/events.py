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

from r2rise_service.api.context import InContext, Owner
from r2rise_service.api.jobs import known_job
from r2rise_service.models import Answer, JobEvent
from r2rise_service.storage import Store

router = APIRouter(tags=["jobs"])

LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0

PAGE = 500
"""Events read at a time."""


class EventList(Answer):
    """Events of a job, in order; ask again with the last id for more."""

    data: tuple[JobEvent, ...]


class NewEvents(NamedTuple):
    """What happened to a job since an event.

    Attributes:
        text: The events as they are sent; one piece for all streams that wait for them.
        last: Number of the newest event known now.
        has_ended: Whether no event will follow.
    """

    text: bytes
    last: int
    has_ended: bool


Wait = Callable[[int, bool], Awaitable[NewEvents]]
"""From the last event known, and whether to look at once, to what is new."""


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
        found = await run_in_threadpool(context.store.jobs.events, job_id, after=last)
        return EventList(data=tuple(found))
    looks: EventPoller = request.app.state.looks

    lines = stream(partial(looks.news, owner, job_id), last)
    counted = _counted(lines, context.metrics.streams)
    return StreamingResponse(counted, media_type="text/event-stream")


async def stream(
    wait: Wait, last: int, *, heartbeat: float = HEARTBEAT_SECONDS
) -> AsyncIterator[bytes]:
    """Yield server-sent events until the last one of an ended job, or until the server stops.

    Args:
        wait: Waits for what is new.
        last: Number of the last event that is known.
        heartbeat: Seconds of silence after which a comment shows that the stream lives.
    """
    at_once = True
    while True:
        try:
            async with asyncio.timeout(heartbeat):
                news = await wait(last, at_once)
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if news.text:
            yield news.text
        if news.has_ended:
            return
        last, at_once = news.last, False


async def _counted(lines: AsyncIterator[bytes], streams: Gauge) -> AsyncIterator[bytes]:
    """Yield the lines of a stream that counts as open meanwhile."""
    with streams.track_inprogress():
        async for line in lines:
            yield line


def thinned(new: Sequence[JobEvent]) -> list[JobEvent]:
    """Leave out what a later event of the same look has overtaken: progress and new maps."""
    latest = {event.type: event.id for event in new}
    overtaken = ("job.progress", "job.importance")
    return [e for e in new if e.type not in overtaken or e.id == latest[e.type]]


def rendered(events: Sequence[JobEvent]) -> bytes:
    """Return events as a stream sends them."""
    return "".join(
        f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
        for event in events
    ).encode()


class EventPoller:
    """EventPoller into the store for all streams: those that know equally much wait for one task.

    A stream that waits costs nothing: the task looks, and renders what is new once for all.

    Args:
        store: What is looked into.
        is_stopping: Whether the server shuts down.
        every: Seconds between looks.
    """

    def __init__(
        self, store: Store, is_stopping: Callable[[], bool], every: float = LOOK_SECONDS
    ) -> None:
        self._store, self._is_stopping, self._every = store, is_stopping, every
        self._tasks: dict[tuple[str, str, int, bool], asyncio.Task[NewEvents]] = {}
        self._waiting: Counter[tuple[str, str, int, bool]] = Counter()

    async def news(self, owner: str, job_id: str, last: int, at_once: bool) -> NewEvents:
        """Wait for what happens to a job after the last event known.

        Args:
            owner: Whose job it is.
            job_id: The job.
            last: Number of the last event that is known.
            at_once: Whether to look before waiting for the first time.
        """
        key = owner, job_id, last, at_once
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._found(*key))
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._tasks[key]
                task.cancel()  # nobody waits for it any more

    async def _found(self, owner: str, job_id: str, last: int, at_once: bool) -> NewEvents:
        if not at_once:
            await asyncio.sleep(self._every)
        while not self._is_stopping():
            news = await run_in_threadpool(self._look, owner, job_id, last)
            if news.text or news.has_ended:
                return news
            await asyncio.sleep(self._every)
        return NewEvents(b"", last, has_ended=True)

    def _look(self, owner: str, job_id: str, last: int) -> NewEvents:
        # The job first: when it had ended by then, no event can follow those found now.
        job = self._store.jobs.get(owner, job_id)
        has_ended = job is None or not job.is_live
        new: list[JobEvent] = []
        while page := self._store.jobs.events(job_id, after=last, limit=PAGE):
            new, last = thinned([*new, *page]), page[-1].id
            if len(page) < PAGE:
                break
        return NewEvents(rendered(new), last, has_ended)
