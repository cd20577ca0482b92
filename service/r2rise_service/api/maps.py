"""Importance maps, computed and drawn once for each state of a job."""

from typing import cast

import numpy as np

from r2rise import Demonstrations, ImportanceMap, Ledger, Segments, importance_map
from r2rise.statistics.stopping import ended
from r2rise.study.parts import EstimatorName
from r2rise_service.api.once import Once, as_file
from r2rise_service.models import JobInfo
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles


class Maps:
    """Importance maps of jobs.

    What is kept goes by the state of a job, not by its revision alone: baselines and retrainings
    that were tried again change a map, too. Another name or priority does not.
    """

    def __init__(self, store: Store, files: DatasetFiles) -> None:
        self._store, self._files = store, files
        self._maps, self._drawn, self._lengths = Once(), Once(), Once()

    def ledger(self, job: JobInfo, part: int = 0) -> Ledger:
        """Return the records of a job, or of one learner of a transfer."""
        sha256 = job.study.demonstrations or ""
        keys = job.study.environment.obs_keys
        lengths = self._lengths.get((sha256, keys), lambda: self._load(sha256, keys))
        n_segments = len(Segments.of(np.array(lengths, dtype=np.int64), job.study.masking))
        return self._store.records.ledger(job.id, lengths, n_segments, part=part)

    def map(self, job: JobInfo, estimator: EstimatorName | None = None) -> ImportanceMap:
        """Return the map of a job, by its own estimator or another.

        Raises:
            NotReady: When there are too few successful retrainings.
        """
        key = job.id, state_of(job), estimator or job.study.estimator
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
        key = job.id, state_of(job), estimator or job.study.estimator, ending
        return cast(
            "bytes", self._drawn.get(key, lambda: as_file(self.map(job, estimator), ending))
        )

    def _load(self, sha256: str, obs_keys: tuple[str, ...]) -> tuple[int, ...]:
        """Return the frames of each demonstration; the dataset itself may have been deleted."""
        demonstrations = Demonstrations.load(self._files.path(sha256), obs_keys=obs_keys)
        return tuple(demonstrations.lengths.tolist())


def state_of(job: JobInfo) -> str:
    """Return what changes whenever the map of a job does: what is stored of it, and its end."""
    progress = job.progress
    ended = "" if job.finished_at is None else f"-{job.finished_at.timestamp():.6f}"
    return f"{job.revision}-{progress.done}-{progress.failed}-{job.status}{ended}"
