"""What a Prometheus server is told: what this process counted, and what the database holds."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}


class State(NamedTuple):
    """The service at one moment.

    Attributes:
        jobs: How many jobs have each status.
        retrainings: How many stored retrainings are `ok` and `failed`.
        degraded: Whether something is wrong with each part.
        reconciles: Whether this process moves jobs on; others stand by.
        workers: Worker processes that it reaches.
        shards: Shards that they have.
    """

    jobs: dict[str, int]
    retrainings: dict[str, int]
    degraded: dict[str, bool]
    reconciles: bool
    workers: int
    shards: int


class Metrics:
    """Counters of one application.

    Attributes:
        streams: Event streams that are open.
        uploads: Demonstrations that were taken in; `new` tells whether they were known.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Histogram(
            "r2rise_request_seconds",
            "Requests and how long they took; an event stream takes until it ends",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.streams = Gauge("r2rise_event_streams", "Open event streams", registry=self._registry)
        self.uploads = Counter(
            "r2rise_uploads", "Demonstrations taken in", ("new",), registry=self._registry
        )

        for new in ("true", "false"):  # so that a 0 is told before the first
            self.uploads.labels(new)

    def add_state(self, state: Callable[[], State]) -> None:
        """Tell of a state as well; it is asked for at each scrape."""
        self._registry.register(_StateCollector(state))

    def count_request(self, method: str, route: str, status: int | None, seconds: float) -> None:
        """Count a request that was answered; a status of None: the client was gone before."""
        name = method if method in _METHODS else "other"
        self._requests.labels(name, route, str(status or "none")).observe(seconds)

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self._registry)


class _StateCollector(Collector):
    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that the state is not asked for when this is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the state as metrics."""
        state = self._state()
        yield _by("status", "r2rise_jobs", "Jobs in the database", state.jobs)
        yield _by("status", "r2rise_retrainings", "Retrainings in the database", state.retrainings)
        yield _by("part", "r2rise_degraded", "1 where a part is not ready", state.degraded)
        yield GaugeMetricFamily(
            "r2rise_reconciles", "1 where this process moves jobs on", state.reconciles
        )
        yield GaugeMetricFamily("r2rise_workers", "Workers that can be reached", state.workers)
        yield GaugeMetricFamily("r2rise_shards_in_flight", "Shards at workers", state.shards)


def _by(label: str, name: str, help_: str, values: dict[str, int] | dict[str, bool]) -> Metric:
    metric = GaugeMetricFamily(name, help_, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], float(value))
    return metric
