"""What only the server says: lists, and what a job would be."""

from typing import Any, Literal

from pydantic import JsonValue

from r2rise.resolution import Notice
from r2rise.study import Study
from r2rise_service.models import Answer, DatasetInfo, JobEvent


class DatasetList(Answer):
    """Datasets, newest first."""

    data: tuple[DatasetInfo, ...]


class EnvironmentInfo(Answer):
    """An environment that jobs may use."""

    id: str


class EnvironmentList(Answer):
    """The environments that jobs may use."""

    data: tuple[EnvironmentInfo, ...]


class AlgorithmInfo(Answer):
    """An installed algorithm and the JSON Schema of its settings."""

    name: str
    summary: str
    settings: dict[str, JsonValue]


class AlgorithmList(Answer):
    """All installed algorithms."""

    data: tuple[AlgorithmInfo, ...]


class Cost(Answer):
    """What a job would take.

    Attributes:
        retrainings: Baselines included.
        episodes: To evaluate all of them.
        most_steps: Of the environment, if no episode ended before its limit.
    """

    retrainings: int
    episodes: int
    most_steps: int


class DryRun(Answer):
    """What a job would be; nothing was stored."""

    study: Study
    study_hash: str
    warnings: tuple[Notice, ...]
    cost: Cost


class EventList(Answer):
    """Events of a job, in order; ask again with the last id for more."""

    data: tuple[JobEvent, ...]


class Retraining(Answer):
    """A record of the ledger; `mask` has 8 segments a byte as hexadecimal digits."""

    kind: str
    index: int
    mask: str
    training_seed: int
    evaluation_seed: int
    returns: tuple[float, ...]
    status: Literal["ok", "failed"]
    reason: str
    seconds: float
    attempts: int
    evaluation_seconds: float


class RetrainingPage(Answer):
    """Records by index, and where the next page starts."""

    data: tuple[Retraining, ...]
    next_page_token: str | None = None


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
