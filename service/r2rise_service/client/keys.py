"""API keys, for who may administer the server."""

from collections.abc import Sequence
from urllib.parse import quote

from r2rise_service.client.reading import Listed, read
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
        """Make a key. Its `secret` is in what comes back, and nowhere else.

        Args:
            owner: Whose jobs and datasets it opens.
            name: What it is for.
            scopes: What it allows: `read`, `submit`, `admin`.

        Raises:
            NotAllowed: When your own key has no scope `admin`.
            Refused: When an argument cannot be used.
        """
        asked = {"owner": owner, "name": name, "scopes": list(scopes)}
        return read(NewKey, self._transport.request("POST", "/keys", json=asked).content)

    def list(self) -> Sequence[KeyInfo]:
        """Return all keys, without their secrets."""
        found = self._transport.request("GET", "/keys")
        return read(Listed[KeyInfo], found.content).data

    def revoke(self, key_id: str) -> None:
        """Make a key useless.

        Raises:
            NotFound: When there is none of this id.
        """
        self._transport.request("DELETE", f"/keys/{quote(key_id, safe='')}")
