"""The kinds of jobs, one row each, for REST API, queue, client and command line.

A row holds the data of a kind. Its code is where it runs: its question (`queue/questions.py`), the
method that requests it (`client/jobs.py`) and its commands (`cli`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from r2rise.design.seeds import Kind as RecordKind
    from r2rise.results.result import Result

JobKind = Literal["explain", "certify", "curate", "transfer"]

REPORT = "report"
REPETITIONS = 20
"""Default number of training seeds to compare."""


@dataclass(frozen=True)
class JobKindSpec:
    """All that differs between the kinds of jobs.

    Attributes:
        name: Name in requests.
        activity: What a job does, for people: the label of its progress.
        result: Name, in `r2rise`, of the class of its result.
        route: Path of its result, below the job.
        endings: Endings of the files that can be downloaded.
        record_kind: Kind of most of its retrainings.
        max_bases: On how many jobs it can be based; 0 for a kind with its own study.
        min_bases: On how many jobs it must be based.
        repetitions: Default number of training seeds to compare; None if it cannot be chosen.
        reuses_baselines: Whether it uses the baselines of the jobs that it is based on.
        other_files: Names, by ending, of the files that are not its result in some format.
    """

    name: JobKind
    activity: str
    result: str
    route: str
    endings: tuple[str, ...]
    record_kind: "RecordKind"
    max_bases: int = 1
    min_bases: int = 1
    repetitions: int | None = None
    reuses_baselines: bool = True
    other_files: Mapping[str, str] = field(default_factory=lambda: {".html": REPORT})

    @property
    def result_class(self) -> "type[Result]":
        """Class of its result; the library is imported only here."""
        import r2rise

        result_class: type[Result] = getattr(r2rise, self.result)
        return result_class

    @property
    def is_based_on_maps(self) -> bool:
        """Whether a job of this kind is based on the maps of other jobs."""
        return self.max_bases > 0

    @property
    def resource_names(self) -> tuple[str, ...]:
        """Names, below the job, of its result and its other files."""
        return (self.route, *self.other_files.values())

    @property
    def result_endings(self) -> tuple[str, ...]:
        """Endings of its result, one for each format."""
        return tuple(ending for ending in self.endings if ending not in self.other_files)

    def file_name(self, ending: str) -> str:
        """Return the name, below the job, of the file with an ending."""
        return self.other_files.get(ending, f"{self.route}{ending}")


EXPLAIN = JobKindSpec(
    name="explain",
    activity="Retraining",
    result="ImportanceMap",
    route="importance",
    endings=(".json", ".csv", ".npz", ".png", ".svg", ".html"),
    record_kind="design",
    max_bases=0,
    min_bases=0,
)
CERTIFY = JobKindSpec(
    name="certify",
    activity="Certifying",
    result="Certificate",
    route="certificate",
    endings=(".json", ".png", ".svg", ".html"),
    record_kind="certify",
    repetitions=REPETITIONS,
)
CURATE = JobKindSpec(
    name="curate",
    activity="Curating",
    result="Curation",
    route="curation",
    endings=(".json", ".npz", ".png", ".svg", ".html"),
    record_kind="curate",
    reuses_baselines=False,  # it compares with its own retrainings on all frames
    other_files={".npz": "curated.npz", ".html": REPORT},
)
TRANSFER = JobKindSpec(
    name="transfer",
    activity="Transferring",
    result="Transfer",
    route="transfer",
    endings=(".json", ".png", ".svg", ".html"),
    record_kind="certify",
    max_bases=20,
    min_bases=2,
    repetitions=REPETITIONS,
)
KINDS: dict[JobKind, JobKindSpec] = {
    kind.name: kind for kind in (EXPLAIN, CERTIFY, CURATE, TRANSFER)
}
