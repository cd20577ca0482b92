"""`Client`: access to everything that the service offers."""

import os
from types import TracebackType
from typing import Self

import httpx2

from r2rise_service.client.comparisons import Comparisons
from r2rise_service.client.datasets import Datasets
from r2rise_service.client.jobs import Jobs
from r2rise_service.client.keys import Keys
from r2rise_service.client.reading import ListAnswer, read
from r2rise_service.client.transport import Transport
from r2rise_service.models import AlgorithmInfo, EnvironmentInfo

DEFAULT_URL = "http://127.0.0.1:8000"


class Client:
    """A connection to an R2RISE server.

    Args:
        url: URL of the server; by default `R2RISE_URL`, else http://127.0.0.1:8000.
        api_key: API key for the server; by default `R2RISE_API_KEY`, else none.
        timeout: Seconds without a response after which a request fails.
        transport: Replaces the HTTP transport, for tests.

    Attributes:
        datasets: Upload, find and delete demonstrations.
        jobs: Create, find and follow jobs.
        comparisons: Compare the maps of two jobs.
        keys: Make, list and revoke API keys; needs a key with the scope `admin`.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._transport = Transport(
            url or os.environ.get("R2RISE_URL") or DEFAULT_URL,
            api_key=api_key or os.environ.get("R2RISE_API_KEY"),
            timeout=timeout,
            transport=transport,
        )
        self.datasets = Datasets(self._transport)
        self.jobs = Jobs(self._transport)
        self.comparisons = Comparisons(self._transport)
        self.keys = Keys(self._transport)

    @property
    def url(self) -> str:
        """URL of the server."""
        return self._transport.url

    def environments(self) -> list[EnvironmentInfo]:
        """Return the environments that jobs may use."""
        response = self._transport.request("GET", "/environments")
        return [*read(ListAnswer[EnvironmentInfo], response.content).data]

    def algorithms(self) -> list[AlgorithmInfo]:
        """Return the algorithms of the server, with the JSON Schema of their settings."""
        response = self._transport.request("GET", "/algorithms")
        return [*read(ListAnswer[AlgorithmInfo], response.content).data]

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client(url={self.url!r})"
