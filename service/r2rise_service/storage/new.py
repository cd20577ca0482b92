"""What is to be stored."""

from dataclasses import dataclass, field
from typing import Any

from r2rise.study.notices import Notice
from r2rise.study.study import Study
from r2rise_service.kinds import JobKind
from r2rise_service.models import Labels


@dataclass(frozen=True)
class NewDataset:
    """What is stored of demonstrations that were uploaded."""

    owner: str
    sha256: str
    lengths: tuple[int, ...]
    obs_shape: tuple[int, ...]
    act_shape: tuple[int, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A job that another is based on: its map, and what that is called there."""

    job_id: str
    name: str
    map: str


@dataclass(frozen=True)
class NewJob:
    """A job that was accepted; `total` counts the retrainings it asks for, baselines included."""

    owner: str
    kind: JobKind
    dataset_id: str
    study: Study
    total: int
    warnings: tuple[Notice, ...] = ()
    name: str = ""
    labels: Labels = field(default_factory=dict)
    priority: int = 0
    sources: tuple[Source, ...] = ()
    repetitions: int | None = None
