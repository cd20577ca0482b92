"""Access control: host, origin, key, scope and size are checked before a body is read."""

from contextlib import suppress
from dataclasses import dataclass
from secrets import compare_digest
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r2rise_service.addresses import is_loopback
from r2rise_service.api.problems import ProblemError
from r2rise_service.keys import digest_of
from r2rise_service.models import Scope as Permission
from r2rise_service.settings import MEBIBYTE, Settings
from r2rise_service.storage import Store

PREFIX = "/api/v1"
DOCS = f"{PREFIX}/docs"
MAX_JSON_BYTES = 4 * MEBIBYTE
MAX_FORM_BYTES = MEBIBYTE
"""Size limit of the form of an upload, not counting the file itself."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_PUBLIC_PATHS = {
    *(f"{PREFIX}/{name}" for name in ("healthz", "readyz", "version", "openapi.json")),
    DOCS,
    "/docs",
}
_ADMIN_PATH = f"{PREFIX}/keys"
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Caller:
    """The sender of a request."""

    owner: str
    scopes: tuple[Permission, ...]

    def has_scope(self, scope: Permission) -> bool:
        """Return whether the caller has a scope; `admin` includes all others."""
        return scope in self.scopes or "admin" in self.scopes


ANONYMOUS = Caller("", ())
"""The caller of a public path."""


def needed_scope(method: str, path: str) -> Permission | None:
    """Return the scope that a request needs, or None when it needs no key."""
    if path in _PUBLIC_PATHS or path.startswith(f"{DOCS}/"):
        return None
    if path == _ADMIN_PATH or path.startswith(f"{_ADMIN_PATH}/"):
        return "admin"
    return "read" if method in _SAFE_METHODS else "submit"


class AccessControl:
    """Middleware: hosts, origins, keys, scopes and sizes.

    Args:
        app: The application behind this middleware.
        settings: The operator's settings.
        store: Holds the keys.
        operator_token: Gives commands on the server's own machine every scope; None disables it.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, store: Store, operator_token: str | None = None
    ) -> None:
        self._app, self._settings, self._store = app, settings, store
        self._operator_token = operator_token
        self._hosts = _LOOPBACK_NAMES | {name.lower() for name in (settings.host, *settings.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application when it is allowed.

        Raises:
            ProblemError: When no caller may send it, or this caller may not.
        """
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            scope["state"]["caller"] = await self._authorize(scope, headers)
            receive = self._limit_body(scope, headers, receive)
        await self._app(scope, receive, send)

    async def _authorize(self, scope: Scope, headers: Headers) -> Caller:
        """Return the caller of a request that is allowed.

        Raises:
            ProblemError: When no caller may send it, or this caller may not.
        """
        self._check_host(headers)
        if scope["method"] not in _SAFE_METHODS:
            _check_origin(headers)
        permission = needed_scope(scope["method"], scope["path"])
        if permission is None:
            return ANONYMOUS
        caller = self._cached_caller(headers)
        if caller is None:
            caller = await run_in_threadpool(self._authenticate, scope, headers)
        if not caller.has_scope(permission):
            granted_scopes = ", ".join(caller.scopes)
            detail = f"This needs a key with the scope {permission}; this one has {granted_scopes}."
            raise ProblemError(403, "scope-missing", detail)
        return caller

    def _check_host(self, headers: Headers) -> None:
        """Refuse unknown host names: any site can point its own name here (DNS rebinding)."""
        host = headers.get("host", "")
        if _host_name(f"//{host}") not in self._hosts:
            detail = (
                f"Expected the host {', '.join(sorted(self._hosts))}, got {host!r}. An operator "
                "adds names with `r2rise serve --allow-host` or R2RISE_HOSTS."
            )
            raise ProblemError(421, "wrong-host", detail)

    def _cached_caller(self, headers: Headers) -> Caller | None:
        """Return the caller when its key was looked up a moment ago."""
        key = self._store.keys.find_cached(digest_of(_bearer_secret(headers)))
        return None if key is None else Caller(key.owner, key.scopes)

    def _authenticate(self, scope: Scope, headers: Headers) -> Caller:
        client = (scope.get("client") or ("", 0))[0]
        secret = _bearer_secret(headers)
        if is_loopback(client) and self._is_operator(secret):
            return Caller("operator", ("read", "submit", "admin"))
        key = self._store.keys.find(digest_of(secret)) if secret else None
        if key is not None:
            return Caller(key.owner, key.scopes)
        if not self._store.keys.any_made():
            if is_loopback(client):
                return Caller("local", ("read", "submit", "admin"))
            raise _unauthorized("The server has no keys yet and answers only its own machine.")
        if not secret:
            raise _unauthorized("Expected the header `Authorization: Bearer r2k_...`.")
        raise _unauthorized("This key is unknown or was revoked.")

    def _is_operator(self, secret: str) -> bool:
        token = self._operator_token
        return token is not None and compare_digest(secret.encode(), token.encode())

    def _limit_body(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Refuse a body that is too large: by its Content-Length, or while it is read."""
        max_bytes, n_bytes = MAX_JSON_BYTES, 0
        if scope["path"] == f"{PREFIX}/datasets":
            max_bytes = self._settings.max_upload_bytes + MAX_FORM_BYTES
        too_large = ProblemError(413, "too-large", f"The body may have at most {max_bytes} bytes.")
        with suppress(ValueError):
            if int(headers.get("content-length", "0")) > max_bytes:
                raise too_large

        async def receive_limited() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > max_bytes:
                raise too_large
            return message

        return receive_limited


def _bearer_secret(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _check_origin(headers: Headers) -> None:
    """Refuse a request that a page of another site makes its visitor's browser send (CSRF)."""
    origin = headers.get("origin")
    if origin is None:
        return
    try:
        is_same_origin = urlsplit(origin).netloc.lower() == headers["host"].lower()
    except ValueError:
        is_same_origin = False
    if not is_same_origin:
        detail = f"Pages of {origin!r} must not change anything on this server."
        raise ProblemError(403, "wrong-origin", detail)


def _host_name(url: str) -> str | None:
    with suppress(ValueError):
        return urlsplit(url).hostname
    return None


def _unauthorized(detail: str) -> ProblemError:
    detail += " An operator creates a key with `r2rise keys create`."
    return ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
