"""Where tests find files, and how processes that they start find the modules beside this one."""

import os
from pathlib import Path

SUPPORT = Path(__file__).parent
DATA = SUPPORT.parent / "data"
ROOT = SUPPORT.parent.parent
EXAMPLES = ROOT / "examples"
CARTPOLE = EXAMPLES / "cartpole.npz"


def child_environment(**more: str) -> dict[str, str]:
    """The variables of a process that finds what this one finds, and the modules here."""
    path = [str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)} | more
