"""The catalog of a cluster: four kinds followed, each in a thread of its own, and what they come to.

Reading it takes a few dictionary look-ups; nothing here asks the API server because a pod was created.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from contract import names
from runtime.endpoints import Check
from webhook.catalog import NATIVE_SIDECARS, DeviceFacts, NamespaceFacts, NodeFacts, WorkloadFacts
from webhook.cluster import Cluster, NotFound, Resource
from webhook.facts import device_facts, namespace_facts, node_facts, version, workload_facts
from webhook.following import Follower, Kind, Pace, Table

log = logging.getLogger(__name__)

DEVICES: Final = Resource(names.API_VERSION, "edgedevices")
WORKLOADS: Final = Resource(names.API_VERSION, "edgeworkloads")
NAMESPACES: Final = Resource("v1", "namespaces", metadata_only=True)
NODES: Final = Resource("v1", "nodes")

_SCCS: Final = "/apis/security.openshift.io/v1"
_STOP: Final = 5.0  # seconds that a thread gets to end


class NodeTable(Table[NodeFacts]):
    """Nodes, and at hand which of those that pods go to are too old for native sidecars."""

    def __init__(self) -> None:
        super().__init__()
        self.old: set[str] = set()

    def put(self, namespace: str, name: str, facts: NodeFacts) -> None:
        """See :class:`Table`."""
        super().put(namespace, name, facts)
        if facts.schedulable and not facts.native:
            self.old.add(name)
        else:
            self.old.discard(name)

    def drop(self, namespace: str, name: str) -> None:
        """See :class:`Table`."""
        super().drop(namespace, name)
        self.old.discard(name)

    def replace(self, other: Table[NodeFacts]) -> None:
        """See :class:`Table`."""
        super().replace(other)
        self.old = other.old if isinstance(other, NodeTable) else set()


class ClusterCatalog:
    """See the module; a :class:`~webhook.catalog.Catalog`."""

    knows_devices = True

    def __init__(
        self, cluster: Cluster, *, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._server: tuple[int, int] | None = None
        self.sccs = False
        self._devices: Table[DeviceFacts] = Table()
        self._workloads: Table[WorkloadFacts] = Table()
        self._namespaces: Table[NamespaceFacts] = Table()
        self._nodes = NodeTable()
        self._followers: tuple[Follower[Any], ...] = (
            Follower(cluster, Kind(DEVICES, device_facts, self._devices, optional=True), pace=pace, clock=clock),
            Follower(cluster, Kind(WORKLOADS, workload_facts, self._workloads, optional=True), pace=pace, clock=clock),
            Follower(cluster, Kind(NAMESPACES, namespace_facts, self._namespaces), pace=pace, clock=clock),
            Follower(
                cluster,
                Kind(NODES, node_facts, self._nodes, NodeTable),
                pace=pace,
                clock=clock,
                before=self._look_at_server,
            ),
        )
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to follow; returns at once."""
        for follower in self._followers:
            thread = threading.Thread(target=follower.run, name="catalog", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End following."""
        for follower in self._followers:
            follower.stop()
        for thread in self._threads:
            thread.join(_STOP)

    def check(self) -> Check:
        """Whether all kinds have been seen once; a catalog that is old stays ready, and shows its age."""
        missing = [follower.plural for follower in self._followers if not follower.filled]
        if missing:
            return Check(False, f"the catalog has not yet seen all {', '.join(missing)}")
        return Check(True, "ready")

    def age(self) -> float | None:
        """Seconds since all kinds were known to be as in the cluster; None before they first were."""
        heard = [follower.heard for follower in self._followers]
        known = [moment for moment in heard if moment is not None]
        return self._clock() - min(known) if len(known) == len(heard) else None

    def namespace(self, name: str) -> NamespaceFacts:
        """See :class:`~webhook.catalog.Catalog`."""
        return self._namespaces.get("", name) or NamespaceFacts()

    def device(self, namespace: str, name: str) -> DeviceFacts | None:
        """See :class:`~webhook.catalog.Catalog`."""
        return self._devices.get(namespace, name)

    def devices(self, namespace: str) -> tuple[DeviceFacts, ...]:
        """See :class:`~webhook.catalog.Catalog`."""
        return self._devices.all(namespace)

    def workload(self, namespace: str, name: str) -> WorkloadFacts | None:
        """See :class:`~webhook.catalog.Catalog`."""
        return self._workloads.get(namespace, name)

    def native(self, node: str) -> bool:
        """See :class:`~webhook.catalog.Catalog`."""
        if self._server is None or self._server < NATIVE_SIDECARS or self._nodes.old:
            return False
        pinned = self._nodes.get("", node) if node else None
        return pinned is None or pinned.native

    def _look_at_server(self) -> None:
        # Before each list and watch of the nodes: an upgrade of the API server ends them all.
        self._server = version(self._cluster.get_path("/version").get("gitVersion"))
        try:
            self._cluster.get_path(_SCCS)
            self.sccs = True
        except NotFound:
            self.sccs = False
