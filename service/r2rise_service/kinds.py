"""The kinds of jobs, a row for each: read by REST, queue, client and command line.

A row holds what a kind is in data. What a kind does is code where it is done: its question
(`queue/questions.py`), the method that asks for it (`client/jobs.py`) and its commands (`cli`).
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
"""Training seeds to compare, unless others are asked for."""


@dataclass(frozen=True)
class KindOfJob:
    """All that differs between the kinds of jobs.

    Attributes:
        name: As requests name it.
        doing: What is being done, for people.
        result: Name, in `r2rise`, of the class of its result.
        route: Where its result is, below the job.
        endings: Of the files that can be downloaded of it.
        records: Kind of the retrainings that it mainly does.
        most_bases: On how many jobs it can be based; 0: it has a study of its own.
        fewest_bases: On how many it has to be.
        repetitions: How many training seeds it compares by default; None where that is no choice.
        reuses_baselines: Whether it uses the baselines of the jobs that it is based on.
        other_files: Names of the files that are not its result in some format, by their ending.
    """

    name: JobKind
    doing: str
    result: str
    route: str
    endings: tuple[str, ...]
    records: "RecordKind"
    most_bases: int = 1
    fewest_bases: int = 1
    repetitions: int | None = None
    reuses_baselines: bool = True
    other_files: Mapping[str, str] = field(default_factory=lambda: {".html": REPORT})

    @property
    def result_class(self) -> "type[Result]":
        """Class of its result; loaded when this is read."""
        import r2rise

        found: type[Result] = getattr(r2rise, self.result)
        return found

    @property
    def is_based_on_maps(self) -> bool:
        """Whether it is about the maps of other jobs."""
        return self.most_bases > 0

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all that can come of it, below the job."""
        return (self.route, *self.other_files.values())

    @property
    def result_endings(self) -> tuple[str, ...]:
        """Endings of its result in all formats."""
        return tuple(ending for ending in self.endings if ending not in self.other_files)

    def file_name(self, ending: str) -> str:
        """Return the name, below the job, of the file of one of its endings."""
        return self.other_files.get(ending, f"{self.route}{ending}")


EXPLAIN = KindOfJob(
    name="explain",
    doing="Retraining",
    result="ImportanceMap",
    route="importance",
    endings=(".json", ".csv", ".npz", ".png", ".svg", ".html"),
    records="design",
    most_bases=0,
    fewest_bases=0,
)
CERTIFY = KindOfJob(
    name="certify",
    doing="Certifying",
    result="Certificate",
    route="certificate",
    endings=(".json", ".png", ".svg", ".html"),
    records="certify",
    repetitions=REPETITIONS,
)
CURATE = KindOfJob(
    name="curate",
    doing="Curating",
    result="Curation",
    route="curation",
    endings=(".json", ".npz", ".png", ".svg", ".html"),
    records="curate",
    reuses_baselines=False,  # it compares with retrainings of its own
    other_files={".npz": "curated.npz", ".html": REPORT},
)
TRANSFER = KindOfJob(
    name="transfer",
    doing="Transferring",
    result="Transfer",
    route="transfer",
    endings=(".json", ".png", ".svg", ".html"),
    records="certify",
    most_bases=20,
    fewest_bases=2,
    repetitions=REPETITIONS,
)
KINDS: dict[JobKind, KindOfJob] = {kind.name: kind for kind in (EXPLAIN, CERTIFY, CURATE, TRANSFER)}
