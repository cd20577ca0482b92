"""R2RISE's `.npz` file as one of the formats."""

from pathlib import Path

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.npz import observation_shapes


def load_npz(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:
    """Read a demonstrations file."""
    return Demonstrations.load(path, obs_keys=obs_keys)


def save_npz(demonstrations: Demonstrations, path: Path) -> None:
    """Write a demonstrations file."""
    demonstrations.save(path)


def keys(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each key of dict observations; empty for other observations."""
    return observation_shapes(path)
