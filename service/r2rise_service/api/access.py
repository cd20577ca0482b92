"""Who may ask, from where, and how much: looked at before anything else."""

import ipaddress
import logging
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r2rise_service.api.problems import ProblemError, problem_response
from r2rise_service.keys import PREFIX as KEY_PREFIX
from r2rise_service.keys import digest_of
from r2rise_service.models import Scope as Permission
from r2rise_service.settings import MEBIBYTE, Settings
from r2rise_service.storage.store import Store

logger = logging.getLogger(__name__)

PREFIX = "/api/v1"
MAX_JSON_BYTES = 4 * MEBIBYTE
MAX_FORM_BYTES = MEBIBYTE
"""Of an upload, apart from the file itself."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_PUBLIC = {f"{PREFIX}/{name}" for name in ("healthz", "readyz", "version", "openapi.json")}
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    owner: str
    scopes: tuple[Permission, ...]

    def may(self, scope: Permission) -> bool:
        """Whether a scope was given; `admin` holds all."""
        return scope in self.scopes or "admin" in self.scopes


class Gate:
    """Middleware around everything: request ids, hosts, origins, keys, sizes, unexpected errors."""

    def __init__(self, app: ASGIApp, settings: Settings, store: Store) -> None:
        self._app, self._settings, self._store = app, settings, store
        self._hosts = _LOOPBACK_NAMES | {name.lower() for name in (settings.host, *settings.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(headers)
        has_begun = False

        async def send_marked(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                _mark(message, request_id)
            await send(message)

        try:
            state["caller"] = await self._let_in(scope, headers)
            limited = self._limited(scope, headers, receive)
            await self._app(scope, limited, send_marked)
        except ProblemError as error:
            response = problem_response(error, scope["path"], request_id)
            await response(scope, receive, send_marked)
        except Exception:
            logger.exception("request %s failed", request_id)
            if has_begun:
                raise
            detail = f"The server failed; its log has more at request {request_id}."
            response = problem_response(
                ProblemError(500, "internal", detail), scope["path"], request_id
            )
            await response(scope, receive, send_marked)

    async def _let_in(self, scope: Scope, headers: Headers) -> Caller:
        """Return who asks.

        Raises:
            ProblemError: When nobody may ask that, or not this one.
        """
        self._check_host(headers)
        safe = scope["method"] in _SAFE
        if not safe:
            _check_origin(headers)
        if scope["path"] in _PUBLIC:
            return Caller("", ())
        caller = await run_in_threadpool(self._caller, scope.get("client"), headers)
        needed: Permission = "read" if safe else "submit"
        if not caller.may(needed):
            detail = f"This needs a key with the scope {needed!r}; this one has: {caller.scopes}."
            raise ProblemError(403, "scope-missing", detail)
        return caller

    def _check_host(self, headers: Headers) -> None:
        """Refuse names that are not ours: a page elsewhere may have pointed its name at us."""
        host = headers.get("host", "")
        if _host_name(f"//{host}") not in self._hosts:
            detail = f"Expected the host {', '.join(sorted(self._hosts))}, got {host!r}."
            raise ProblemError(421, "wrong-host", detail)

    def _caller(self, client: tuple[str, int] | None, headers: Headers) -> Caller:
        if not self._store.has_keys():
            if client is not None and _is_loopback(client[0]):
                return Caller("local", ("read", "submit", "admin"))
            raise _unauthorized("The server has no keys yet and answers its own machine only.")
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret.startswith(KEY_PREFIX):
            raise _unauthorized("Expected the header `Authorization: Bearer r2k_...`.")
        key = self._store.key_of(digest_of(secret))
        if key is None:
            raise _unauthorized("This key is unknown or was revoked.")
        return Caller(key.owner, key.scopes)

    def _limited(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Refuse a body that is too large, before it is read where its size is told."""
        most, n_bytes = MAX_JSON_BYTES, 0
        if scope["path"] == f"{PREFIX}/datasets":
            most = self._settings.max_upload_bytes + MAX_FORM_BYTES
        too_large = ProblemError(413, "too-large", f"The body may have {most} bytes at most.")
        with suppress(ValueError):
            if int(headers.get("content-length", "0")) > most:
                raise too_large

        async def limited() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > most:
                raise too_large
            return message

        return limited


def _check_origin(headers: Headers) -> None:
    """Refuse what a page of another site asks for in the name of whoever looks at it."""
    origin = headers.get("origin")
    if origin is None:
        return
    try:
        same = urlsplit(origin).netloc.lower() == headers["host"].lower()
    except ValueError:
        same = False
    if not same:
        detail = f"Pages of {origin!r} may not change anything here."
        raise ProblemError(403, "wrong-origin", detail)


def _host_name(url: str) -> str | None:
    with suppress(ValueError):
        return urlsplit(url).hostname
    return None


def _is_loopback(address: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return False


def _unauthorized(detail: str) -> ProblemError:
    detail += " An operator makes a key with `r2rise keys create`."
    return ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if re.fullmatch(r"[\w-]{1,64}", given, re.ASCII) else uuid.uuid4().hex


def _mark(message: dict[str, Any] | Any, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-Id"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "private, no-cache")
