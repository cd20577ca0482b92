"""The errors that R2RISE raises deliberately.

```
R2RiseError
├── InputError (ValueError)      the input cannot be used
│   ├── DemonstrationsError      a demonstrations file or its arrays cannot be used
│   ├── StudyError               a study has wrong or incompatible fields
│   ├── EnvironmentMismatch      demonstrations, environment and algorithm do not fit
│   ├── UnknownName              no environment or algorithm has this name
│   ├── MapError                 a saved map cannot be read, or two cannot be compared
│   └── ResultError              another saved result cannot be read or is missing
├── MissingExtra (ImportError)   an optional package is not installed
├── LedgerError                  a ledger cannot be read, is in use, or has another design
├── NotReady                     too few retrainings for the requested estimate
├── StudyFailed                  more retrainings failed than the study allows
├── Diverged                     parameters or outputs of a policy are not finite
└── Canceled                     the work was canceled
```

Each message names the expected and the actual input and suggests a fix.
"""

import difflib
import importlib.util
from collections.abc import Iterable


class R2RiseError(Exception):
    """Base of all errors that R2RISE raises deliberately."""


class InputError(R2RiseError, ValueError):
    """The input cannot be used.

    Attributes:
        field: Path of the study field at fault, such as `masking.block_size`; empty where the
            error does not concern a field.
    """

    def __init__(self, text: str = "", *, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class DemonstrationsError(InputError):
    """A demonstrations file or its arrays cannot be used."""


class StudyError(InputError):
    """A study has wrong fields, or fields that are incompatible."""


class EnvironmentMismatch(InputError):
    """Demonstrations, environment and algorithm do not fit each other."""


class UnknownName(InputError):
    """No environment or algorithm has this name."""


class MapError(InputError):
    """A saved importance map cannot be read, or two maps cannot be compared."""


class ResultError(InputError):
    """A saved result cannot be read, or an output directory lacks the requested one."""


class MissingExtra(R2RiseError, ImportError):
    """An optional package is not installed.

    Attributes:
        purpose: The feature that needs it.
        extra: The extra of R2RISE that installs it.
    """

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f'{purpose} needs an optional package: pip install "r2rise[{extra}]"')
        self.purpose, self.extra = purpose, extra

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        """Pickle the constructor's arguments, since the error may cross processes."""
        return MissingExtra, (self.purpose, self.extra)


class LedgerError(R2RiseError):
    """A ledger cannot be read, is in use, or has another design."""


class NotReady(R2RiseError):
    """Too few successful retrainings for the requested estimate."""


class StudyFailed(R2RiseError):
    """More retrainings failed than the study allows."""


class Diverged(R2RiseError):
    """Parameters or outputs of a trained policy are not finite numbers."""


class Canceled(R2RiseError):
    """The work was canceled."""


def suggestion(name: str, valid_names: Iterable[str]) -> str:
    """Return `Did you mean ...?` where a valid name is close, else the list of valid names."""
    names = sorted(valid_names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names) or 'none'}."


def require(module: str, purpose: str, extra: str) -> None:
    """Check that an optional package is installed.

    Raises:
        MissingExtra: When it is not; the message has the command that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(purpose, extra)
