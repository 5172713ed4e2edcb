"""The gauges, read from what is known when Prometheus asks. Absent until first known, never a false 0.

Neighbour: ``metrics.py`` registers this beside the counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contract.mapping import Direction
from runtime import VERSION
from sidecar.reporting.progress import Progress

PREFIX: Final = "data_sync_"


class Gauges(Collector):
    """Collects from ``progress``; ``now`` in seconds since the epoch."""

    def __init__(self, progress: Progress, now: Callable[[], float]) -> None:
        self._progress = progress
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Every gauge that is known at this moment; a family without samples is left out."""
        build = GaugeMetricFamily(PREFIX + "build_info", "Version of this sidecar; always 1.", labels=["version"])
        build.add_metric([VERSION], 1)
        yield build
        for family in (*self._pending(), *self._per_mapping(), *self._whole()):
            if family.samples:
                yield family

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
        held = GaugeMetricFamily(PREFIX + "ingress_bytes", "Bytes on the device below ingress directories.")
        limited = GaugeMetricFamily(PREFIX + "ingress_limited", "1 while ingress holds back to leave room, else 0.")
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
                "1 while some directory is walked every cycle because it cannot be watched, else 0.",
                self._progress.watcher_degraded,
            ),
            "clock_skew_seconds": (
                "By how much the device's clock is ahead of the server's; S3 refuses more than 900.",
                self._progress.clock_skew,
            ),
            "lock_held": (
                "1 when this sidecar syncs the directory, 0 while it waits for another.",
                self._progress.lock_held,
            ),
        }
        for name, (text, value) in known.items():
            if value is not None:
                yield GaugeMetricFamily(PREFIX + name, text, value=float(value))


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=["direction"])
