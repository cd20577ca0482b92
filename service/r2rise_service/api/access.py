"""Who may ask, from where, and how much: looked at before a request is read."""

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
"""Of an upload, apart from the file itself."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_PUBLIC = {
    *(f"{PREFIX}/{name}" for name in ("healthz", "readyz", "version", "openapi.json")),
    DOCS,
    "/docs",
}
_ADMIN = f"{PREFIX}/keys"
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    owner: str
    scopes: tuple[Permission, ...]

    def may(self, scope: Permission) -> bool:
        """Whether a scope was given; `admin` holds all."""
        return scope in self.scopes or "admin" in self.scopes


NOBODY = Caller("", ())
"""Who asks for what is open to all."""


def needed_scope(method: str, path: str) -> Permission | None:
    """Return the scope that a request needs; None: it needs no key."""
    if path in _PUBLIC or path.startswith(f"{DOCS}/"):
        return None
    if path == _ADMIN or path.startswith(f"{_ADMIN}/"):
        return "admin"
    return "read" if method in _SAFE else "submit"


class AccessControl:
    """Middleware: hosts, origins, keys, scopes and sizes.

    Args:
        app: What is behind it.
        settings: What the operator decided.
        store: Where the keys are.
        operator_token: Opens everything to commands on the server's own machine; None: nothing.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, store: Store, operator_token: str | None = None
    ) -> None:
        self._app, self._settings, self._store = app, settings, store
        self._operator_token = operator_token
        self._hosts = _LOOPBACK_NAMES | {name.lower() for name in (settings.host, *settings.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in.

        Raises:
            ProblemError: When nobody may ask that, or not this one.
        """
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            scope["state"]["caller"] = await self._let_in(scope, headers)
            receive = self._limited(scope, headers, receive)
        await self._app(scope, receive, send)

    async def _let_in(self, scope: Scope, headers: Headers) -> Caller:
        """Return who asks.

        Raises:
            ProblemError: When nobody may ask that, or not this one.
        """
        self._check_host(headers)
        if scope["method"] not in _SAFE:
            _check_origin(headers)
        needed = needed_scope(scope["method"], scope["path"])
        if needed is None:
            return NOBODY
        caller = self._known(headers)
        if caller is None:
            caller = await run_in_threadpool(self._caller, scope, headers)
        if not caller.may(needed):
            has = ", ".join(caller.scopes)
            detail = f"This needs a key with the scope {needed}; this one has {has}."
            raise ProblemError(403, "scope-missing", detail)
        return caller

    def _check_host(self, headers: Headers) -> None:
        """Refuse names that are not ours: a page elsewhere may have pointed its name at us."""
        host = headers.get("host", "")
        if _host_name(f"//{host}") not in self._hosts:
            detail = (
                f"Expected the host {', '.join(sorted(self._hosts))}, got {host!r}. An operator "
                "adds names with `r2rise serve --allow-host` or R2RISE_HOSTS."
            )
            raise ProblemError(421, "wrong-host", detail)

    def _known(self, headers: Headers) -> Caller | None:
        """Return a caller whose key was looked up a moment ago."""
        key = self._store.keys.find_cached(digest_of(_secret(headers)))
        return None if key is None else Caller(key.owner, key.scopes)

    def _caller(self, scope: Scope, headers: Headers) -> Caller:
        client = (scope.get("client") or ("", 0))[0]
        secret = _secret(headers)
        if is_loopback(client) and self._is_operator(secret):
            return Caller("operator", ("read", "submit", "admin"))
        key = self._store.keys.find(digest_of(secret)) if secret else None
        if key is not None:
            return Caller(key.owner, key.scopes)
        if not self._store.keys.any_made():
            if is_loopback(client):
                return Caller("local", ("read", "submit", "admin"))
            raise _unauthorized("The server has no keys yet and answers its own machine only.")
        if not secret:
            raise _unauthorized("Expected the header `Authorization: Bearer r2k_...`.")
        raise _unauthorized("This key is unknown or was revoked.")

    def _is_operator(self, secret: str) -> bool:
        token = self._operator_token
        return token is not None and compare_digest(secret.encode(), token.encode())

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


def _secret(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


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


def _unauthorized(detail: str) -> ProblemError:
    detail += " An operator makes a key with `r2rise keys create`."
    return ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
