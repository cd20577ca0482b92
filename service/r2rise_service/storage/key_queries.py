"""API keys, within a transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from r2rise_service.keys import KeyInfo
from r2rise_service.models import Scope
from r2rise_service.storage.rows import key_info, new_id, utc_now
from r2rise_service.storage.tables import Key


def store_key(
    session: Session, owner: str, name: str, scopes: Sequence[Scope], digest: str
) -> KeyInfo:
    """Store a key by the digest of its secret."""
    key = Key(
        id=new_id("key"),
        owner=owner,
        name=name,
        scopes=list(dict.fromkeys(scopes)),
        digest=digest,
        created_at=utc_now(),
    )
    session.add(key)
    return key_info(key)


def valid_keys(session: Session, *conditions: Any) -> list[KeyInfo]:
    """Return the keys that were not revoked, in the order in which they were made."""
    keys = select(Key).where(Key.revoked_at.is_(None), *conditions).order_by(Key.id)
    return [key_info(key) for key in session.scalars(keys)]


def any_key(session: Session) -> bool:
    """Say whether a key was ever made, revoked ones included."""
    return session.scalars(select(Key.id).limit(1)).first() is not None


def revoke(session: Session, key_id: str) -> bool:
    """Revoke a key; False when there is none that is valid."""
    key = session.get(Key, key_id)
    if key is None or key.revoked_at is not None:
        return False
    key.revoked_at = utc_now()
    return True
