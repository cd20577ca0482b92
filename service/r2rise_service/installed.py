"""Whether the optional packages of the server are installed."""

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


def check_installed() -> None:
    """Check that the server's optional packages are installed.

    Raises:
        MissingExtra: When one is not.
    """
    if any(find_spec(name) is None for name in _NEEDED):
        raise MissingExtra("The server", "service,dask")
