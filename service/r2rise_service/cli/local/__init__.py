"""Commands that work on this machine.

The module of a kind of job has the name of the kind. It holds the command, of the same name, and
`print_result`, which prints what the command or a job of this kind gives.
"""

from importlib import import_module
from types import ModuleType

from r2rise_service.kinds import JobKind


def module_of(kind: JobKind) -> ModuleType:
    """Return the module with the command of a kind of job."""
    return import_module(f"{__name__}.{kind}")
