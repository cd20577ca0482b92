"""Sends requests to the server: adds the key, retries, and raises problems as exceptions."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeVar

import httpx2
from pydantic import ValidationError

from r2rise.errors import InputError
from r2rise_service.addresses import is_loopback
from r2rise_service.client.errors import ApiError, CannotReach, to_error
from r2rise_service.client.reading import read
from r2rise_service.models import DatasetPage, JobPage, Problem
from r2rise_service.records import RetrainingPage

logger = logging.getLogger(__name__)

Page = TypeVar("Page", DatasetPage, JobPage, RetrainingPage)

PREFIX = "/api/v1"
FIRST_ATTEMPTS, ATTEMPTS = 3, 9
"""Attempts for a server that has not answered yet, and for one that has: it may be restarting."""
FIRST_DELAY, MAX_DELAY = 0.5, 10.0
MAX_RETRY_AFTER = 60.0
LOGGED_DELAY = 5.0
"""Seconds. Before a delay of this length or longer, the reason is logged."""
RETRYABLE_STATUSES = {408, 429, 500, 502, 503, 504}
REPEATABLE_METHODS = {"GET", "DELETE"}


class Transport:
    """Sends requests, retries them where that is safe, and raises errors as exceptions.

    Args:
        url: URL of the server.
        api_key: API key for the server, or None.
        timeout: Seconds without a response after which an attempt fails.
        transport: Replaces the HTTP transport, for tests.

    Raises:
        InputError: When `url` is not an http or https URL, or the key has characters that cannot
            be sent.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout: float,
        transport: httpx2.BaseTransport | None,
    ) -> None:
        self.url = _check_url(url)
        headers = {"Authorization": f"Bearer {_check_key(api_key)}"} if api_key else {}
        self._client = httpx2.Client(
            base_url=self.url + PREFIX,
            headers=headers,
            timeout=timeout,
            transport=transport,
            # a proxy cannot reach a server on this machine
            trust_env=not is_loopback(httpx2.URL(self.url).host),
        )
        self._has_answered = False

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def request(
        self, method: str, path: str, *, repeatable: bool = False, **parts: Any
    ) -> httpx2.Response:
        """Send a request and return the answer.

        Connection errors and the statuses of `RETRYABLE_STATUSES` are retried with full jitter,
        where sending a request twice is safe.

        Args:
            method: `GET`, `POST`, `PATCH` or `DELETE`.
            path: Path below `/api/v1`.
            repeatable: Whether the request may be sent twice. GET, DELETE and requests with an
                Idempotency-Key always may.
            parts: Arguments of httpx2: `params`, `json`, `files`, `data`, `headers`.

        Raises:
            CannotReach: When no server answers.
            ApiError: When the server answers with a problem.
        """
        headers: Mapping[str, str] = parts.get("headers") or {}
        return self._send_with_retries(
            lambda: self._client.request(method, path, **parts),
            may_repeat=repeatable or method in REPEATABLE_METHODS or "Idempotency-Key" in headers,
            gone_is_done=method == "DELETE",
        )

    def pages(self, path: str, model: type[Page], params: Mapping[str, Any]) -> Iterator[Page]:
        """Yield the pages of a list; each page is requested when it is needed.

        Args:
            path: Path below `/api/v1`.
            model: Model of a page.
            params: Query parameters of the first page; further pages add `page_token`.

        Raises:
            CannotReach: When no server answers.
            ApiError: When the server answers with a problem.
        """
        page_params = dict(params)
        while True:
            page = read(model, self.request("GET", path, params=page_params).content)
            yield page
            if page.next_page_token is None:
                return
            page_params["page_token"] = page.next_page_token

    def download(self, path: str, file: IO[bytes], *, params: Mapping[str, str]) -> None:
        """Stream an answer into a file; after a lost connection, start again from the beginning.

        Raises:
            CannotReach: When no server answers.
            ApiError: When the server answers with a problem.
        """

        def send() -> httpx2.Response:
            with self._client.stream("GET", path, params=params) as response:
                if not response.is_success:
                    response.read()
                    return response
                file.seek(0)
                file.truncate()
                for piece in response.iter_bytes():
                    file.write(piece)
                return response

        self._send_with_retries(send, may_repeat=True)

    @contextmanager
    def events(self, path: str, *, after: int) -> Iterator[httpx2.Response]:
        """Open a stream of server-sent events with numbers above `after`.

        Raises:
            httpx2.TransportError: When the connection is lost, or the status is retryable.
            ApiError: When the server answers with another problem.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._client.stream("GET", path, headers=headers) as response:
            if not response.is_success:
                response.read()
                if response.status_code in RETRYABLE_STATUSES:
                    raise httpx2.RemoteProtocolError(response.reason_phrase)
                raise _response_error(response)
            yield response

    def _send_with_retries(
        self,
        send: Callable[[], httpx2.Response],
        *,
        may_repeat: bool,
        gone_is_done: bool = False,
    ) -> httpx2.Response:
        """Send a request, and retry it after connection errors and retryable statuses.

        Args:
            send: Sends the request once.
            may_repeat: Whether the request may be sent twice.
            gone_is_done: Whether 404 counts as success after an attempt that may have succeeded
                without its answer arriving.

        Raises:
            CannotReach: When no server answers.
            ApiError: When the server answers with a problem.
        """
        attempt, may_have_succeeded = 0, False
        while True:
            attempt += 1
            is_last = not may_repeat or attempt >= self._attempts
            try:
                response = send()
            except httpx2.TransportError as error:
                if is_last:
                    raise self._cannot_reach(error) from None
                may_have_succeeded = may_have_succeeded or not isinstance(
                    error, httpx2.ConnectError
                )
                time.sleep(_delay(attempt))
                continue
            self._has_answered = True
            if response.is_success or (
                gone_is_done and may_have_succeeded and response.status_code == 404
            ):
                return response
            if is_last or response.status_code not in RETRYABLE_STATUSES:
                raise _response_error(response)
            may_have_succeeded = may_have_succeeded or response.status_code >= 500
            delay = _delay(attempt, response.headers.get("Retry-After"))
            if delay >= LOGGED_DELAY:
                logger.warning("%s Trying again in %g s.", _response_error(response).detail, delay)
            time.sleep(delay)

    @property
    def _attempts(self) -> int:
        return ATTEMPTS if self._has_answered else FIRST_ATTEMPTS

    def _cannot_reach(self, error: Exception) -> CannotReach:
        return CannotReach(
            f"No server answers at {self.url} ({error or type(error).__name__}). Start one with "
            "`r2rise serve`, or name another: url=..., --url or R2RISE_URL."
        )


def _check_url(url: str) -> str:
    with suppress(httpx2.InvalidURL):
        parsed = httpx2.URL(url)
        if parsed.scheme in ("http", "https") and parsed.host and not parsed.userinfo:
            return url.rstrip("/")
    # The error does not quote the URL because it may contain a secret.
    raise InputError(
        "The server's URL should look like http://127.0.0.1:8000, without a user name or password."
    )


def _check_key(api_key: str) -> str:
    """Return a key that can be sent. For any other, the error of httpx2 would show the key."""
    key = api_key.strip()
    if key.isascii() and key.isprintable():
        return key
    raise InputError(
        "The API key has characters that keys never have. Copy it again from `r2rise keys create`."
    )


def _delay(attempt: int, retry_after: str | None = None) -> float:
    """Return seconds to wait: the Retry-After of the server, else exponential with full jitter."""
    with suppress(ValueError):
        return min(max(float(retry_after or ""), 0.0), MAX_RETRY_AFTER)
    return random.uniform(0, min(MAX_DELAY, FIRST_DELAY * 2 ** (attempt - 1)))  # noqa: S311


def _response_error(response: httpx2.Response) -> ApiError:
    """Return the exception for an answer, which may come from something else than R2RISE."""
    try:
        return to_error(Problem.model_validate_json(response.content))
    except ValidationError:
        status, reason = response.status_code, response.reason_phrase
        return to_error(
            Problem(
                type="about:blank",
                title=reason,
                status=status,
                code="unknown",
                detail=f"The server answered {status} {reason}, not as R2RISE does. Is this URL "
                f"that of an R2RISE server?",
            )
        )
