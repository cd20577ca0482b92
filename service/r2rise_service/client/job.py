"""One job on the server."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx2

from r2rise.errors import InputError
from r2rise.files import atomic_file
from r2rise.importance import ImportanceMap
from r2rise_service.client.errors import ApiError, JobCanceled, JobFailed, WaitTimeout
from r2rise_service.client.transport import TRY_AGAIN, Transport
from r2rise_service.models import JobEvent, JobInfo, JobProgress, JobStatus

POLL_SECONDS = 0.5
ENDINGS = (".json", ".csv", ".npz", ".png")


class Job:
    """A job, as it was when last asked for.

    Attributes:
        info: Everything the server says about it.
    """

    def __init__(self, transport: Transport, info: JobInfo) -> None:
        self._transport = transport
        self.info = info

    def __repr__(self) -> str:
        progress = self.progress
        return f"Job({self.id!r}, {self.status}, {progress.done} of {progress.total})"

    @property
    def id(self) -> str:
        """Id, `job_...`."""
        return self.info.id

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
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.refresh().info.is_live:
            left = POLL_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeout(
                    f"Job {self.id} is {self.status} after {timeout:g} s with "
                    f"{self.progress.done} of {self.progress.total} retrainings done. It goes on."
                )
            time.sleep(min(POLL_SECONDS, left))
        if self.status == "failed":
            raise JobFailed(f"Job {self.id} failed: {self.info.error or self.info.status_reason}")
        if self.status == "canceled":
            raise JobCanceled(f"Job {self.id} was canceled.")
        return self

    def importance(self, estimator: str | None = None) -> ImportanceMap:
        """Return the importance map, also while the job is running (`partial`).

        Args:
            estimator: `difference`, `ridge`, `rise` or `rise_normalized`; None for the study's.

        Raises:
            Conflict: Before the first usable retraining (`code` is `not-ready`).
        """
        response = self._transport.request(
            "GET",
            f"{self._path}/importance",
            params={"estimator": estimator} if estimator else {},
            headers={"Accept": "application/json"},
        )
        return ImportanceMap.from_json(response.text)

    def download(self, path: str | Path, *, estimator: str | None = None) -> Path:
        """Write the importance map to a file and return its path.

        Args:
            path: Its ending says the format: `.json`, `.csv`, `.npz` or `.png`.
            estimator: As in `importance`.

        Raises:
            InputError: For another ending.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in ENDINGS:
            raise InputError(f"A map is downloaded as {', '.join(ENDINGS)}, not as {path.name!r}.")
        response = self._transport.request(
            "GET",
            f"{self._path}/importance{ending}",
            params={"estimator": estimator} if estimator else {},
        )
        with atomic_file(path) as file:
            file.write(response.content)
        return path

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

    @property
    def _path(self) -> str:
        return f"/jobs/{self.id}"

    def _take(self, response: httpx2.Response) -> Self:
        self.info = JobInfo.model_validate_json(response.content)
        return self

    def _streamed(self, after: int) -> Iterator[JobEvent]:
        try:
            with self._transport.events(f"{self._path}/events", after=after) as events:
                for event in events:
                    if event.data:
                        yield JobEvent.model_validate_json(event.data)
        except ApiError as error:
            if error.status not in TRY_AGAIN:
                raise
            raise httpx2.RemoteProtocolError(error.detail) from None

    def _polled(self, after: int) -> Iterator[JobEvent]:
        response = self._transport.request(
            "GET",
            f"{self._path}/events",
            params={"after": after},
            headers={"Accept": "application/json", "Last-Event-ID": str(after)},
        )
        for item in response.json()["data"]:
            yield JobEvent.model_validate(item)
