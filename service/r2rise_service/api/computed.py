"""Maps, results and reports that are computed from stored records, each of them once."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from r2rise import Curation, Demonstrations, ImportanceMap, Ledger, Segments, importance_map
from r2rise.report.report import write_report
from r2rise.results.result import Result
from r2rise.statistics.stopping import shorten_to_stop
from r2rise.study.choices import EstimatorName
from r2rise_service.kinds import KINDS
from r2rise_service.models import JobInfo
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles

Value = TypeVar("Value")

_DRAWING_LOCK = threading.Lock()
"""Held while matplotlib draws, because only one thread may use it at a time."""

_CACHE_SIZE = 64
"""Entries of a cache: maps, or files of maps, results and reports."""


class SingleFlight:
    """A least-recently-used cache in which concurrent callers share one computation."""

    def __init__(self, size: int = _CACHE_SIZE) -> None:
        self._size, self._lock = size, threading.Lock()
        self._futures: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return the cached value of a key, or compute it.

        An exception of `compute` is raised in every caller that waits for it, and is not cached.
        """
        with self._lock:
            future = self._futures.get(key)
            is_first = future is None
            if future is None:
                future = self._futures[key] = Future()
            self._futures.move_to_end(key)
            while len(self._futures) > self._size:
                self._futures.popitem(last=False)
        if is_first:
            try:
                future.set_result(compute())
            except BaseException as error:
                with self._lock:
                    self._futures.pop(key, None)
                future.set_exception(error)
        value: Value = future.result()
        return value


class Maps:
    """Importance maps of jobs.

    The cache key is `map_version`, not the revision alone: baselines and retrainings that were
    retried change a map, too. A new name or priority does not.
    """

    def __init__(self, store: Store, files: DatasetFiles) -> None:
        self._store, self._files = store, files
        self._maps, self._map_files = SingleFlight(), SingleFlight()

    def ledger(self, job: JobInfo, part: int = 0) -> Ledger:
        """Return the records of a job, or of one learner of a transfer."""
        lengths = self._store.datasets.lengths_of_job(job.id) or self._read_lengths(job)
        n_segments = len(Segments.of(np.array(lengths, dtype=np.int64), job.study.masking))
        return self._store.records.ledger(job.id, lengths, n_segments, part=part)

    def map(self, job: JobInfo, estimator: EstimatorName | None = None) -> ImportanceMap:
        """Return the map of a job, by the estimator of its study or another.

        Raises:
            NotReady: When there are too few successful retrainings.
        """
        key = job.id, map_version(job), estimator or job.study.estimator
        return self._maps.get(key, lambda: self._estimate(job, estimator))

    def _estimate(self, job: JobInfo, estimator: EstimatorName | None) -> ImportanceMap:
        ledger, study = self.ledger(job), job.study
        if estimator is not None and estimator != study.estimator:
            study = shorten_to_stop(study, ledger).model_copy(update={"estimator": estimator})
        return importance_map(ledger, study, job.warnings)

    def as_file(self, job: JobInfo, estimator: EstimatorName | None, ending: str) -> bytes:
        """Return the map of a job as the bytes of a file, in a format of `ImportanceMap.save`.

        Raises:
            NotReady: When there are too few successful retrainings.
        """
        key = job.id, map_version(job), estimator or job.study.estimator, ending
        return self._map_files.get(key, lambda: _as_file(self.map(job, estimator), ending))

    def _read_lengths(self, job: JobInfo) -> tuple[int, ...]:
        """Read the frames of each demonstration from the file, for a job stored without them."""
        path = self._files.path(job.study.demonstrations or "")
        demonstrations = Demonstrations.load(path, obs_keys=job.study.environment.obs_keys)
        return tuple(demonstrations.lengths.tolist())


def map_version(job: JobInfo) -> str:
    """Return a text that changes whenever the map of a job does: with its records, and its end."""
    progress = job.progress
    end = "" if job.finished_at is None else f"-{job.finished_at.timestamp():.6f}"
    return f"{job.revision}-{progress.done}-{progress.failed}-{job.status}{end}"


class NoResult(Exception):
    """The job has no such result; the message says why."""


