"""The webhook's metrics, by the contract's names. No label holds a name that a user chose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from runtime import VERSION
from webhook.reasons import Reason

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)  # seconds, to the API server's limit

_SKIPPED: Final = (
    Reason.NOT_REQUESTED,
    Reason.DISABLED,
    Reason.UNKNOWN_LABEL,
    Reason.OTHER_KIND,
    Reason.OTHER_OPERATION,
    Reason.NO_STORAGE,
    Reason.RESTART_POLICY,
    Reason.WINDOWS,
)
_NEVER_DENIED: Final = {Reason.INJECTED, Reason.INTERNAL, Reason.NOT_READY, *_SKIPPED[:5]}
_MALFORMED: Final = ("content_type", "malformed", "too_large")
# Every way a review can end, so that the first of a kind is an increase and not a new series.
OUTCOMES: Final = (
    ("injected", Reason.INJECTED.value),
    ("error", Reason.INTERNAL.value),
    ("error", Reason.NOT_READY.value),
    *(("skipped", reason.value) for reason in _SKIPPED),
    *(("denied", reason.value) for reason in Reason if reason not in _NEVER_DENIED),
    *(("malformed", word) for word in _MALFORMED),
)


class Metrics:
    """All metrics of one process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the contract's names and no others
        self.registry = registry or CollectorRegistry()
        self._reviews = Counter(
            "data_sync_admission_reviews_total",
            "Admission reviews answered, by result (injected, skipped, denied, malformed, error) and reason.",
            ["result", "reason"],
            registry=self.registry,
        )
        for outcome in OUTCOMES:
            self._reviews.labels(*outcome)
        self._duration = Histogram(
            "data_sync_admission_duration_seconds",
            "Time from a review's arrival to its answer.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._expiry: Gauge | None = None
        Gauge("data_sync_build_info", "Version of this webhook; always 1.", ["version"], registry=self.registry).labels(
            VERSION
        ).set(1)

    def answered(self, result: str, reason: str, seconds: float) -> None:
        """Count one answer; ``reason`` is one of a fixed set of words."""
        self._reviews.labels(result, reason).inc()
        self._duration.observe(seconds)

    def catalog(self, age: Callable[[], float | None]) -> None:
        """Show how old the catalog is whenever somebody looks; absent while ``age`` is None."""
        self.registry.register(_Age(age))

    def certificate(self, expires: datetime) -> None:
        """Tell when the certificate in use ends. Absent until first told."""
        if self._expiry is None:
            self._expiry = Gauge(
                "data_sync_certificate_expiry_timestamp_seconds",
                "When the certificate that the API server sees ends (Unix time).",
                registry=self.registry,
            )
        self._expiry.set(expires.timestamp())


class _Age(Collector):
    """A gauge that is absent until it is known; a false 0 would say that all is well."""

    def __init__(self, age: Callable[[], float | None]) -> None:
        self._age = age

    def collect(self) -> Iterator[Metric]:
        age = self._age()
        if age is not None:
            yield GaugeMetricFamily(
                "data_sync_catalog_age_seconds",
                "Seconds since devices, workloads, namespaces and nodes were known to be as in the cluster.",
                value=age,
            )
