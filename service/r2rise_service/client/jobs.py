"""Jobs on the server."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from r2rise.study.parts import Until
from r2rise.study.study import Study, long_form, merged
from r2rise_service.client.job import Job
from r2rise_service.client.reading import read
from r2rise_service.client.transport import Transport
from r2rise_service.kinds import CERTIFY, CURATE, EXPLAIN, REPETITIONS, TRANSFER
from r2rise_service.models import DatasetInfo, DryRun, JobInfo, JobPage, JobStatus

__all__ = ["Job", "Jobs"]


class Jobs:
    """`client.jobs`: create and find jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(  # noqa: PLR0913  (the most frequent fields of a study are arguments)
        self,
        dataset: DatasetInfo | str,
        *,
        environment: str | None = None,
        algorithm: str | None = None,
        retrainings: int | None = None,
        until: Until | Mapping[str, Any] | None = None,
        study: Study | Mapping[str, Any] | None = None,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> Job:
        """Create a job that computes an importance map.

        Args:
            dataset: A dataset from `client.datasets`, or its id.
            environment: Gymnasium id of an environment that the server allows.
            algorithm: Name of an algorithm of the server; by default the study's, else `bc`.
            retrainings: Number of masks to retrain on.
            until: Goals at which to stop earlier, such as `{"reliability": 0.9}`.
            study: All other fields of the study; the arguments above take precedence over it.
            name: Name of the job, for people.
            labels: Labels to find the job by.
            priority: -100 to 100; higher priorities go first.

        Raises:
            StudyError: When the study has wrong fields.
            Refused: When the server does not accept the study.
        """
        study_fields = self._prepare_study(
            dataset,
            study,
            environment=environment,
            algorithm=algorithm,
            budget=retrainings,
            until=until,
        )
        return self._create({"kind": EXPLAIN.name, "study": study_fields}, name, labels, priority)

    def estimate(
        self,
        dataset: DatasetInfo | str,
        *,
        environment: str | None = None,
        algorithm: str | None = None,
        retrainings: int | None = None,
        until: Until | Mapping[str, Any] | None = None,
        study: Study | Mapping[str, Any] | None = None,
    ) -> DryRun:
        """Return what `create` would do: the complete study, warnings and cost. Stores nothing.

        Arguments and errors are those of `create`.
        """
        study_fields = self._prepare_study(
            dataset,
            study,
            environment=environment,
            algorithm=algorithm,
            budget=retrainings,
            until=until,
        )
        response = self._transport.request(
            "POST",
            "/jobs",
            repeatable=True,
            params={"dry_run": True},
            json={"kind": EXPLAIN.name, "study": study_fields},
        )
        return read(DryRun, response.content)

    def certify(
        self,
        job: Job | str,
        *,
        repetitions: int = REPETITIONS,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> Job:
        """Create a job that tests whether the map of another job is right.

        Args:
            job: A job of the kind `explain` that succeeded, or its id.
            repetitions: Number of training seeds to compare.
            name: Name of the job, for people.
            labels: Labels to find the job by.
            priority: -100 to 100; higher priorities go first.

        Raises:
            Refused: When there is no such job, or it is of another kind.
            Conflict: When the job has not succeeded (`code` is `not-finished`).
        """
        request = {"kind": CERTIFY.name, "based_on": [_job_id(job)], "repetitions": repetitions}
        return self._create(request, name, labels, priority)

    def curate(
        self,
        job: Job | str,
        *,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> Job:
        """Create a job that leaves out the harmful frames, according to another job's map.

        Arguments and errors are those of `certify`.
        """
        request = {"kind": CURATE.name, "based_on": [_job_id(job)]}
        return self._create(request, name, labels, priority)

    def transfer(
        self,
        jobs: Sequence[Job | str],
        *,
        repetitions: int = REPETITIONS,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> Job:
        """Create a job that tests whether frames that matter to one algorithm matter to another.

        Args:
            jobs: Two or more jobs of the kind `explain` that succeeded, or their ids. They must
                have the same segments of the same demonstrations.
            repetitions: Number of training seeds to compare.
            name: Name of the job, for people.
            labels: Labels to find the job by.
            priority: -100 to 100; higher priorities go first.

        Raises:
            Refused: When a job does not exist or is of another kind, or their maps do not fit.
            Conflict: When a job has not succeeded (`code` is `not-finished`).
        """
        based_on = [_job_id(job) for job in jobs]
        request = {"kind": TRANSFER.name, "based_on": based_on, "repetitions": repetitions}
        return self._create(request, name, labels, priority)

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFound: When there is no job with this id.
        """
        response = self._transport.request("GET", f"/jobs/{quote(job_id, safe='')}")
        return Job(self._transport, read(JobInfo, response.content))

    def list(
        self,
        *,
        status: JobStatus | None = None,
        dataset: DatasetInfo | str | None = None,
        label: tuple[str, str] | None = None,
        page_size: int = 50,
    ) -> Iterator[Job]:
        """Yield your jobs, newest first; each further page is requested when it is needed.

        Args:
            status: Only jobs with this status.
            dataset: Only jobs about this dataset.
            label: Only jobs with this label, as a pair of name and value.
            page_size: Jobs per request, at most 500.
        """
        params = {
            "status": status,
            "dataset_id": dataset.id if isinstance(dataset, DatasetInfo) else dataset,
            "label": "=".join(label) if label else None,
            "page_size": page_size,
        }
        filters = {name: value for name, value in params.items() if value is not None}
        for page in self._transport.pages("/jobs", JobPage, filters):
            for info in page.data:
                yield Job(self._transport, info)

    def _prepare_study(
        self,
        dataset: DatasetInfo | str,
        study: Study | Mapping[str, Any] | None,
        **overrides: Any,
    ) -> dict[str, Any]:
        if isinstance(dataset, str):
            response = self._transport.request("GET", f"/datasets/{quote(dataset, safe='')}")
            dataset = read(DatasetInfo, response.content)
        return _study_fields(study, demonstrations=dataset.sha256, **overrides)

    def _create(
        self,
        request: Mapping[str, Any],
        name: str,
        labels: Mapping[str, str] | None,
        priority: int,
    ) -> Job:
        response = self._transport.request(
            "POST",
            "/jobs",
            json={**request, "name": name, "labels": dict(labels or {}), "priority": priority},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
        return Job(self._transport, read(JobInfo, response.content))


def _job_id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id


def _study_fields(study: Study | Mapping[str, Any] | None, **overrides: Any) -> dict[str, Any]:
    """Return the fields of a study, updated by `overrides` and checked before they are sent."""
    if isinstance(study, Study):
        study = study.model_dump(mode="json", exclude_unset=True)
    update = long_form({name: value for name, value in overrides.items() if value is not None})
    parsed = Study.parse(merged(long_form(study or {}), update))
    return parsed.model_dump(mode="json", exclude_unset=True)
