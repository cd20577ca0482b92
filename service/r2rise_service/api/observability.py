"""Around every request: its id, a line in the log, its time, and what nobody expected."""

import logging
import re
import time
import uuid
from urllib.parse import quote

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r2rise_service.api.access import NOBODY, PREFIX
from r2rise_service.api.metrics import Metrics
from r2rise_service.api.problems import RETRY_SECONDS, ProblemError, problem_response

logger = logging.getLogger(__name__)

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # A page of ours may show its own pictures and styles; it runs nothing and asks for nothing.
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
        """Answer a request, whatever happens, and note what was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {}).update(request_id=request_id, caller=NOBODY)
        status: int | None = None

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _mark(message, request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except ProblemError as error:
            response = problem_response(error, scope["path"], request_id)
            await response(scope, receive, send_marked)
        except ClientDisconnect:
            pass  # nobody is left to be answered; the line in the log has no status
        except Exception as error:
            logger.exception("request %s failed", request_id)
            if status is not None:
                raise
            response = problem_response(_unexpected(error, request_id), scope["path"], request_id)
            await response(scope, receive, send_marked)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int | None, seconds: float) -> None:
        """Write the line of a request; its query stays out, where a secret might be."""
        route = getattr(scope.get("route"), "path", "unknown").removeprefix(PREFIX)
        self._metrics.count_request(scope["method"], route, status, seconds)
        facts = {
            "request_id": scope["state"]["request_id"],
            "method": scope["method"],
            "path": quote(scope["path"]),
            "status": status,
            "seconds": round(seconds, 4),
            "owner": scope["state"]["caller"].owner,
        }
        logger.info("request", extra=facts)


def _unexpected(error: Exception, request_id: str) -> ProblemError:
    """Return what is answered where the server failed: the database may come back by itself."""
    log = f"the server's log has more at request {request_id}"
    if isinstance(error, OperationalError | InterfaceError | NoConnection):
        detail = f"The database does not answer; try again in a while ({log})."
        headers = {"Retry-After": RETRY_SECONDS}
        return ProblemError(503, "database-unavailable", detail, headers=headers)
    return ProblemError(500, "internal", f"The server failed; {log}.")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if re.fullmatch(r"[\w-]{1,64}", given, re.ASCII) else uuid.uuid4().hex


def _mark(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-Id"] = request_id
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
