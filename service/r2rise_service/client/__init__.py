"""The Python client of the service."""

from r2rise_service.client.client import Client
from r2rise_service.client.errors import (
    ApiError,
    CannotReach,
    Conflict,
    JobCanceled,
    JobFailed,
    NotAllowed,
    NotFound,
    Refused,
    ServiceError,
    WaitTimeout,
)
from r2rise_service.client.jobs import Job

__all__ = [
    "ApiError",
    "CannotReach",
    "Client",
    "Conflict",
    "Job",
    "JobCanceled",
    "JobFailed",
    "NotAllowed",
    "NotFound",
    "Refused",
    "ServiceError",
    "WaitTimeout",
]
