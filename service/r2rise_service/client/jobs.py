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

    def create(  # noqa: PLR0913  (what is most often said of a study has an argument)
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
            dataset: What `client.datasets` gave, or its id.
            environment: Gymnasium id of an environment that the server allows.
            algorithm: Name of an algorithm that the server has; else the study's, else `bc`.
            retrainings: Masks to retrain on.
            until: When to stop before that, such as `{"reliability": 0.9}`.
            study: Everything else; the arguments above win over it.
            name: For people.
            labels: For finding it again.
            priority: Higher goes first, -100 to 100.

        Raises:
            StudyError: When the study has wrong fields.
            Refused: When the server does not take it.
        """
        asked = self._study(
            dataset,
            study,
            environment=environment,
            algorithm=algorithm,
            budget=retrainings,
            until=until,
        )
        return self._create({"kind": EXPLAIN.name, "study": asked}, name, labels, priority)

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
        """Return what `create` would do: the whole study, warnings and cost. Nothing is stored.

        Arguments and errors are those of `create`.
        """
        asked = self._study(
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
            json={"kind": EXPLAIN.name, "study": asked},
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
        """Create a job that finds out whether the map of another is right.

        Args:
            job: A job of the kind `explain` that succeeded, or its id.
            repetitions: Training seeds to compare.
            name: For people.
            labels: For finding it again.
            priority: Higher goes first, -100 to 100.

        Raises:
            Refused: When there is no such job, or it is of another kind.
            Conflict: When it has not succeeded (`code` is `not-finished`).
        """
        asked = {"kind": CERTIFY.name, "based_on": [_id(job)], "repetitions": repetitions}
        return self._create(asked, name, labels, priority)

    def curate(
        self,
        job: Job | str,
        *,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> Job:
        """Create a job that leaves out the frames that hurt, by another job's map.

        Arguments and errors are those of `certify`.
        """
        asked = {"kind": CURATE.name, "based_on": [_id(job)]}
        return self._create(asked, name, labels, priority)

    def transfer(
        self,
        jobs: Sequence[Job | str],
        *,
        repetitions: int = REPETITIONS,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> Job:
        """Create a job that finds out whether what matters to one algorithm matters to another.

        Args:
            jobs: Two or more jobs of the kind `explain` that succeeded, or their ids: with the
                same segments of the same demonstrations.
            repetitions: Training seeds to compare.
            name: For people.
            labels: For finding it again.
            priority: Higher goes first, -100 to 100.

        Raises:
            Refused: When there is no such job, it is of another kind, or they do not fit.
            Conflict: When one has not succeeded (`code` is `not-finished`).
        """
        based_on = [_id(job) for job in jobs]
        asked = {"kind": TRANSFER.name, "based_on": based_on, "repetitions": repetitions}
        return self._create(asked, name, labels, priority)

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFound: When there is none of this id.
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
        """Yield your jobs, newest first, asking for further pages when they are needed.

        Args:
            status: Only those of this state.
            dataset: Only those about this dataset.
            label: Only those with this name and value among their labels.
            page_size: Jobs fetched at once, at most 500.
        """
        params = {
            "status": status,
            "dataset_id": dataset.id if isinstance(dataset, DatasetInfo) else dataset,
            "label": "=".join(label) if label else None,
            "page_size": page_size,
        }
        given = {name: value for name, value in params.items() if value is not None}
        for page in self._transport.pages("/jobs", JobPage, given):
            for info in page.data:
                yield Job(self._transport, info)

    def _study(
        self,
        dataset: DatasetInfo | str,
        study: Study | Mapping[str, Any] | None,
        **given: Any,
    ) -> dict[str, Any]:
        if isinstance(dataset, str):
            found = self._transport.request("GET", f"/datasets/{quote(dataset, safe='')}")
            dataset = read(DatasetInfo, found.content)
        return _study_fields(study, demonstrations=dataset.sha256, **given)

    def _create(
        self,
        asked: Mapping[str, Any],
        name: str,
        labels: Mapping[str, str] | None,
        priority: int,
    ) -> Job:
        response = self._transport.request(
            "POST",
            "/jobs",
            json={**asked, "name": name, "labels": dict(labels or {}), "priority": priority},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
        return Job(self._transport, read(JobInfo, response.content))


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id


def _study_fields(study: Study | Mapping[str, Any] | None, **given: Any) -> dict[str, Any]:
    """Return the fields of a study with others put over it, checked before they are sent."""
    if isinstance(study, Study):
        study = study.model_dump(mode="json", exclude_unset=True)
    over = long_form({name: value for name, value in given.items() if value is not None})
    parsed = Study.parse(merged(long_form(study or {}), over))
    return parsed.model_dump(mode="json", exclude_unset=True)
