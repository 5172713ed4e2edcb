"""The controller's metrics, by the contract's names. No label holds a name that a user chose."""

from __future__ import annotations

import threading
from collections import Counter as Count
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from runtime import VERSION

PHASES: Final = ("Pending", "Bound", "Released", "Failed", "Terminating")


class Metrics:
    """All metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "data_sync_reconciles_total",
            "Objects looked at, by kind and result (ok, waiting, conflict, error).",
            ["kind", "result"],
            registry=self.registry,
        )
        self._claims = _Claims()
        self.registry.register(self._claims)
        info = Gauge("data_sync_build_info", "The running version.", ["version"], registry=self.registry)
        info.labels(VERSION).set(1)

    def reconciled(self, kind: str, result: str) -> None:
        """Count one look at an object of ``kind``."""
        self._reconciles.labels(kind, result).inc()

    def claim(self, namespace: str, name: str, phase: str | None) -> None:
        """Tell in which phase a device's claim was last seen; None: it has none."""
        self._claims.set((namespace, name), phase)


class _Claims(Collector):
    """Claims by phase, counted when asked; all phases at 0 until the first is known."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phases: dict[tuple[str, str], str] = {}

    def set(self, key: tuple[str, str], phase: str | None) -> None:
        with self._lock:
            if phase is None:
                self._phases.pop(key, None)
            else:
                self._phases[key] = phase if phase in PHASES else "Pending"

    def collect(self) -> Iterable[GaugeMetricFamily]:
        with self._lock:
            counts = Count(self._phases.values())
        family = GaugeMetricFamily("data_sync_claims", "Bucket claims of devices, by phase.", labels=["phase"])
        for phase in PHASES:
            family.add_metric([phase], counts[phase])
        yield family
