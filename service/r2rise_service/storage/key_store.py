"""Keys of the store."""

import logging
import time
from collections.abc import Sequence

from r2rise_service.keys import KeyInfo
from r2rise_service.models import Scope
from r2rise_service.storage import key_queries
from r2rise_service.storage.database import Database
from r2rise_service.storage.tables import Key

logger = logging.getLogger(__name__)
KNOWN_SECONDS = 1.0
"""How long a key that was looked up is known without looking again."""


class KeyStore:
    """API keys."""

    _database: Database
    _known_keys: dict[str, tuple[float, KeyInfo]]

    def add_key(self, owner: str, name: str, scopes: Sequence[Scope], digest: str) -> KeyInfo:
        """Store a key by the digest of its secret."""
        with self._database.writing() as session:
            key = key_queries.store_key(session, owner, name, scopes, digest)
        logger.info("key made", extra={"key": key.id, "key_owner": owner, "scopes": key.scopes})
        return key

    def keys(self) -> list[KeyInfo]:
        """Return all keys that are not revoked."""
        with self._database.reading() as session:
            return key_queries.valid_keys(session)

    def has_keys(self) -> bool:
        """Whether a key was ever made: revoking the last one opens the server to nobody."""
        with self._database.reading() as session:
            return key_queries.any_key(session)

    def revoke_key(self, key_id: str) -> bool:
        """Revoke a key; False when there is none of this id."""
        with self._database.writing() as session:
            revoked = key_queries.revoke(session, key_id)
        if revoked:
            logger.info("key revoked", extra={"key": key_id})
        self._known_keys.clear()
        return revoked

    def key_of(self, digest: str) -> KeyInfo | None:
        """Return the key whose secret has this digest, unless it was revoked."""
        now = time.monotonic()
        with self._database.reading() as session:
            found = key_queries.valid_keys(session, Key.digest == digest)
        if not found:
            return None
        self._known_keys[digest] = now, found[0]
        return found[0]

    def known_key_of(self, digest: str) -> KeyInfo | None:
        """Return what `key_of` returned a moment ago, without asking the database.

        A key that another server process revoked is known for another second.
        """
        asked, key = self._known_keys.get(digest, (0.0, None))
        return key if key and time.monotonic() - asked < KNOWN_SECONDS else None
