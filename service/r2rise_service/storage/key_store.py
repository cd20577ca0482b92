"""Keys of the store."""

import logging
from collections.abc import Sequence

from r2rise_service.keys import KeyInfo
from r2rise_service.models import Scope
from r2rise_service.storage import key_queries
from r2rise_service.storage.database import Database
from r2rise_service.storage.tables import Key

logger = logging.getLogger(__name__)


class KeyStore:
    """API keys."""

    _database: Database

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
        return revoked

    def key_of(self, digest: str) -> KeyInfo | None:
        """Return the key whose secret has this digest, unless it was revoked."""
        with self._database.reading() as session:
            found = key_queries.valid_keys(session, Key.digest == digest)
            return found[0] if found else None
