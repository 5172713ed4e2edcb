"""Which reconcilers there are, what wakes them, and what they share."""

from __future__ import annotations

from collections.abc import Iterable

from contract.names import ENABLED, INJECT, MANAGED_BY, MANAGED_BY_US
from controller.asking import Ask, Asker
from controller.cluster import Cluster
from controller.concerns import Concerns
from controller.credentials import credentials
from controller.device_reconciler import DeviceReconciler
from controller.draining import Drainer
from controller.events import Recorder
from controller.handlers import Watch
from controller.metrics import Metrics
from controller.polling import Poller
from controller.queueing import WorkQueue
from controller.reconcile import Reconciler
from controller.reporters import DeviceReporter, WorkloadReporter
from controller.requests import Requests
from controller.resources import (
    CLAIMS,
    DAEMON_SETS,
    DEVICE_STATUS,
    EDGE_DEVICES,
    EDGE_WORKLOADS,
    JOBS,
    NODES,
    PODS,
    WORKLOAD_STATUS,
    Json,
    Key,
    key_of,
)
from controller.running import Controller
from controller.settings import Settings
from controller.sightings import Sightings
from controller.telling import Teller
from controller.workload_reconciler import WorkloadReconciler


def assemble(settings: Settings, cluster: Cluster, ask: Ask | None = None) -> Controller:
    """The whole controller, not yet started. ``ask`` stands in for asking sidecars over the network."""
    metrics, events, queue, sightings = Metrics(), Recorder(cluster), WorkQueue(), Sightings()
    drainer = Drainer(cluster, sightings, settings.drain)
    requests = Requests(cluster, EDGE_DEVICES, drainer, events)

    def unsent(device: Json) -> tuple[str, ...]:
        drained = drainer.carry_out(drainer.of_device(device, device["metadata"]["uid"]))
        requests.tell(device, drained)
        return tuple(map(str, drained.waiting))

    workloads = WorkloadReconciler(cluster, events, drainer, settings.storage.release_limit, queue.add)
    reconcilers: dict[str, Reconciler] = {
        EDGE_DEVICES.kind: DeviceReconciler(
            cluster,
            events,
            metrics,
            settings.storage,
            credentials=lambda namespace, name: credentials(sightings.of_device(namespace, name)),
            unsent=unsent,
        ),
        EDGE_WORKLOADS.kind: workloads,
        DEVICE_STATUS: DeviceReporter(cluster, sightings, events, drainer),
        WORKLOAD_STATUS: WorkloadReporter(cluster, sightings, events, workloads.structure),
    }
    teller = Teller(queue, sightings, events)
    concerns = Concerns(workloads.meant_for)
    controller = Controller(settings, cluster, metrics, reconcilers, watches(concerns, teller), queue)
    controller.poller = Poller(
        cluster,
        sightings,
        ask or Asker(settings.status_token_file),
        teller,
        lambda: controller.leadership.leading,
    )
    return controller


def watches(concerns: Concerns, teller: Teller) -> Iterable[Watch]:
    """What to watch, and whom it concerns."""
    ours = f"{MANAGED_BY}={MANAGED_BY_US}"
    return (
        Watch(EDGE_DEVICES, concerns.device),
        Watch(EDGE_WORKLOADS, lambda one: (key_of(one),)),
        Watch(CLAIMS, _device_of_claim),
        Watch(DAEMON_SETS, concerns.owner, labels=ours),
        Watch(JOBS, concerns.owner, labels=ours),
        Watch(NODES, concerns.node),
        # Pods that are opted in by their namespace have no such label; the poller's lists find them.
        Watch(PODS, teller.pod_event, labels=f"{INJECT}={ENABLED}"),
    )


def _device_of_claim(claim: Json) -> tuple[Key, ...]:
    return (Key(EDGE_DEVICES.kind, claim["metadata"].get("namespace", ""), claim["metadata"]["name"]),)
