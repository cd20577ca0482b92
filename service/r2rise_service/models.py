"""Request and response bodies, shared by server and client."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from r2rise.limits import MOST_REPETITIONS
from r2rise.results.comparison import Comparison
from r2rise.study.notices import Notice
from r2rise.study.study import Study
from r2rise_service.kinds import JobKind

Scope = Literal["read", "submit", "admin"]
JobStatus = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled"]
EventType = Literal["job.status", "job.progress", "job.importance", "job.error"]

LIVE: tuple[JobStatus, ...] = ("queued", "running", "canceling")
"""Statuses of a job that still has work to do."""

ENDED: tuple[JobStatus, ...] = ("succeeded", "failed", "canceled")

Labels = dict[str, str]


class Answer(BaseModel):
    """What the server answers; clients ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RequestBody(BaseModel):
    """What a client sends; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def example(body: dict[str, JsonValue]) -> ConfigDict:
    """Return a model configuration with an example of the request body."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class DatasetInfo(Answer):
    """Stored demonstrations.

    Attributes:
        id: `ds_...`; another owner's upload of the same content has its own.
        sha256: `sha256:<hex>` of the content; a study names its demonstrations by it.
        lengths: Frames of each demonstration.
        obs_shape: Shape of one observation.
        act_shape: Shape of one action.
        metadata: Whatever the uploader said about them.
    """

    id: str
    sha256: str
    n_demonstrations: int
    n_frames: int
    lengths: tuple[int, ...]
    obs_shape: tuple[int, ...]
    act_shape: tuple[int, ...]
    metadata: dict[str, JsonValue] = {}
    created_at: datetime


class DatasetPage(Answer):
    """A page of datasets, newest first, and the token of the next page."""

    data: tuple[DatasetInfo, ...]
    next_page_token: str | None = None


def _as_tuple(value: Any) -> Any:
    """Return a single id as a tuple of one; other values unchanged."""
    return (value,) if isinstance(value, str) else value


class JobRequest(RequestBody):
    """A request for a job.

    Attributes:
        kind: What is asked. `explain` computes an importance map, `certify` tests one, `curate`
            leaves out what it says hurts, and `transfer` tests several on each other's learners.
        study: For `explain`: the fields of the study; `demonstrations` names an uploaded dataset
            by its sha256.
        based_on: For the others: the ids of the `explain` jobs whose maps they are about.
        repetitions: Of `certify` and `transfer`: training seeds, 20 unless given.
        name: For people.
        labels: For finding it again.
        priority: Higher goes first.
    """

    model_config = example(
        {
            "study": {
                "demonstrations": f"sha256:{'0' * 64}",
                "environment": "CartPole-v1",
                "budget": {"retrainings": 384},
            },
            "name": "first try",
        }
    )

    kind: JobKind = "explain"
    study: dict[str, Any] | None = None
    based_on: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    repetitions: int | None = Field(default=None, ge=2, le=MOST_REPETITIONS)
    name: str = Field(default="", max_length=200)
    labels: Labels = {}
    priority: int = Field(default=0, ge=-100, le=100)


class JobChange(RequestBody):
    """Changes of a job."""

    model_config = example({"labels": {"robot": "arm"}, "priority": 10})

    name: str | None = Field(default=None, max_length=200)
    labels: Labels | None = None
    priority: int | None = Field(default=None, ge=-100, le=100)


class JobProgress(Answer):
    """The progress of a job; rate and time left are null until they are known."""

    done: int = 0
    total: int = 0
    failed: int = 0
    per_second: float | None = None
    eta_seconds: float | None = None


class JobInfo(Answer):
    """A job.

    Attributes:
        status: `queued`, `running`, `canceling`, `succeeded`, `failed` or `canceled`.
        status_reason: Why it has this state, in words.
        study: The resolved study, with defaults; that of the first job it is based on.
        based_on: Jobs whose maps it is about; they may be gone.
        repetitions: Training seeds; null for kinds that have none to choose.
        warnings: What was noticed when the job was accepted; its maps hold it, too.
        revision: Records used by the newest importance map; 0 before the first.
        version: Counts changes; the ETag of the job.
        error: What went wrong, for `failed`.
        links: Where its parts are.
    """

    id: str
    kind: JobKind
    status: JobStatus
    status_reason: str = ""
    name: str = ""
    labels: Labels = {}
    priority: int = 0
    dataset_id: str
    study: Study
    study_hash: str
    based_on: tuple[str, ...] = ()
    repetitions: int | None = None
    warnings: tuple[Notice, ...] = ()
    progress: JobProgress
    revision: int = 0
    version: int = 1
    error: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    links: dict[str, str] = {}

    @property
    def is_live(self) -> bool:
        """Whether it still has work to do."""
        return self.status in LIVE


class JobPage(Answer):
    """A page of jobs, newest first, and the token of the next page."""

    data: tuple[JobInfo, ...]
    next_page_token: str | None = None


class JobEvent(Answer):
    """Something that happened to a job.

    Attributes:
        id: Ascending sequence number, over all jobs.
        type: `job.status`, `job.progress`, `job.importance` or `job.error`.
        data: What happened.
    """

    id: int
    job_id: str
    type: EventType
    data: dict[str, JsonValue]
    created_at: datetime

    @property
    def progress(self) -> JobProgress | None:
        """Progress of the job, for `job.progress` events; None for others."""
        return JobProgress.model_validate(self.data) if self.type == "job.progress" else None


class ComparisonRequest(RequestBody):
    """Two jobs of the kind `explain` whose maps are to be compared."""

    model_config = example({"a": "job_1", "b": "job_2"})

    a: str
    b: str


class ComparisonInfo(Answer):
    """Two maps compared; `a` and `b` are ids of jobs."""

    id: str
    a: str
    b: str
    created_at: datetime
    comparison: Comparison


class EnvironmentInfo(Answer):
    """An environment that jobs may use."""

    id: str


class AlgorithmInfo(Answer):
    """An algorithm and the JSON Schema of its settings.

    Attributes:
        needed_extra: The extra of R2RISE that the server lacks for it; jobs cannot use it then.
    """

    name: str
    summary: str
    settings: dict[str, JsonValue]
    needed_extra: str | None = None


class Cost(Answer):
    """The maximum cost of a job.

    Attributes:
        retrainings: Baselines included.
        episodes: To evaluate all of them.
        most_steps: Of the environment, if no episode ended before its limit.
    """

    retrainings: int
    episodes: int
    most_steps: int


class DryRun(Answer):
    """What a job would be (`dry_run`); nothing was stored.

    Attributes:
        training_check: How the amount of training is to be chosen first, which changes the study
            and its hash; null where the study says how long to train.
    """

    study: Study
    study_hash: str
    warnings: tuple[Notice, ...]
    cost: Cost
    training_check: str | None = None


class ProblemPart(Answer):
    """One of several things wrong with a request body."""

    pointer: str
    detail: str
    code: str


class Problem(Answer):
    """A problem (RFC 9457, `application/problem+json`)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    code: str
    request_id: str = ""
    errors: tuple[ProblemPart, ...] = ()
