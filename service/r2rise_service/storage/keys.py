"""Storage of API keys."""

import logging
import time
from collections.abc import Sequence

from sqlalchemy import select

from r2rise_service.keys import KeyInfo
from r2rise_service.models import Scope
from r2rise_service.storage.database import Database
from r2rise_service.storage.rows import key_info, new_id, utc_now
from r2rise_service.storage.tables import ApiKey

logger = logging.getLogger(__name__)
CACHE_SECONDS = 1.0
"""How long a key is cached after it was looked up."""

_VALID = select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)


class KeyStore:
    """Stores API keys, identified by the digests of their secrets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[str, tuple[float, KeyInfo]] = {}

    def add(self, owner: str, name: str, scopes: Sequence[Scope], digest: str) -> KeyInfo:
        """Store a key with the digest of its secret."""
        key = ApiKey(
            id=new_id("key"),
            owner=owner,
            name=name,
            scopes=list(dict.fromkeys(scopes)),
            digest=digest,
            created_at=utc_now(),
        )
        with self._database.writing() as session:
            session.add(key)
        info = key_info(key)
        logger.info(
            "key created", extra={"key": info.id, "key_owner": owner, "scopes": info.scopes}
        )
        return info

    def valid(self) -> list[KeyInfo]:
        """Return the keys that are not revoked, oldest first."""
        with self._database.reading() as session:
            return [key_info(key) for key in session.scalars(_VALID)]

    def any_made(self) -> bool:
        """Whether a key was ever made, revoked or not.

        A server without keys is open; revoking the last key must not open it.
        """
        with self._database.reading() as session:
            return session.scalars(select(ApiKey.id).limit(1)).first() is not None

    def revoke(self, key_id: str) -> bool:
        """Revoke a key; return False when there is no valid key with this id."""
        with self._database.writing() as session:
            key = session.get(ApiKey, key_id)
            revoked = key is not None and key.revoked_at is None
            if key is not None and revoked:
                key.revoked_at = utc_now()
        if revoked:
            logger.info("key revoked", extra={"key": key_id})
        self._cache.clear()
        return revoked

    def find(self, digest: str) -> KeyInfo | None:
        """Return the valid key whose secret has this digest, or None; the key is cached."""
        now = time.monotonic()
        with self._database.reading() as session:
            key = session.scalar(_VALID.where(ApiKey.digest == digest))
        if key is None:
            return None
        info = key_info(key)
        self._cache[digest] = now, info
        return info

    def find_cached(self, digest: str) -> KeyInfo | None:
        """Return the cached key that `find` returned in the last second, without a query.

        So a key that another server process revoked stays valid here for up to a second.
        """
        found_at, key = self._cache.get(digest, (0.0, None))
        return key if key and time.monotonic() - found_at < CACHE_SECONDS else None
