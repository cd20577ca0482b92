"""API keys, for administrators of the server."""

from collections.abc import Sequence
from urllib.parse import quote

from r2rise_service.client.reading import ListAnswer, read
from r2rise_service.client.transport import Transport
from r2rise_service.keys import KeyInfo, NewKey
from r2rise_service.models import Scope


class Keys:
    """`client.keys`: make, list and revoke API keys; needs a key with the scope `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, *, owner: str, name: str = "", scopes: Sequence[Scope] = ("read", "submit")
    ) -> NewKey:
        """Make a key. Only the return value has its `secret`; the server does not keep it.

        Args:
            owner: Owner of the jobs and datasets that the key gives access to.
            name: Purpose of the key, for people.
            scopes: What the key allows: `read`, `submit`, `admin`.

        Raises:
            NotAllowed: When the key of this client lacks the scope `admin`.
            Refused: When an argument cannot be used.
        """
        request = {"owner": owner, "name": name, "scopes": list(scopes)}
        return read(NewKey, self._transport.request("POST", "/keys", json=request).content)

    def list(self) -> Sequence[KeyInfo]:
        """Return all keys, without their secrets."""
        response = self._transport.request("GET", "/keys")
        return read(ListAnswer[KeyInfo], response.content).data

    def revoke(self, key_id: str) -> None:
        """Revoke a key, so that the server refuses it from now on.

        Raises:
            NotFound: When there is no key with this id.
        """
        self._transport.request("DELETE", f"/keys/{quote(key_id, safe='')}")
