"""Optional packages."""

import importlib.util

from r2rise.errors import MissingExtra


def require(module: str, purpose: str, extra: str) -> None:
    """Check that an optional package is installed.

    Raises:
        MissingExtra: With the line that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(purpose, extra)
