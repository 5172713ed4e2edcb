"""Which reconcilers there are, what wakes them, and what they share."""

from __future__ import annotations

from collections.abc import Iterable

from controller.cluster import Cluster
from controller.device_reconciler import DeviceReconciler
from controller.events import Recorder
from controller.handlers import Watch
from controller.metrics import Metrics
from controller.resources import CLAIMS, EDGE_DEVICES, Json, Key, key_of
from controller.running import Controller
from controller.settings import Settings


def assemble(settings: Settings, cluster: Cluster) -> Controller:
    """The whole controller, not yet started."""
    metrics, events = Metrics(), Recorder(cluster)
    reconcilers = {EDGE_DEVICES.kind: DeviceReconciler(cluster, events, metrics, settings.storage)}
    return Controller(settings, cluster, metrics, reconcilers, watches())


def watches() -> Iterable[Watch]:
    """What to watch, and whom it concerns."""
    return (
        Watch(EDGE_DEVICES, lambda one: (key_of(one),)),
        Watch(CLAIMS, _device_of_claim),
    )


def _device_of_claim(claim: Json) -> tuple[Key, ...]:
    return (Key(EDGE_DEVICES.kind, claim["metadata"].get("namespace", ""), claim["metadata"]["name"]),)
