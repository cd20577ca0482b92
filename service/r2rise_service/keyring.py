"""Making, listing and revoking keys: in the store, or through a server that runs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from r2rise.errors import InputError
from r2rise_service.keys import KeyInfo, KeyRequest, NewKey, digest_of, new_secret
from r2rise_service.models import Scope
from r2rise_service.opening import AlreadyRunning, opened
from r2rise_service.operator_file import read_operator
from r2rise_service.settings import Settings

if TYPE_CHECKING:
    from r2rise_service.storage import Store


class Keyring(Protocol):
    """What can be done with keys, wherever they are."""

    def create(self, *, owner: str, name: str, scopes: Sequence[Scope]) -> NewKey:
        """Make a key; its secret is told this once."""

    def list(self) -> Sequence[KeyInfo]:
        """Return the keys that were not revoked."""

    def revoke(self, key_id: str) -> None:
        """Revoke a key.

        Raises:
            InputError: When there is none of this id.
        """


class StoreKeys:
    """Keys in a store."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def create(self, *, owner: str, name: str, scopes: Sequence[Scope]) -> NewKey:
        """Make a key; its secret is told this once."""
        secret = new_secret()
        key = self._store.keys.add(owner, name, scopes, digest_of(secret))
        return NewKey(**key.model_dump(), secret=secret)

    def list(self) -> Sequence[KeyInfo]:
        """Return the keys that were not revoked."""
        return self._store.keys.valid()

    def revoke(self, key_id: str) -> None:
        """Revoke a key.

        Raises:
            InputError: When there is none of this id.
        """
        if not self._store.keys.revoke(key_id):
            raise InputError(f"There is no key {key_id}.")


@contextmanager
def keyring(settings: Settings) -> Iterator[Keyring]:
    """Open the keys of a server: through it while it runs on SQLite, else in its database.

    Raises:
        AlreadyRunning: When the server just starts or stops.
        InputError: When the database cannot be reached.
        OldSchema: When a PostgreSQL database has to be upgraded first.
    """
    with ExitStack() as stack:
        try:
            store = stack.enter_context(opened(settings))
        except AlreadyRunning:
            operator = read_operator(settings.data)
            if operator is None:
                raise
            from r2rise_service.client import Client

            yield stack.enter_context(Client(url=operator.url, api_key=operator.token)).keys
        else:
            yield StoreKeys(store)


def request_of(owner: str, name: str, scopes: Sequence[str]) -> KeyRequest:
    """Return what is asked of a keyring.

    Raises:
        InputError: When an owner, name or scope cannot be used.
    """
    try:
        return KeyRequest.model_validate({"owner": owner, "name": name, "scopes": list(scopes)})
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(
            f"{problem['loc'][0]}: {problem['msg']}, got {problem['input']!r}."
        ) from None
