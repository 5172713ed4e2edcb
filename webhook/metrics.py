"""The webhook's metrics, by the contract's names. No label holds a name that a user chose."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runtime import VERSION

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)  # seconds, to the API server's limit


class Metrics:
    """All metrics of one process; ``catalog_age_seconds`` comes with the catalog that has an age."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._reviews = Counter(
            "data_sync_admission_reviews_total",
            "Reviews answered, by result (injected, skipped, denied, malformed, error) and reason.",
            ["result", "reason"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "data_sync_admission_duration_seconds",
            "Time from a review's arrival to its answer.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._expiry: Gauge | None = None
        Gauge("data_sync_build_info", "The running version.", ["version"], registry=self.registry).labels(VERSION).set(
            1
        )

    def answered(self, result: str, reason: str, seconds: float) -> None:
        """Count one answer; ``reason`` is one of a fixed set of words."""
        self._reviews.labels(result, reason).inc()
        self._duration.observe(seconds)

    def certificate(self, expires: datetime) -> None:
        """Tell when the certificate in use ends. Absent until first told."""
        if self._expiry is None:
            self._expiry = Gauge(
                "data_sync_certificate_expiry_timestamp_seconds",
                "When the serving certificate ends, in Unix time.",
                registry=self.registry,
            )
        self._expiry.set(expires.timestamp())
