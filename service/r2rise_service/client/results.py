"""Results, records and files of a job."""

from collections.abc import Iterator
from pathlib import Path

from r2rise import Certificate, Curation, ImportanceMap, Transfer
from r2rise.design.seeds import Kind
from r2rise.errors import InputError
from r2rise.files import atomic_file
from r2rise.ledger.record import Record
from r2rise.results.result import Result
from r2rise_service.client.reading import read_record, read_result
from r2rise_service.client.transport import Transport
from r2rise_service.kinds import CERTIFY, CURATE, EXPLAIN, KINDS, TRANSFER
from r2rise_service.models import JobInfo
from r2rise_service.records import RetrainingPage

PAGE_SIZE = 500
"""Records per request."""


class Results:
    """Base of `Job`: its results.

    Attributes:
        info: The job as the server describes it.
    """

    def __init__(self, transport: Transport, info: JobInfo) -> None:
        self._transport = transport
        self.info = info

    @property
    def _path(self) -> str:
        return f"/jobs/{self.info.id}"

    def result(self) -> Result:
        """Return the result of the job, of the class that belongs to its kind.

        Raises:
            Conflict: While there is no result (`code` is `not-ready`).
        """
        kind = KINDS[self.info.kind]
        return read_result(kind.result_class, self._text(kind.file_name(".json")))

    def importance(self, estimator: str | None = None) -> ImportanceMap:
        """Return the importance map, also while the job is running (`partial`).

        Args:
            estimator: Name of an estimator, as in `Study.estimator`; None means that of the study.

        Raises:
            NotFound: When the job is of another kind.
            Conflict: While there is no usable retraining (`code` is `not-ready`).
        """
        params = {"estimator": estimator} if estimator else {}
        return read_result(ImportanceMap, self._text(EXPLAIN.file_name(".json"), params))

    def certificate(self) -> Certificate:
        """Return the result of a job of the kind `certify`.

        Raises:
            NotFound: When the job is of another kind.
            Conflict: While the job is live (`code` is `not-ready`).
        """
        return read_result(Certificate, self._text(CERTIFY.file_name(".json")))

    def curation(self) -> Curation:
        """Return the result of a job of the kind `curate`; see `certificate` for errors.

        `download` to a file that ends in .npz writes the curated demonstrations.
        """
        return read_result(Curation, self._text(CURATE.file_name(".json")))

    def transfer(self) -> Transfer:
        """Return the result of a job of the kind `transfer`; see `certificate` for errors."""
        return read_result(Transfer, self._text(TRANSFER.file_name(".json")))

    def retrainings(self, *, kind: Kind | None = None, part: int = 0) -> Iterator[Record]:
        """Yield the job's records by index; each further page is requested when it is needed.

        Args:
            kind: `design`, `baseline`, `random_policy`, `certify`, `curate` or `confirm`; None
                means the main kind of this kind of job.
            part: For a transfer: the learner of the retrainings, counted from 0 as in
                `info.based_on`.
        """
        params = {
            "kind": kind or KINDS[self.info.kind].record_kind,
            "part": part,
            "page_size": PAGE_SIZE,
        }
        for page in self._transport.pages(f"{self._path}/retrainings", RetrainingPage, params):
            for retraining in page.data:
                yield read_record(retraining)

    def ledger(self, path: str | Path, *, part: int = 0) -> Path:
        """Write all records to a file that `r2rise.Ledger.load` reads, and return its path.

        Args:
            path: File to write; its name ends in .npz.
            part: As in `retrainings`.

        Raises:
            InputError: When the name does not end in .npz.
        """
        path = Path(path)
        if path.suffix.lower() != ".npz":
            raise InputError(f"A ledger is downloaded as .npz, not as {path.name!r}.")
        return self._file(path, "retrainings", {"format": "npz", "part": str(part)})

    def download(self, path: str | Path, *, estimator: str | None = None) -> Path:
        """Write the result to a file and return its path. The file is written atomically.

        Args:
            path: File to write; its ending selects the format. `.json`, `.png` and `.svg` are the
                result of the job, and for a map also `.csv` and `.npz`. For a curation, `.npz` are
                the curated demonstrations. `.html` is a report with all related results.
            estimator: As in `importance`.

        Raises:
            InputError: For another ending, or for an estimator with anything but a map.
            NotFound: When a curation confirmed no gain: it has no curated demonstrations.
            Conflict: While there is no result (`code` is `not-ready`).
        """
        path, kind = Path(path), KINDS[self.info.kind]
        ending = path.suffix.lower()
        if ending not in kind.endings:
            raise InputError(
                f"The result of {self.info.id} ({kind.name}) is downloaded as "
                f"{', '.join(kind.endings)}, not as {path.name!r}."
            )
        if estimator and (kind is not EXPLAIN or ending not in kind.result_endings):
            raise InputError(f"Only a map has an estimator, and {path.name!r} is not a map.")
        params = {"estimator": estimator} if estimator else {}
        return self._file(path, kind.file_name(ending), params)

    def _text(self, name: str, params: dict[str, str] | None = None) -> str:
        return self._transport.request("GET", f"{self._path}/{name}", params=params or {}).text

    def _file(self, path: Path, name: str, params: dict[str, str]) -> Path:
        with atomic_file(path) as file:
            self._transport.download(f"{self._path}/{name}", file, params=params)
        return path
