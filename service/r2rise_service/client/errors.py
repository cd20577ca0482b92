"""Every error that the client raises on purpose.

```
R2RiseError
└── ServiceError
    ├── CannotReach          no server answers
    ├── ApiError             the server answered with a problem, or with what cannot be read
    │   ├── NotAllowed       401, 403: the key
    │   ├── NotFound         404: no such thing, or another owner's (an InputError, too)
    │   ├── Conflict         409, 412: its state does not allow that
    │   └── Refused          400, 413, 415, 422: what was sent (an InputError, too)
    ├── JobFailed            the job that was waited for failed
    ├── JobCanceled          it was canceled
    └── WaitTimeout          it has not ended in time; it goes on
```
"""

from r2rise.errors import InputError, R2RiseError
from r2rise_service.models import Problem


class ServiceError(R2RiseError):
    """Base of all errors of the client."""


class CannotReach(ServiceError):
    """No server answers, or the connection was lost."""


class ApiError(ServiceError):
    """The server answered with a problem, or with what cannot be read (`code` is `unreadable`).

    Attributes:
        problem: The whole problem.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(_text(problem))
        self.problem = problem

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """What went wrong, in a word that programs can compare."""
        return self.problem.code

    @property
    def detail(self) -> str:
        """What went wrong, in words."""
        return self.problem.detail


class NotAllowed(ApiError):
    """The API key is missing, wrong, or does not allow this."""


class NotFound(ApiError, InputError):
    """There is no such thing, or it belongs to someone else."""


class Conflict(ApiError):
    """The state of something does not allow what was asked."""


class Refused(ApiError, InputError):
    """What was sent cannot be used."""


class JobFailed(ServiceError):
    """The job that was waited for failed."""


class JobCanceled(ServiceError):
    """The job that was waited for was canceled."""


class WaitTimeout(ServiceError, TimeoutError):
    """The job has not ended in time; it goes on."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Refused,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: Refused,
    415: Refused,
    422: Refused,
}


def error_of(problem: Problem) -> ApiError:
    """Return the error that stands for a problem."""
    return _BY_STATUS.get(problem.status, ApiError)(problem)


def _text(problem: Problem) -> str:
    parts = [
        f"  {part.pointer}: {part.detail}"
        for part in problem.errors
        if part.detail not in problem.detail
    ]
    return "\n".join([problem.detail or problem.title, *parts])
