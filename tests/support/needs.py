"""What a test needs, and what happens where that is missing."""

import os
from collections.abc import Iterable

import pytest

NEED_IMITATION = ("airl", "gail", "imitation-bc", "sqil")
"""Algorithms that need the extra `imitation`."""


def to_train(names: Iterable[str]) -> list:
    """Algorithms as parameters of tests that train them; see `pytest_runtest_setup`."""
    return [
        pytest.param(name, marks=pytest.mark.imitation if name in NEED_IMITATION else ())
        for name in names
    ]


def require(condition: bool, reason: str) -> None:
    """Skip with a reason, or fail where everything is required."""
    if condition:
        return
    if os.environ.get("R2RISE_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (R2RISE_REQUIRE_ALL=1)")
    pytest.skip(reason)
