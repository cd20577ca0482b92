"""API keys: only the digest of a secret is stored."""

import hashlib
import secrets

PREFIX = "r2k_"


def new_secret() -> str:
    """Return a new secret of 256 random bits, `r2k_...`; it is shown once and never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return `sha256:<hex>` of a secret, under which its key is stored and looked up.

    The secret is random, so a plain hash is enough. Keys are looked up by digest: how long that
    takes tells nothing about a secret.
    """
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
