"""Comparisons of two maps, made by the server."""

from urllib.parse import quote

from r2rise_service.client.job import Job
from r2rise_service.client.reading import read
from r2rise_service.client.transport import Transport
from r2rise_service.models import ComparisonInfo


class Comparisons:
    """`client.comparisons`: compare the maps of two jobs without retraining."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, a: Job | str, b: Job | str) -> ComparisonInfo:
        """Compare the maps of two jobs; `.comparison` of the return value is the library's result.

        Args:
            a: A job of the kind `explain`, or its id.
            b: Another such job, with the same segments of the same demonstrations.

        Raises:
            Refused: When dataset or segments differ (`code` is `not-comparable`).
            Conflict: When one of the jobs has no map yet (`code` is `not-ready`).
        """
        first, second = (job if isinstance(job, str) else job.id for job in (a, b))
        response = self._transport.request(
            "POST", "/comparisons", repeatable=True, json={"a": first, "b": second}
        )
        return read(ComparisonInfo, response.content)

    def get(self, comparison_id: str) -> ComparisonInfo:
        """Return an earlier comparison.

        Raises:
            NotFound: When there is no comparison with this id.
        """
        path = f"/comparisons/{quote(comparison_id, safe='')}"
        return read(ComparisonInfo, self._transport.request("GET", path).content)
