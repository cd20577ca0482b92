"""The interface of episodes that all backends implement."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import EnvironmentMismatch

Step = tuple[NDArray[np.float64], NDArray[np.bool_]]


class Episodes(Protocol):
    """Episodes of several policies, grouped by policy.

    Attributes:
        observations: (n_policies * n_episodes, *obs_shape) current observation of each episode.
    """

    observations: NDArray[Any]

    def reset(self, n_policies: int) -> None:
        """Start the episodes of the first `n_policies` policies."""

    def step(self, rows: NDArray[np.int64], actions: NDArray[Any]) -> Step:
        """Advance the episodes `rows`; return rewards and whether they ended, (n_rows,) each."""

    def info(self, key: str, rows: range) -> NDArray[np.float64]:
        """Return the value of `key` in the last `info` of the episodes `rows`, (n_rows,)."""


def info_number(info: dict[str, Any], key: str) -> float:
    """Return the value of `key` in the `info` of an episode's last step.

    Raises:
        EnvironmentMismatch: When it is missing or not a number.
    """
    if key not in info:
        raise EnvironmentMismatch(
            f"info has no {key!r} at the end of an episode, only "
            f"{', '.join(map(str, info)) or 'nothing'}: check evaluation.score."
        )
    try:
        return float(info[key])
    except (TypeError, ValueError):
        raise EnvironmentMismatch(
            f"info[{key!r}] should be a number at the end of an episode, got {info[key]!r}."
        ) from None
