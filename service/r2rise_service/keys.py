"""API keys: their HTTP models, and their secrets, of which only digests are stored."""

import hashlib
import secrets
from datetime import datetime

from pydantic import Field

from r2rise_service.models import Answer, RequestBody, Scope, example

PREFIX = "r2k_"


def new_secret() -> str:
    """Return a new secret of 256 random bits, `r2k_...`; it is shown once and never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return `sha256:<hex>` of a secret, by which its key is stored and looked up.

    The secret is random, so a plain hash is enough. As keys are looked up by digest, the time of a
    lookup reveals nothing about a secret.
    """
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


class KeyInfo(Answer):
    """An API key without its secret."""

    id: str
    owner: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime


class KeyRequest(RequestBody):
    """A request for a key.

    Attributes:
        owner: Whose datasets and jobs it opens.
        name: What it is for.
        scopes: What it allows; `admin` is for keys and includes the others.
    """

    model_config = example({"owner": "anna", "name": "laptop", "scopes": ["read", "submit"]})

    owner: str = Field(pattern=r"^[\w.@+-]{1,100}$")
    name: str = Field(default="", pattern=r"^[^\x00-\x1f]{0,200}$")
    scopes: tuple[Scope, ...] = Field(default=("read", "submit"), min_length=1, max_length=3)


class NewKey(KeyInfo):
    """A new key with its secret, which is not shown again."""

    secret: str = Field(repr=False)


class KeyList(Answer):
    """All keys that are not revoked, oldest first."""

    data: tuple[KeyInfo, ...]
