"""What is computed from records and sent: maps, results and reports, each made once."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from r2rise import Curation, Demonstrations, ImportanceMap, Ledger, Segments, importance_map
from r2rise.report.report import Commands, write_report
from r2rise.results.result import Result
from r2rise.statistics.stopping import shorten_to_stop
from r2rise.study.parts import EstimatorName
from r2rise_service.kinds import KINDS
from r2rise_service.models import JobInfo
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles

Computed = TypeVar("Computed")

_DRAWING = threading.Lock()
"""Held while matplotlib draws, which only one thread may do at a time."""

_KEPT = 64
"""Results that are kept: maps, and maps in a format."""


class SingleFlight:
    """Keeps what was computed last; who asks meanwhile waits instead of computing it again."""

    def __init__(self, size: int = _KEPT) -> None:
        self._size, self._lock = size, threading.Lock()
        self._found: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Computed]) -> Computed:
        """Return what `compute` gives for a key; what it raises is not kept."""
        with self._lock:
            found = self._found.get(key)
            mine = found is None
            if found is None:
                found = self._found[key] = Future()
            self._found.move_to_end(key)
            while len(self._found) > self._size:
                self._found.popitem(last=False)
        if mine:
            try:
                found.set_result(compute())
            except BaseException as error:
                with self._lock:
                    self._found.pop(key, None)
                found.set_exception(error)
        computed: Computed = found.result()
        return computed


class Maps:
    """Importance maps of jobs.

    What is kept goes by the state of a job, not by its revision alone: baselines and retrainings
    that were tried again change a map, too. Another name or priority does not.
    """

    def __init__(self, store: Store, files: DatasetFiles) -> None:
        self._store, self._files = store, files
        self._maps, self._drawn = SingleFlight(), SingleFlight()

    def ledger(self, job: JobInfo, part: int = 0) -> Ledger:
        """Return the records of a job, or of one learner of a transfer."""
        lengths = self._store.datasets.lengths_of_job(job.id) or self._read_lengths(job)
        n_segments = len(Segments.of(np.array(lengths, dtype=np.int64), job.study.masking))
        return self._store.records.ledger(job.id, lengths, n_segments, part=part)

    def map(self, job: JobInfo, estimator: EstimatorName | None = None) -> ImportanceMap:
        """Return the map of a job, by its own estimator or another.

        Raises:
            NotReady: When there are too few successful retrainings.
        """
        key = job.id, state_of(job), estimator or job.study.estimator
        return self._maps.get(key, lambda: self._estimated(job, estimator))

    def _estimated(self, job: JobInfo, estimator: EstimatorName | None) -> ImportanceMap:
        ledger, study = self.ledger(job), job.study
        if estimator is not None and estimator != study.estimator:
            study = shorten_to_stop(study, ledger).model_copy(update={"estimator": estimator})
        return importance_map(ledger, study, job.warnings)

    def drawn(self, job: JobInfo, estimator: EstimatorName | None, ending: str) -> bytes:
        """Return the map of a job as a file of an ending that `ImportanceMap.save` knows.

        Raises:
            NotReady: When there are too few successful retrainings.
        """
        key = job.id, state_of(job), estimator or job.study.estimator, ending
        return self._drawn.get(key, lambda: _as_file(self.map(job, estimator), ending))

    def _read_lengths(self, job: JobInfo) -> tuple[int, ...]:
        """Return the frames of each demonstration, for a job of which they were never kept."""
        path = self._files.path(job.study.demonstrations or "")
        demonstrations = Demonstrations.load(path, obs_keys=job.study.environment.obs_keys)
        return tuple(demonstrations.lengths.tolist())


def state_of(job: JobInfo) -> str:
    """Return what changes whenever the map of a job does: what is stored of it, and its end."""
    progress = job.progress
    ended = "" if job.finished_at is None else f"-{job.finished_at.timestamp():.6f}"
    return f"{job.revision}-{progress.done}-{progress.failed}-{job.status}{ended}"


class NoResult(Exception):
    """There is nothing of that kind; the text says why."""


class Outcomes:
    """Results of jobs that succeeded, and reports.

    What is kept goes by the version of a job: a job that was tried again may have another result.
    """

    def __init__(self, store: Store, files: DatasetFiles, maps: Maps) -> None:
        self._store, self._files, self._maps = store, files, maps
        self._drawn = SingleFlight()

    def drawn(self, job: JobInfo, ending: str) -> bytes:
        """Return the result of a job as JSON, or its figure.

        Raises:
            NoResult: When there is none.
        """
        key = job.id, job.version, ending
        return self._drawn.get(key, lambda: _as_file(self.result(job), ending))

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

    def in_report(self, job: JobInfo) -> list[JobInfo]:
        """Return the jobs whose results are in the report of a job.

        Its own, or for a map the newest of each kind that is based on it.
        """
        if KINDS[job.kind].is_based_on_maps:
            return [job]
        kinds = [kind.name for kind in KINDS.values() if kind.is_based_on_maps]
        newest = (self._store.results.newest_based_on(job.id, kind) for kind in kinds)
        return [found for found in newest if found is not None]

    def report(self, job: JobInfo, others: Sequence[JobInfo]) -> bytes:
        """Return a page with a map and the results of jobs.

        Raises:
            NotReady: When there are too few retrainings for a map.
        """
        key = (job.id, job.version, *((other.id, other.version) for other in others))
        return self._drawn.get(key, lambda: self._report(job, others))

    def _report(self, job: JobInfo, others: Sequence[JobInfo]) -> bytes:
        results: list[Result] = [self._map(job), *(self.result(other) for other in others)]
        about, *_ = job.based_on or (job.id,)
        with _DRAWING, tempfile.TemporaryDirectory() as folder:
            for result in results:
                result.save(Path(folder) / result.file_name)
            return write_report(folder, commands=_commands(about)).read_bytes()

    def _map(self, job: JobInfo) -> ImportanceMap:
        """Return the map of a job, or the one that it is based on as it was then."""
        if not KINDS[job.kind].is_based_on_maps:
            return self._maps.map(job)
        (_, text), *_ = self._store.results.maps_of(job.id)
        return ImportanceMap.from_json(text)


def _as_file(result: Result, ending: str) -> bytes:
    """Return a result as a file of an ending that it knows."""
    with _DRAWING, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"result{ending}"
        result.save(path)
        return path.read_bytes()


def _commands(job_id: str) -> Commands:
    return Commands(
        plan="r2rise plan DEMOS --study STUDY",
        certify=f"r2rise jobs certify {job_id}",
        curate=f"r2rise jobs curate {job_id}",
        compare=f"r2rise jobs compare {job_id} OTHER",
        transfer=f"r2rise jobs transfer {job_id} OTHER",
    )
