"""Makes, lists and revokes API keys: in the store, or through a running server."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from r2rise.errors import InputError
from r2rise_service.keys import KeyInfo, KeyRequest, NewKey, digest_of, new_secret
from r2rise_service.models import Scope
from r2rise_service.opening import AlreadyRunning, open_store
from r2rise_service.operator_file import read_operator_access
from r2rise_service.settings import Settings

if TYPE_CHECKING:
    from r2rise_service.storage import Store


class Keyring(Protocol):
    """Makes, lists and revokes keys, wherever they are stored."""

    def create(self, *, owner: str, name: str, scopes: Sequence[Scope]) -> NewKey:
        """Make a key; its secret is returned only this once."""

    def list(self) -> Sequence[KeyInfo]:
        """Return the keys that are not revoked."""

    def revoke(self, key_id: str) -> None:
        """Revoke a key.

        Raises:
            InputError: When there is no valid key with this id.
        """


class StoreKeys:
    """Keys in a store."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def create(self, *, owner: str, name: str, scopes: Sequence[Scope]) -> NewKey:
        """Make a key; its secret is returned only this once."""
        secret = new_secret()
        key = self._store.keys.add(owner, name, scopes, digest_of(secret))
        return NewKey(**key.model_dump(), secret=secret)

    def list(self) -> Sequence[KeyInfo]:
        """Return the keys that are not revoked."""
        return self._store.keys.valid()

    def revoke(self, key_id: str) -> None:
        """Revoke a key.

        Raises:
            InputError: When there is no valid key with this id.
        """
        if not self._store.keys.revoke(key_id):
            raise InputError(f"There is no key {key_id}.")


@contextmanager
def open_keyring(settings: Settings) -> Iterator[Keyring]:
    """Open the keys of a server: through it while it runs on SQLite, else in its database.

    Raises:
        AlreadyRunning: When the server is just starting or stopping.
        InputError: When the database cannot be reached.
        OldSchema: When a PostgreSQL database has to be upgraded first.
    """
    with ExitStack() as stack:
        try:
            store = stack.enter_context(open_store(settings))
        except AlreadyRunning:
            access = read_operator_access(settings.data)
            if access is None:
                raise
            from r2rise_service.client import Client

            yield stack.enter_context(Client(url=access.url, api_key=access.token)).keys
        else:
            yield StoreKeys(store)


def make_key_request(owner: str, name: str, scopes: Sequence[str]) -> KeyRequest:
    """Return a validated request for a key.

    Raises:
        InputError: When the owner, the name or a scope is invalid.
    """
    try:
        return KeyRequest.model_validate({"owner": owner, "name": name, "scopes": list(scopes)})
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(
            f"{problem['loc'][0]}: {problem['msg']}, got {problem['input']!r}."
        ) from None
