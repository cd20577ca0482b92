"""R2RISE's service, its Python client and its command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from r2rise_service.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Import the client on first access."""
    if name == "Client":
        from r2rise_service.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
