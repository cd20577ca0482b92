"""Whether the optional packages of the service are installed."""

from importlib.util import find_spec

from r2rise.errors import MissingExtra

_NEEDED = (
    "alembic",
    "dask",
    "distributed",
    "fastapi",
    "fastapi_offline",
    "prometheus_client",
    "pydantic_settings",
    "sqlalchemy",
    "structlog",
    "uvicorn",
)


def check_installed(what: str) -> None:
    """Check that the service's optional packages are installed.

    Args:
        what: What needs them.

    Raises:
        MissingExtra: When one is not.
    """
    if any(find_spec(name) is None for name in _NEEDED):
        raise MissingExtra(what, "service,dask")
