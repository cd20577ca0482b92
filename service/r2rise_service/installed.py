"""Checks that the optional packages of the service are installed."""

from importlib.util import find_spec

from r2rise.errors import MissingExtra

_REQUIRED_PACKAGES = (
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


def check_installed(feature: str) -> None:
    """Check that the service's optional packages are installed.

    Args:
        feature: What needs them, as the error names it.

    Raises:
        MissingExtra: When one of them is not installed.
    """
    if any(find_spec(name) is None for name in _REQUIRED_PACKAGES):
        raise MissingExtra(feature, "service,dask")
