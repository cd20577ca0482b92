"""Requests to the server: the key, what is tried again, and what a problem becomes."""

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
from r2rise_service.client.errors import ApiError, CannotReach, error_of
from r2rise_service.client.reading import read
from r2rise_service.models import DatasetPage, JobPage, Problem
from r2rise_service.records import RetrainingPage

logger = logging.getLogger(__name__)

Page = TypeVar("Page", DatasetPage, JobPage, RetrainingPage)

PREFIX = "/api/v1"
FIRST_ATTEMPTS, ATTEMPTS = 3, 9
"""Attempts at a server that never answered so far, and at one that did: it may be restarting."""
FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0
LONGEST_RETRY_AFTER = 60.0
LONG_DELAY = 5.0
"""Seconds that nobody should wait without knowing what for."""
TRY_AGAIN = {408, 429, 500, 502, 503, 504}
REPEATABLE = {"GET", "DELETE"}


class Transport:
    """Sends requests, tries again what may be tried again, and raises what went wrong.

    Args:
        url: Where the server is.
        api_key: Key that the server gave, or None.
        timeout: Seconds that the server may be silent.
        transport: Another way to send requests, for tests.

    Raises:
        InputError: When `url` is no http or https URL, or the key cannot be sent.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout: float,
        transport: httpx2.BaseTransport | None,
    ) -> None:
        self.url = _checked(url)
        headers = {"Authorization": f"Bearer {_checked_key(api_key)}"} if api_key else {}
        self._client = httpx2.Client(
            base_url=self.url + PREFIX,
            headers=headers,
            timeout=timeout,
            transport=transport,
            # a proxy does not know our own machine
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

        Connection errors and the statuses 408, 429 and 5xx are tried again with full jitter,
        where that is harmless.

        Args:
            method: `GET`, `POST`, `PATCH` or `DELETE`.
            path: Below `/api/v1`.
            repeatable: Whether the request may be sent twice; GET, DELETE and what has an
                Idempotency-Key may be.
            parts: What httpx2 takes: `params`, `json`, `files`, `data`, `headers`.

        Raises:
            CannotReach: When no server answers.
            ApiError: When it answers with a problem.
        """
        headers: Mapping[str, str] = parts.get("headers") or {}
        return self._answered(
            lambda: self._client.request(method, path, **parts),
            may_repeat=repeatable or method in REPEATABLE or "Idempotency-Key" in headers,
            gone_is_done=method == "DELETE",
        )

    def pages(self, path: str, model: type[Page], params: Mapping[str, Any]) -> Iterator[Page]:
        """Yield the pages of a list, each asked for when it is needed.

        Args:
            path: Below `/api/v1`.
            model: What a page is.
            params: What is listed.

        Raises:
            CannotReach: When no server answers.
            ApiError: When it answers with a problem.
        """
        asked = dict(params)
        while True:
            page = read(model, self.request("GET", path, params=asked).content)
            yield page
            if page.next_page_token is None:
                return
            asked["page_token"] = page.next_page_token

    def download(self, path: str, file: IO[bytes], *, params: Mapping[str, str]) -> None:
        """Write what the server answers to a file, piece by piece; after a lost connection anew.

        Raises:
            CannotReach: When no server answers.
            ApiError: When it answers with a problem.
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

        self._answered(send, may_repeat=True)

    @contextmanager
    def events(self, path: str, *, after: int) -> Iterator[httpx2.Response]:
        """Open a stream of server-sent events with numbers above `after`.

        Raises:
            httpx2.TransportError: When the connection is lost, or something that may pass is wrong.
            ApiError: When the server answers with another problem.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._client.stream("GET", path, headers=headers) as response:
            if not response.is_success:
                response.read()
                if response.status_code in TRY_AGAIN:
                    raise httpx2.RemoteProtocolError(response.reason_phrase)
                raise _problem(response)
            yield response

    def _answered(
        self,
        send: Callable[[], httpx2.Response],
        *,
        may_repeat: bool,
        gone_is_done: bool = False,
    ) -> httpx2.Response:
        """Send until there is an answer that is no passing trouble.

        Args:
            send: Sends the request once.
            may_repeat: Whether it may be sent twice.
            gone_is_done: Whether 404 is fine after an attempt whose answer never came.
        """
        attempt, may_be_done = 0, False
        while True:
            attempt += 1
            last = not may_repeat or attempt >= self._attempts
            try:
                response = send()
            except httpx2.TransportError as error:
                if last:
                    raise self._cannot_reach(error) from None
                may_be_done = may_be_done or not isinstance(error, httpx2.ConnectError)
                time.sleep(_delay(attempt))
                continue
            self._has_answered = True
            if response.is_success or (
                gone_is_done and may_be_done and response.status_code == 404
            ):
                return response
            if last or response.status_code not in TRY_AGAIN:
                raise _problem(response)
            may_be_done = may_be_done or response.status_code >= 500
            delay = _delay(attempt, response.headers.get("Retry-After"))
            if delay >= LONG_DELAY:
                logger.warning("%s Trying again in %g s.", _problem(response).detail, delay)
            time.sleep(delay)

    @property
    def _attempts(self) -> int:
        return ATTEMPTS if self._has_answered else FIRST_ATTEMPTS

    def _cannot_reach(self, error: Exception) -> CannotReach:
        return CannotReach(
            f"No server answers at {self.url} ({error or type(error).__name__}). Start one with "
            "`r2rise serve`, or name another: url=..., --url or R2RISE_URL."
        )


def _checked(url: str) -> str:
    with suppress(httpx2.InvalidURL):
        parsed = httpx2.URL(url)
        if parsed.scheme in ("http", "https") and parsed.host and not parsed.userinfo:
            return url.rstrip("/")
    # The URL is not repeated: someone may have put a secret into it.
    raise InputError(
        "The server's URL should look like http://127.0.0.1:8000, without a user name or password."
    )


def _checked_key(api_key: str) -> str:
    """Return a key that can be sent; one that cannot would show up in the error of the library."""
    key = api_key.strip()
    if key.isascii() and key.isprintable():
        return key
    raise InputError(
        "The API key has characters that no key has. Copy it again from `r2rise keys create`."
    )


def _delay(attempt: int, retry_after: str | None = None) -> float:
    """Return seconds to wait: what the server asked for, else full jitter."""
    with suppress(ValueError):
        return min(max(float(retry_after or ""), 0.0), LONGEST_RETRY_AFTER)
    return random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2 ** (attempt - 1)))  # noqa: S311


def _problem(response: httpx2.Response) -> ApiError:
    """Return the error of an answer, also where something else than our server answered."""
    try:
        return error_of(Problem.model_validate_json(response.content))
    except ValidationError:
        status, reason = response.status_code, response.reason_phrase
        return error_of(
            Problem(
                type="about:blank",
                title=reason,
                status=status,
                code="unknown",
                detail=f"The server answered {status} {reason}, not as R2RISE does. Is this URL "
                f"that of an R2RISE server?",
            )
        )
