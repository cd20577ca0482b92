"""Parameters of tests of which only the first few are run each time."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import pytest


def mostly_slow(cases: Iterable[Any], n_fast: int) -> list[Any]:
    """Return the cases for `parametrize`; all but the first few are marked as slow."""
    cases = list(cases)
    slow = (
        pytest.param(*(case if type(case) is tuple else (case,)), marks=pytest.mark.slow)
        for case in cases[n_fast:]
    )
    return list(chain(cases[:n_fast], slow))
