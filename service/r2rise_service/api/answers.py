"""What only the server says: whole lists, health and versions."""

from typing import Any, Literal

from r2rise_service.models import AlgorithmInfo, Answer, EnvironmentInfo, JobEvent


class EnvironmentList(Answer):
    """The environments that jobs may use."""

    data: tuple[EnvironmentInfo, ...]


class AlgorithmList(Answer):
    """All installed algorithms."""

    data: tuple[AlgorithmInfo, ...]


class EventList(Answer):
    """Events of a job, in order; ask again with the last id for more."""

    data: tuple[JobEvent, ...]


class Health(Answer):
    """The server runs."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """The server can take work; every part is `ok`."""

    status: Literal["ok"] = "ok"
    parts: dict[str, str]


class Version(Answer):
    """Versions that the numbers of a map depend on, and that of the API."""

    api: str = "v1"
    versions: dict[str, str]


def problem_answers() -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI describes every error."""
    reference = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": reference}}
    return {"default": {"description": "A problem (RFC 9457)", "content": content}}
