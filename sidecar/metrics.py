"""The sidecar's metrics, by section 5 of the contract. No label holds a path, a key or a pod name.

Counters and the histogram are there from the start, with their bounded label sets. Gauges are read
from :class:`~sidecar.progress.Progress` when scraped, and are absent until first known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contract.mapping import Direction
from runtime import VERSION
from sidecar.progress import Progress, Result

DIRECTIONS: Final = tuple(direction.value for direction in Direction)
_CYCLE_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 15, 60, 300, 1800)
_P: Final = "data_sync_"


class Metrics:
    """Counters for the engine to move; ``registry`` holds them and the gauges of ``progress``."""

    def __init__(self, progress: Progress, now: Callable[[], float] = time.time) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the contract's names and no others
        self.registry = CollectorRegistry()
        self.files = self._counter("files_transferred", "Files whose body was sent or fetched.", "direction")
        self.bytes = self._counter("bytes_transferred", "Bytes of bodies sent or fetched.", "direction")
        self.errors = self._counter(
            "file_errors",
            "Files that could not be synced in a cycle, by reason; retried next cycle.",
            "direction",
            "reason",
        )
        self.cycles = self._counter("cycles", "Sync cycles finished, by result.", "direction", "result")
        self.requests = self._counter("s3_requests", "Requests to the object store.", "operation", "code")
        self.cycle_seconds = Histogram(
            _P + "cycle_duration_seconds",
            "How long a cycle took.",
            ["direction"],
            buckets=_CYCLE_BUCKETS,
            registry=self.registry,
        )
        for direction in DIRECTIONS:
            self.files.labels(direction)
            self.bytes.labels(direction)
            self.cycle_seconds.labels(direction)
            for result in Result:
                self.cycles.labels(direction, result.value)
        self.registry.register(_Gauges(progress, now))

    def on_request(self, operation: str, code: str) -> None:
        """Count one request to the object store."""
        self.requests.labels(operation, code).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(_P + name, text, labels, registry=self.registry)


class _Gauges(Collector):
    def __init__(self, progress: Progress, now: Callable[[], float]) -> None:
        self._progress = progress
        self._now = now

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(_P + "build_info", "Version of this sidecar; always 1.", labels=["version"])
        build.add_metric([VERSION], 1)
        yield build
        yield from self._pending()
        yield from self._per_mapping()
        yield from self._whole()

    def _pending(self) -> Iterator[Metric]:
        files = _gauge("pending_files", "Files that wait to be synced, failing and unreadable ones included.")
        size = _gauge("pending_bytes", "Bytes of the files that wait to be synced.")
        age = _gauge("oldest_pending_age_seconds", "For how long the oldest of them has waited; 0 when none waits.")
        for direction in Direction:
            pending = self._progress.pending(direction)
            if pending is None:
                continue
            files.add_metric([direction.value], pending[0])
            size.add_metric([direction.value], pending[1])
            age.add_metric([direction.value], max(0.0, self._now() - pending[2]) if pending[2] else 0.0)
        yield from (files, size, age)

    def _per_mapping(self) -> Iterator[Metric]:
        success = _gauge("last_success_timestamp_seconds", "When every mapping last was completely synced (Unix time).")
        quarantined = _gauge("quarantined_files", "Names that can never be synced; /status lists them.")
        indexed = _gauge("indexed_files", "Files in the index: known to be the same on both sides.")
        held = GaugeMetricFamily(_P + "ingress_bytes", "Bytes on the device below ingress directories.")
        limited = GaugeMetricFamily(_P + "ingress_limited", "1 while ingress holds back to leave room on the device.")
        for direction in Direction:
            entries = [entry for entry in self._progress.mappings() if entry.mapping.direction is direction]
            done = [entry.last for entry in entries if entry.last is not None]
            if not done or len(done) < len(entries):
                continue
            times = [entry.last_success for entry in entries]
            if all(moment is not None for moment in times):
                success.add_metric([direction.value], min(moment for moment in times if moment is not None))
            quarantined.add_metric([direction.value], sum(tally.quarantined_files for tally in done))
            indexed.add_metric([direction.value], sum(tally.indexed for tally in done))
            if direction is Direction.INGRESS:
                held.add_metric([], sum(tally.ingress_bytes for tally in done))
                limited.add_metric([], float(any(tally.limited for tally in done)))
        yield from (success, quarantined, indexed, held, limited)

    def _whole(self) -> Iterator[Metric]:
        known = {
            "free_bytes": ("Bytes free on the file system of the exported directory.", self._progress.free_bytes),
            "watcher_degraded": (
                "1 while some directory is walked every cycle because it cannot be watched.",
                self._progress.watcher_degraded,
            ),
            "lock_held": (
                "1 when this sidecar syncs the directory, 0 while it waits for another.",
                self._progress.lock_held,
            ),
        }
        for name, (text, value) in known.items():
            if value is not None:
                yield GaugeMetricFamily(_P + name, text, value=float(value))


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_P + name, text, labels=["direction"])
