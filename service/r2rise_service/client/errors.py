"""Every error that the client raises on purpose.

```
R2RiseError
└── ServiceError
    ├── CannotReach          no server answers
    ├── ApiError             the server answered with a problem, or the answer is unreadable
    │   ├── NotAllowed       401, 403: the API key does not allow the request
    │   ├── NotFound         404: no such object, or another owner's (also an InputError)
    │   ├── Conflict         409, 412: the state of the object does not allow the request
    │   └── Refused          400, 413, 415, 422: the content of the request (also an InputError)
    ├── JobFailed            the job that was waited for failed
    ├── JobCanceled          the job that was waited for was canceled
    └── WaitTimeout          the job has not ended in time; it goes on
```
"""

from r2rise.errors import InputError, R2RiseError
from r2rise_service.models import Problem


class ServiceError(R2RiseError):
    """Base of all errors of the client."""


class CannotReach(ServiceError):
    """No server answers, or the connection was lost."""


class ApiError(ServiceError):
    """The server answered with a problem, or its answer is unreadable (`code` is `unreadable`).

    Attributes:
        problem: The complete problem.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(_message(problem))
        self.problem = problem

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """Error code for programs."""
        return self.problem.code

    @property
    def detail(self) -> str:
        """What went wrong, for people."""
        return self.problem.detail


class NotAllowed(ApiError):
    """The API key is missing, wrong, or does not allow this."""


class NotFound(ApiError, InputError):
    """There is no such object, or it belongs to another owner."""


class Conflict(ApiError):
    """The state of the object does not allow the request."""


class Refused(ApiError, InputError):
    """The server cannot use the content of the request."""


class JobFailed(ServiceError):
    """The job that was waited for failed."""


class JobCanceled(ServiceError):
    """The job that was waited for was canceled."""


class WaitTimeout(ServiceError, TimeoutError):
    """The job has not ended in time; it goes on."""


_ERROR_BY_STATUS: dict[int, type[ApiError]] = {
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


def to_error(problem: Problem) -> ApiError:
    """Return the exception for a problem."""
    return _ERROR_BY_STATUS.get(problem.status, ApiError)(problem)


def _message(problem: Problem) -> str:
    parts = [
        f"  {part.pointer}: {part.detail}"
        for part in problem.errors
        if part.detail not in problem.detail
    ]
    return "\n".join([problem.detail or problem.title, *parts])
