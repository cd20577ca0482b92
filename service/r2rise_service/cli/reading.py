"""Options of how demonstrations are read, which commands with DEMOS share."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer


@dataclass(frozen=True)
class Reading:
    """Options of reading: which demonstrations, and what their actions mean."""

    min_frames: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Leave out demonstrations of fewer frames than this."
        ),
    ] = 1
    one_hot: Annotated[
        bool,
        typer.Option(
            "--one-hot", help="Actions are one-hot: convert each to the number of its choice."
        ),
    ] = False

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `read_demonstrations` that these options set."""
        return asdict(self)


def check_keys(source: Any, format: str | None, obs_keys: str | None) -> None:  # noqa: A002
    """Check that a file has keys to choose from, if some are chosen.

    Raises:
        InputError: When its observations are one array.
    """
    from r2rise.errors import InputError
    from r2rise.formats import observation_keys

    if obs_keys and not observation_keys(source, format=format):
        raise InputError(
            f"--obs-keys {obs_keys} are keys of dict observations, but {source} holds one array of "
            f"observations: leave it out."
        )
