"""Comparisons of two maps on the server."""

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
        """Compare the maps of two jobs; `.comparison` of what comes back is the library's result.

        Args:
            a: A job of the kind `explain`, or its id.
            b: Another, with the same segments of the same demonstrations.

        Raises:
            Refused: When dataset or segments differ (`code` is `not-comparable`).
            Conflict: Before both have a map (`code` is `not-ready`).
        """
        first, second = (job if isinstance(job, str) else job.id for job in (a, b))
        response = self._transport.request(
            "POST", "/comparisons", repeatable=True, json={"a": first, "b": second}
        )
        return read(ComparisonInfo, response.content)

    def get(self, comparison_id: str) -> ComparisonInfo:
        """Return a comparison that was made before.

        Raises:
            NotFound: When there is none of this id.
        """
        path = f"/comparisons/{quote(comparison_id, safe='')}"
        return read(ComparisonInfo, self._transport.request("GET", path).content)
