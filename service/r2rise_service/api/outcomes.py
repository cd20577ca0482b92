"""What came of jobs that are no maps: results, better demonstrations and reports."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from r2rise import Curation, Demonstrations, ImportanceMap
from r2rise.report.report import Commands, write_report
from r2rise.results.result import Result
from r2rise_service.api.maps import Maps
from r2rise_service.api.once import DRAWING, Once, as_file
from r2rise_service.kinds import KINDS
from r2rise_service.models import JobInfo
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles


class NoResult(Exception):
    """There is nothing of that kind; the text says why."""


class Outcomes:
    """Results of jobs that succeeded, and reports.

    What is kept goes by the version of a job: a job that was tried again may have another result.
    """

    def __init__(self, store: Store, files: DatasetFiles, maps: Maps) -> None:
        self._store, self._files, self._maps = store, files, maps
        self._drawn = Once()

    def drawn(self, job: JobInfo, ending: str) -> bytes:
        """Return the result of a job as JSON, or its figure.

        Raises:
            NoResult: When there is none.
        """
        key = job.id, job.version, ending
        return cast("bytes", self._drawn.get(key, lambda: as_file(self.result(job), ending)))

    def result(self, job: JobInfo) -> Result:
        """Return the result of a job.

        Raises:
            NoResult: When there is none.
        """
        text = self._store.results.get(job.id)
        if text is None:
            raise NoResult(f"Job {job.id} has no result.")
        return KINDS[job.kind].result_class.from_json(text)

    def curated(self, job: JobInfo) -> bytes:
        """Return better demonstrations, as an .npz file.

        Raises:
            NoResult: When leaving something out gained nothing for sure.
        """
        found = cast("Curation", self.result(job))
        if not found.is_worth_applying:
            raise NoResult(f"{found.in_words()} /curation has the numbers.")
        study = job.study
        path = self._files.path(found.dataset)
        better = found.apply(Demonstrations.load(path, obs_keys=study.environment.obs_keys))
        with tempfile.TemporaryDirectory() as folder:
            better.save(Path(folder) / "curated.npz")
            return (Path(folder) / "curated.npz").read_bytes()

    def told_in_report(self, job: JobInfo) -> list[JobInfo]:
        """Return the jobs whose results are in the report of a job.

        Its own, or for a map the newest of each kind that is based on it.
        """
        if KINDS[job.kind].is_based_on_maps:
            return [job]
        kinds = [kind.name for kind in KINDS.values() if kind.is_based_on_maps]
        newest = (self._store.results.newest_based_on(job.id, kind) for kind in kinds)
        return [found for found in newest if found is not None]

    def report(self, job: JobInfo, told: Sequence[JobInfo]) -> bytes:
        """Return a page with a map and results.

        Raises:
            NotReady: When there are too few retrainings for a map.
        """
        key = (job.id, job.version, *((other.id, other.version) for other in told))
        return cast("bytes", self._drawn.get(key, lambda: self._report(job, told)))

    def _report(self, job: JobInfo, told: Sequence[JobInfo]) -> bytes:
        results: list[Result] = [self._map(job), *(self.result(other) for other in told)]
        about, *_ = job.based_on or (job.id,)
        with DRAWING, tempfile.TemporaryDirectory() as folder:
            for result in results:
                result.save(Path(folder) / result.file_name)
            return write_report(folder, commands=_commands(about)).read_bytes()

    def _map(self, job: JobInfo) -> ImportanceMap:
        """Return the map of a job, or the one that it is based on as it was then."""
        if not KINDS[job.kind].is_based_on_maps:
            return self._maps.map(job)
        (_, text), *_ = self._store.results.maps_of(job.id)
        return ImportanceMap.from_json(text)


def _commands(job_id: str) -> Commands:
    return Commands(
        plan="r2rise plan DEMOS --study STUDY",
        certify=f"r2rise jobs certify {job_id}",
        curate=f"r2rise jobs curate {job_id}",
        compare=f"r2rise jobs compare {job_id} OTHER",
        transfer=f"r2rise jobs transfer {job_id} OTHER",
    )
