"""Importance maps, computed and drawn once for each state of a job."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import numpy as np

from r2rise import Demonstrations, ImportanceMap, Ledger, Segments, importance_map
from r2rise.stopping import ended
from r2rise.study_parts import EstimatorName
from r2rise_service.models import JobInfo
from r2rise_service.storage.files import DatasetFiles
from r2rise_service.storage.store import Store

_KEPT = 64
"""Results that are kept: maps, and maps in a format."""


class Once:
    """Keeps what was computed last; who asks meanwhile waits instead of computing it again."""

    def __init__(self, size: int = _KEPT) -> None:
        self._size, self._lock = size, threading.Lock()
        self._found: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
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
        return found.result()


class Maps:
    """Importance maps of jobs.

    What is kept goes by the version of a job, not by its revision alone: baselines and retrainings
    that were tried again change a map, too.
    """

    def __init__(self, store: Store, files: DatasetFiles) -> None:
        self._store, self._files = store, files
        self._maps, self._drawn, self._lengths = Once(), Once(), Once()
        self._drawing = threading.Lock()

    def ledger(self, job: JobInfo) -> Ledger:
        """Return the records of a job."""
        sha256 = job.study.demonstrations or ""
        keys = job.study.environment.obs_keys
        lengths = self._lengths.get((sha256, keys), lambda: self._load(sha256, keys))
        n_segments = len(Segments.of(np.array(lengths, dtype=np.int64), job.study.masking))
        return self._store.ledger(job.id, lengths, n_segments)

    def map(self, job: JobInfo, estimator: EstimatorName | None = None) -> ImportanceMap:
        """Return the map of a job, by its own estimator or another.

        Raises:
            NotReady: When there are too few successful retrainings.
        """
        key = job.id, job.version, estimator or job.study.estimator
        found = self._maps.get(key, lambda: self._estimated(job, estimator))
        return cast("ImportanceMap", found)

    def _estimated(self, job: JobInfo, estimator: EstimatorName | None) -> ImportanceMap:
        ledger, study = self.ledger(job), job.study
        if estimator is not None and estimator != study.estimator:
            study = ended(study, ledger).model_copy(update={"estimator": estimator})
        return importance_map(ledger, study, job.warnings)

    def drawn(self, job: JobInfo, estimator: EstimatorName | None, ending: str) -> bytes:
        """Return the map of a job as a file of an ending that `ImportanceMap.save` knows.

        Raises:
            NotReady: When there are too few successful retrainings.
        """
        key = job.id, job.version, estimator or job.study.estimator, ending
        return cast("bytes", self._drawn.get(key, lambda: self._draw(job, estimator, ending)))

    def _draw(self, job: JobInfo, estimator: EstimatorName | None, ending: str) -> bytes:
        found = self.map(job, estimator)
        with self._drawing, tempfile.TemporaryDirectory() as folder:  # matplotlib: one at a time
            path = Path(folder) / f"map{ending}"
            found.save(path)
            return path.read_bytes()

    def _load(self, sha256: str, obs_keys: tuple[str, ...]) -> tuple[int, ...]:
        """Return the frames of each demonstration; the dataset itself may have been deleted."""
        demonstrations = Demonstrations.load(self._files.path(sha256), obs_keys=obs_keys)
        return tuple(demonstrations.lengths.tolist())
