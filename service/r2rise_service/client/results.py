"""What came of a job: results, records and files."""

from collections.abc import Iterator
from pathlib import Path

from r2rise import Certificate, Curation, ImportanceMap, Transfer
from r2rise.design.seeds import Kind
from r2rise.errors import InputError
from r2rise.files import atomic_file
from r2rise.ledger.record import Record
from r2rise_service.client.reading import read_record, read_result
from r2rise_service.client.transport import Transport
from r2rise_service.kinds import CERTIFY, CURATE, EXPLAIN, KINDS, TRANSFER
from r2rise_service.models import JobInfo
from r2rise_service.records import RetrainingPage

PAGE_SIZE = 500
"""Records fetched at once."""


class Results:
    """Base of `Job`: what came of it.

    Attributes:
        info: Everything the server says about the job.
    """

    def __init__(self, transport: Transport, info: JobInfo) -> None:
        self._transport = transport
        self.info = info

    @property
    def _path(self) -> str:
        return f"/jobs/{self.info.id}"

    def importance(self, estimator: str | None = None) -> ImportanceMap:
        """Return the importance map, also while the job is running (`partial`).

        Args:
            estimator: `difference`, `ridge`, `rise` or `rise_normalized`; None for the study's.

        Raises:
            NotFound: When the job is of another kind.
            Conflict: Before the first usable retraining (`code` is `not-ready`).
        """
        params = {"estimator": estimator} if estimator else {}
        return read_result(ImportanceMap, self._text(EXPLAIN.file_name(".json"), params))

    def certificate(self) -> Certificate:
        """Return what a job of the kind `certify` found.

        Raises:
            NotFound: When the job is of another kind.
            Conflict: While it is live (`code` is `not-ready`).
        """
        return read_result(Certificate, self._text(CERTIFY.file_name(".json")))

    def curation(self) -> Curation:
        """Return what a job of the kind `curate` found; see `certificate` for errors.

        `download` with a name that ends in .npz gives the better demonstrations.
        """
        return read_result(Curation, self._text(CURATE.file_name(".json")))

    def transfer(self) -> Transfer:
        """Return what a job of the kind `transfer` found; see `certificate` for errors."""
        return read_result(Transfer, self._text(TRANSFER.file_name(".json")))

    def retrainings(self, *, kind: Kind | None = None, part: int = 0) -> Iterator[Record]:
        """Yield the job's records by index, asking for further pages when they are needed.

        Args:
            kind: `design`, `baseline`, `random_policy`, `certify`, `curate` or `confirm`; None
                for what the job mainly does.
            part: Of a transfer: whose retrainings, counted from 0 as in `info.based_on`.
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
            path: Its name ends in .npz.
            part: As in `retrainings`.

        Raises:
            InputError: When the name does not end in .npz.
        """
        path = Path(path)
        if path.suffix.lower() != ".npz":
            raise InputError(f"A ledger is downloaded as .npz, not as {path.name!r}.")
        return self._file(path, "retrainings", {"format": "npz", "part": str(part)})

    def download(self, path: str | Path, *, estimator: str | None = None) -> Path:
        """Write the result to a file and return its path; the file is whole or not there.

        Args:
            path: Its ending says what is written. `.json`, `.png` and `.svg` are the result of
                the job; of a map also `.csv` and `.npz`; `.npz` of a curation are the better
                demonstrations; `.html` is a report of all that is known.
            estimator: As in `importance`.

        Raises:
            InputError: For another ending, or an estimator of anything but a map.
            NotFound: When a curation left nothing out, so that there are no better ones.
            Conflict: Before there is a result (`code` is `not-ready`).
        """
        path, kind = Path(path), KINDS[self.info.kind]
        ending = path.suffix.lower()
        if ending not in kind.endings:
            raise InputError(
                f"What came of {self.info.id} ({kind.name}) is downloaded as "
                f"{', '.join(kind.endings)}, not as {path.name!r}."
            )
        if estimator and (kind is not EXPLAIN or ending not in kind.result_endings):
            raise InputError(f"An estimator is that of a map; {path.name!r} is none.")
        params = {"estimator": estimator} if estimator else {}
        return self._file(path, kind.file_name(ending), params)

    def _text(self, name: str, params: dict[str, str] | None = None) -> str:
        return self._transport.request("GET", f"{self._path}/{name}", params=params or {}).text

    def _file(self, path: Path, name: str, params: dict[str, str]) -> Path:
        with atomic_file(path) as file:
            self._transport.download(f"{self._path}/{name}", file, params=params)
        return path
