"""Metrics for a Prometheus server: counters of this process, and the state of the service."""

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

_KNOWN_METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}


class State(NamedTuple):
    """The service at one moment.

    Attributes:
        jobs: How many jobs have each status.
        retrainings: How many stored retrainings are `ok` and `failed`.
        degraded: Whether each part of the service is degraded.
        reconciles: Whether this process is the one that runs the jobs; others stand by.
        workers: Number of worker processes that it reaches.
        shards: Number of shards at these workers.
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
        streams: Open event streams.
        uploads: Uploads that were stored; the label `new` is `false` for known demonstrations.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Histogram(
            "r2rise_request_seconds",
            "Number and duration of requests; an event stream lasts until it ends",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.streams = Gauge("r2rise_event_streams", "Open event streams", registry=self._registry)
        self.uploads = Counter(
            "r2rise_uploads", "Uploads accepted", ("new",), registry=self._registry
        )

        for is_new in ("true", "false"):  # so that 0 is exported before the first upload
            self.uploads.labels(is_new)

    def add_state(self, state: Callable[[], State]) -> None:
        """Export a state as well; `state` is called at each scrape."""
        self._registry.register(_StateCollector(state))

    def count_request(self, method: str, route: str, status: int | None, seconds: float) -> None:
        """Count a request; its status is None when the client disconnected before the response."""
        name = method if method in _KNOWN_METHODS else "other"
        self._requests.labels(name, route, str(status or "none")).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _StateCollector(Collector):
    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering this collector does not query the state."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the state as metrics."""
        state = self._state()
        yield _gauge_by_label("status", "r2rise_jobs", "Jobs in the database", state.jobs)
        yield _gauge_by_label(
            "status", "r2rise_retrainings", "Retrainings in the database", state.retrainings
        )
        yield _gauge_by_label("part", "r2rise_degraded", "1 if a part is not ready", state.degraded)
        yield GaugeMetricFamily(
            "r2rise_reconciles", "1 if this process runs the queue", state.reconciles
        )
        yield GaugeMetricFamily("r2rise_workers", "Workers that can be reached", state.workers)
        yield GaugeMetricFamily("r2rise_shards_in_flight", "Shards at workers", state.shards)


def _gauge_by_label(
    label: str, name: str, help_: str, values: dict[str, int] | dict[str, bool]
) -> Metric:
    metric = GaugeMetricFamily(name, help_, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], float(value))
    return metric
