"""Example demonstrations that are installed with the package."""

from pathlib import Path

from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import UnknownName

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "examples", _PACKAGE.parent / "examples")
"""Where the files are: in an installed package, and in a clone."""


def load_example(name: str) -> Demonstrations:
    """Load example demonstrations.

    Args:
        name: `cartpole` (demonstrations that gain by leaving frames out) or `cartpole-0-4` (others
            that only train faster); both have five demonstrations of CartPole-v1.

    Raises:
        UnknownName: When there is no such example.
    """
    files = {path.stem: path for folder in _FOLDERS for path in folder.glob("*.npz")}
    if name not in files:
        raise UnknownName(f"There is no example {name!r}. Examples: {', '.join(sorted(files))}.")
    return Demonstrations.load(files[name])
