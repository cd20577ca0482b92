"""Every error that R2RISE raises on purpose.

```
R2RiseError
├── InputError (ValueError)      what was given cannot be used
│   ├── DemonstrationsError      a demonstrations file or its arrays
│   ├── StudyError               a study, its fields or how they go together
│   ├── EnvironmentMismatch      demonstrations and environment do not fit
│   ├── UnknownName              no environment or algorithm of that name
│   ├── MapError                 a saved importance map, or two that cannot be compared
│   └── ResultError              another saved result, or an output directory that lacks one
├── MissingExtra (ImportError)   an optional package is not installed
├── LedgerError                  a ledger that cannot be read, is in use, or is of another design
├── NotReady                     too few retrainings for the number asked
├── StudyFailed                  more retrainings failed than the study allows
├── Diverged                     a training or a policy whose numbers are not finite
└── Canceled                     the work was told to stop
```

Each text says what was expected, what came, and what to do.
"""

import difflib
import importlib.util
from collections.abc import Iterable


class R2RiseError(Exception):
    """Base of all errors that R2RISE raises on purpose."""


class InputError(R2RiseError, ValueError):
    """What was given cannot be used.

    Attributes:
        field: The field of a study that it is about, such as `masking.block_size`; empty where it
            is about something else.
    """

    def __init__(self, text: str = "", *, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class DemonstrationsError(InputError):
    """A demonstrations file or its arrays cannot be used."""


class StudyError(InputError):
    """A study has wrong fields, or fields that do not go together."""


class EnvironmentMismatch(InputError):
    """Demonstrations, environment and algorithm do not fit each other."""


class UnknownName(InputError):
    """No environment or algorithm has this name."""


class MapError(InputError):
    """A saved importance map cannot be read, or two maps cannot be compared."""


class ResultError(InputError):
    """A saved result cannot be read, or an output directory lacks what is asked for."""


class MissingExtra(R2RiseError, ImportError):
    """An optional package is not installed.

    Attributes:
        purpose: What needs it.
        extra: The extra of R2RISE that installs it.
    """

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f'{purpose} needs an optional package: pip install "r2rise[{extra}]"')
        self.purpose, self.extra = purpose, extra

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        """Pickle what it was made from: it may come from a worker process."""
        return MissingExtra, (self.purpose, self.extra)


class LedgerError(R2RiseError):
    """A ledger cannot be read, is in use, or belongs to another design."""


class NotReady(R2RiseError):
    """Too few successful retrainings for what was asked."""


class StudyFailed(R2RiseError):
    """More retrainings failed than the study allows."""


class Diverged(R2RiseError):
    """Parameters or outputs of a trained policy are not finite numbers."""


class Canceled(R2RiseError):
    """The work was told to stop."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean ...?` where a known name is close, else the known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names) or 'none'}."


def require(module: str, purpose: str, extra: str) -> None:
    """Check that an optional package is installed.

    Raises:
        MissingExtra: With the line that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(purpose, extra)
