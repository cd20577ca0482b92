"""What every request gets: an id, a log line, a measured time, and an answer to any error."""

import logging
import re
import time
import uuid
from urllib.parse import quote

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r2rise_service.api.access import ANONYMOUS, PREFIX
from r2rise_service.api.metrics import Metrics
from r2rise_service.api.problems import RETRY_SECONDS, ProblemError, problem_response

logger = logging.getLogger(__name__)

_RESPONSE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Pages of this server may show their own pictures and styles; they run and request nothing.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
    ),
    "Cache-Control": "private, no-cache",
}


class Observability:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens, and log and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {}).update(request_id=request_id, caller=ANONYMOUS)
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ProblemError as error:
            response = problem_response(error, scope["path"], request_id)
            await response(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # no client is left to answer; the log line has no status
        except Exception as error:
            logger.exception("request %s failed", request_id)
            if status is not None:
                raise
            response = problem_response(
                _problem_of_failure(error, request_id), scope["path"], request_id
            )
            await response(scope, receive, send_with_headers)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int | None, seconds: float) -> None:
        """Log and count a request. Its query is left out because it might contain a secret."""
        route = getattr(scope.get("route"), "path", "unknown").removeprefix(PREFIX)
        self._metrics.count_request(scope["method"], route, status, seconds)
        fields = {
            "request_id": scope["state"]["request_id"],
            "method": scope["method"],
            "path": quote(scope["path"]),
            "status": status,
            "seconds": round(seconds, 4),
            "owner": scope["state"]["caller"].owner,
        }
        logger.info("request", extra=fields)


def _problem_of_failure(error: Exception, request_id: str) -> ProblemError:
    """Return the problem of an unexpected error: 503 for the database (may recover), else 500."""
    log_reference = f"see request {request_id} in the server's log"
    if isinstance(error, OperationalError | InterfaceError | NoConnectionFree):
        detail = f"The database does not answer; try again later ({log_reference})."
        headers = {"Retry-After": RETRY_SECONDS}
        return ProblemError(503, "database-unavailable", detail, headers=headers)
    return ProblemError(500, "internal", f"The server failed; {log_reference}.")


def _request_id(headers: Headers) -> str:
    sent_id = headers.get("x-request-id", "")
    return sent_id if re.fullmatch(r"[\w-]{1,64}", sent_id, re.ASCII) else uuid.uuid4().hex


def _add_headers(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-Id"] = request_id
    for name, value in _RESPONSE_HEADERS.items():
        headers.setdefault(name, value)
