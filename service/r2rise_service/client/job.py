"""One job on the server."""

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

import httpx2

from r2rise_service.client.errors import Conflict, JobCanceled, JobFailed, WaitTimeout
from r2rise_service.client.reading import read, read_event, read_events
from r2rise_service.client.results import Results
from r2rise_service.kinds import JobKind
from r2rise_service.models import JobEvent, JobInfo, JobProgress, JobStatus, Labels

POLL_SECONDS = 0.5
SILENCE_SECONDS = 20.0
"""A stream of events gives a sign of life in this time: an event, or a comment."""


class Job(Results):
    """A job, as it was when last asked for."""

    def __repr__(self) -> str:
        progress = self.progress
        return f"Job({self.id!r}, {self.status}, {progress.done} of {progress.total})"

    @property
    def id(self) -> str:
        """Id, `job_...`."""
        return self.info.id

    @property
    def kind(self) -> JobKind:
        """`explain`, `certify`, `curate` or `transfer`."""
        return self.info.kind

    @property
    def status(self) -> JobStatus:
        """`queued`, `running`, `canceling`, `succeeded`, `failed` or `canceled`."""
        return self.info.status

    @property
    def progress(self) -> JobProgress:
        """Retrainings done, failed and asked for."""
        return self.info.progress

    def refresh(self) -> Self:
        """Ask the server how the job is."""
        return self._take(self._transport.request("GET", self._path))

    def events(self, *, after: int = 0) -> Iterator[JobEvent]:
        """Yield what happens to the job until it has ended.

        A lost connection is taken up where it was; where event streams do not get through,
        events are asked for again and again. Stopping early leaves the job alone.

        Args:
            after: Number of the last event that is known; 0 for all.

        Raises:
            CannotReach: When the server does not come back.
        """
        while True:
            has_ended, before = not self.refresh().info.is_live, after
            try:
                for event in self._streamed(after):
                    after = event.id
                    yield event
            except httpx2.TransportError:
                for event in self._polled(after):
                    after = event.id
                    yield event
            if after > before:
                continue
            if has_ended:
                return
            time.sleep(POLL_SECONDS)

    def wait(self, *, timeout: float | None = None) -> Self:
        """Wait until the job has succeeded, and return it.

        Ctrl-C stops the waiting, not the job.

        Args:
            timeout: Seconds to wait at most; None waits for ever.

        Raises:
            JobFailed: When it failed.
            JobCanceled: When it was canceled.
            WaitTimeout: When it has not ended in time; it goes on.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        listens = True
        while self.refresh().info.is_live:
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeout(
                    f"Job {self.id} is {self.status} after {timeout:g} s with "
                    f"{self.progress.done} of {self.progress.total} retrainings done. It goes on."
                )
            if listens and left > SILENCE_SECONDS:
                listens = self._listen(deadline - SILENCE_SECONDS)
            else:
                time.sleep(min(POLL_SECONDS, left))
        if self.status == "failed":
            raise JobFailed(f"Job {self.id} failed: {self.info.error or self.info.status_reason}")
        if self.status == "canceled":
            raise JobCanceled(f"Job {self.id} was canceled.")
        return self

    def update(
        self,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        priority: int | None = None,
    ) -> Self:
        """Change name, labels or priority; what is None stays.

        Args:
            name: For people.
            labels: For finding it again; they take the place of all that it has.
            priority: Higher goes first, -100 to 100.

        Raises:
            Conflict: When someone else changed one of them since you asked for the job.
        """
        changes = {
            "name": name,
            "labels": None if labels is None else dict(labels),
            "priority": priority,
        }
        given = {field: value for field, value in changes.items() if value is not None}
        while True:
            seen = self.info
            try:
                return self._change(given)
            except Conflict as error:
                # Progress gives a job a new version, too: only what others wrote is in the way.
                if error.status != 412 or _written(self.refresh().info) != _written(seen):
                    raise

    def cancel(self) -> Self:
        """Stop the job; what was retrained is kept."""
        return self._take(self._transport.request("POST", f"{self._path}/cancel", repeatable=True))

    def retry(self) -> Self:
        """Go on with a job that failed or was canceled.

        Raises:
            Conflict: While it is live.
        """
        return self._take(self._transport.request("POST", f"{self._path}/retry"))

    def delete(self) -> None:
        """Delete the job with its retrainings.

        Raises:
            Conflict: While it is live.
        """
        self._transport.request("DELETE", self._path)

    def _change(self, fields: dict[str, Any]) -> Self:
        headers = {"If-Match": f'"{self.info.version}"'}
        return self._take(
            self._transport.request("PATCH", self._path, json=fields, headers=headers)
        )

    def _take(self, response: httpx2.Response) -> Self:
        self.info = read(JobInfo, response.content)
        return self

    def _listen(self, until: float) -> bool:
        """Wait for the end of the job by its stream of events, one request for all of the time.

        Args:
            until: When to stop at the first sign of life, by the monotonic clock.

        Returns:
            Whether a stream got through.
        """
        heard = False
        try:
            with self._transport.events(f"{self._path}/events", after=0) as response:
                for _ in response.iter_bytes():
                    heard = True
                    if time.monotonic() > until:
                        break
        except httpx2.TransportError:
            pass
        return heard

    def _streamed(self, after: int) -> Iterator[JobEvent]:
        with self._transport.events(f"{self._path}/events", after=after) as response:
            for event in httpx2.EventSource(response):
                if event.data:
                    yield read_event(event.data)

    def _polled(self, after: int) -> Iterator[JobEvent]:
        response = self._transport.request(
            "GET",
            f"{self._path}/events",
            params={"after": after},
            headers={"Accept": "application/json", "Last-Event-ID": str(after)},
        )
        yield from read_events(response.content)


def _written(info: JobInfo) -> tuple[str, Labels, int]:
    """Return what people write into a job."""
    return info.name, info.labels, info.priority
