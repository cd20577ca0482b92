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
"""Within this time, a stream that is alive sends an event or a comment."""


class Job(Results):
    """A job in the state of its last request to the server."""

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
        """Numbers of retrainings: done, failed and total."""
        return self.info.progress

    def refresh(self) -> Self:
        """Request the current state of the job from the server."""
        return self._update_info(self._transport.request("GET", self._path))

    def events(self, *, after: int = 0) -> Iterator[JobEvent]:
        """Yield the events of the job until it has ended.

        After a lost connection, events continue where they stopped. Where event streams are
        blocked, for example by a proxy, events are polled. Stopping early does not affect the job.

        Args:
            after: Number of the last known event; 0 for all events.

        Raises:
            CannotReach: When the server stays unreachable.
        """
        while True:
            has_ended, start = not self.refresh().info.is_live, after
            try:
                for event in self._stream_events(after):
                    after = event.id
                    yield event
            except httpx2.TransportError:
                for event in self._poll_events(after):
                    after = event.id
                    yield event
            if after > start:
                continue
            if has_ended:
                return
            time.sleep(POLL_SECONDS)

    def wait(self, *, timeout: float | None = None) -> Self:
        """Wait until the job has succeeded, and return it.

        Ctrl-C stops the waiting, not the job.

        Args:
            timeout: Seconds to wait at most; None means no limit.

        Raises:
            JobFailed: When the job failed.
            JobCanceled: When the job was canceled.
            WaitTimeout: When the job has not ended in time; it goes on.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        use_stream = True
        while self.refresh().info.is_live:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise WaitTimeout(
                    f"Job {self.id} is {self.status} after {timeout:g} s with "
                    f"{self.progress.done} of {self.progress.total} retrainings done. It continues."
                )
            if use_stream and remaining > SILENCE_SECONDS:
                use_stream = self._wait_on_stream(deadline - SILENCE_SECONDS)
            else:
                time.sleep(min(POLL_SECONDS, remaining))
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
        """Change name, labels or priority; None leaves a field unchanged.

        Args:
            name: Name for people.
            labels: Labels to find the job by; they replace all existing labels.
            priority: -100 to 100; higher priorities go first.

        Raises:
            Conflict: When someone else changed one of these fields since the last `refresh`.
        """
        changes = {
            "name": name,
            "labels": None if labels is None else dict(labels),
            "priority": priority,
        }
        fields = {field: value for field, value in changes.items() if value is not None}
        while True:
            previous_fields = _editable_fields(self.info)
            try:
                return self._patch(fields)
            except Conflict as error:
                # Progress gives a job a new version, too: it must not count as a conflict.
                if error.status != 412 or _editable_fields(self.refresh().info) != previous_fields:
                    raise

    def cancel(self) -> Self:
        """Stop the job; finished retrainings are kept."""
        return self._update_info(
            self._transport.request("POST", f"{self._path}/cancel", repeatable=True)
        )

    def retry(self) -> Self:
        """Continue a job that failed or was canceled.

        Raises:
            Conflict: While the job is live.
        """
        return self._update_info(self._transport.request("POST", f"{self._path}/retry"))

    def delete(self) -> None:
        """Delete the job with its retrainings.

        Raises:
            Conflict: While the job is live.
        """
        self._transport.request("DELETE", self._path)

    def _patch(self, fields: dict[str, Any]) -> Self:
        headers = {"If-Match": f'"{self.info.version}"'}
        return self._update_info(
            self._transport.request("PATCH", self._path, json=fields, headers=headers)
        )

    def _update_info(self, response: httpx2.Response) -> Self:
        self.info = read(JobInfo, response.content)
        return self

    def _wait_on_stream(self, until: float) -> bool:
        """Wait for the end of the job on its event stream, with one request for the whole time.

        Args:
            until: Time of the monotonic clock after which the next received bytes end the wait.

        Returns:
            Whether the stream delivered anything.
        """
        has_received = False
        try:
            with self._transport.events(f"{self._path}/events", after=0) as response:
                for _ in response.iter_bytes():
                    has_received = True
                    if time.monotonic() > until:
                        break
        except httpx2.TransportError:
            pass
        return has_received

    def _stream_events(self, after: int) -> Iterator[JobEvent]:
        with self._transport.events(f"{self._path}/events", after=after) as response:
            for event in httpx2.EventSource(response):
                if event.data:
                    yield read_event(event.data)

    def _poll_events(self, after: int) -> Iterator[JobEvent]:
        response = self._transport.request(
            "GET",
            f"{self._path}/events",
            params={"after": after},
            headers={"Accept": "application/json", "Last-Event-ID": str(after)},
        )
        yield from read_events(response.content)


def _editable_fields(info: JobInfo) -> tuple[str, Labels, int]:
    """Return the fields that `update` changes."""
    return info.name, info.labels, info.priority