class Outcomes:
    """Results of jobs that succeeded, and reports.

    The cache key is the version of a job, because a job that was retried may have another result.
    """

    def __init__(self, store: Store, files: DatasetFiles, maps: Maps) -> None:
        self._store, self._files, self._maps = store, files, maps
        self._cache = SingleFlight()

    def as_file(self, job: JobInfo, ending: str) -> bytes:
        """Return the result of a job as the bytes of a file: JSON, or a figure.

        Raises:
            NoResult: When the job has none.
        """
        key = job.id, job.version, ending
        return self._cache.get(key, lambda: _as_file(self.result(job), ending))

    def result(self, job: JobInfo) -> Result:
        """Return the result of a job.

        Raises:
            NoResult: When the job has none.
        """
        text = self._store.results.get(job.id)
        if text is None:
            raise NoResult(f"Job {job.id} has no result.")
        return KINDS[job.kind].result_class.from_json(text)

    def curated_file(self, job: JobInfo) -> bytes:
        """Return the curated demonstrations as the bytes of an .npz file.

        Raises:
            NoResult: When no gain of leaving frames out was confirmed.
        """
        curation = cast("Curation", self.result(job))
        if not curation.is_worth_applying:
            raise NoResult(f"{curation.in_words()} /curation has the numbers.")
        study = job.study
        path = self._files.path(curation.dataset)
        curated = curation.apply(Demonstrations.load(path, obs_keys=study.environment.obs_keys))
        with tempfile.TemporaryDirectory() as folder:
            curated.save(Path(folder) / "curated.npz")
            return (Path(folder) / "curated.npz").read_bytes()

    def jobs_in_report(self, job: JobInfo) -> list[JobInfo]:
        """Return the jobs whose results are in the report of a job.

        For a job of the kind `explain`, these are the newest job of each kind that is based on its
        map; for any other job, it is the job itself.
        """
        if KINDS[job.kind].is_based_on_maps:
            return [job]
        kinds = [kind.name for kind in KINDS.values() if kind.is_based_on_maps]
        newest = (self._store.results.newest_based_on(job.id, kind) for kind in kinds)
        return [info for info in newest if info is not None]

    def report(self, job: JobInfo, reported_jobs: Sequence[JobInfo]) -> bytes:
        """Return the report as HTML: the map of a job, and the results of jobs based on it.

        Args:
            job: The job.
            reported_jobs: As `jobs_in_report` returns them.

        Raises:
            NotReady: When there are too few retrainings for a map.
        """
        key = (
            job.id,
            job.version,
            *((reported_job.id, reported_job.version) for reported_job in reported_jobs),
        )
        return self._cache.get(key, lambda: self._write_report(job, reported_jobs))

    def _write_report(self, job: JobInfo, reported_jobs: Sequence[JobInfo]) -> bytes:
        results: list[Result] = [
            self._map(job),
            *(self.result(reported_job) for reported_job in reported_jobs),
        ]
        map_job_id, *_ = job.based_on or (job.id,)
        with _DRAWING_LOCK, tempfile.TemporaryDirectory() as folder:
            for result in results:
                result.save(Path(folder) / result.file_name)
            return write_report(folder, command=partial(_job_command, map_job_id)).read_bytes()

    def _map(self, job: JobInfo) -> ImportanceMap:
        """Return the map of a job, or the map it is based on as of the time it was accepted."""
        if not KINDS[job.kind].is_based_on_maps:
            return self._maps.map(job)
        (_, text), *_ = self._store.results.maps_of(job.id)
        return ImportanceMap.from_json(text)


def _as_file(result: Result, ending: str) -> bytes:
    """Return a result as the bytes of a file, in one of the formats of its `save`."""
    with _DRAWING_LOCK, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"result{ending}"
        result.save(path)
        return path.read_bytes()


def _job_command(job_id: str, verb: str) -> str:
    """Return the command that asks a server for a result about the map of a job."""
    if verb == "plan":
        return "r2rise plan DEMOS --study STUDY"
    others = " OTHER" if verb in ("compare", "transfer") else ""
    return f"r2rise jobs {verb} {job_id}{others}"
