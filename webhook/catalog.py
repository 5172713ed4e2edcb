"""The catalog: what the webhook knows of the cluster beyond the pod itself.

Admission asks it and never the API server, so that no answer waits on another. Here are the questions,
the facts that answer them, and the catalog of given facts; ``watching`` fills one from a cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from contract import names
from contract.mapping import Mapping as SyncMapping
from contract.selectors import Selector
from runtime.endpoints import Check

# The first version in which an init container with restartPolicy: Always is a sidecar without a feature gate.
NATIVE_SIDECARS: Final = (1, 29)


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """What is known of a namespace; ``labels`` is None and ``uid`` empty where nothing is."""

    uid: str = ""
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)  # only those with our prefix


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """An EdgeDevice."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    config_map: str = ""  # external storage; empty where the device names none
    secret: str = ""
    claims: bool = True  # whether it may have an Object Bucket Claim, now or later
    leaving: bool = False  # it is being deleted


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """An EdgeWorkload. ``faults`` are sentences about what in it cannot be used."""

    name: str
    egress: tuple[SyncMapping, ...] = ()
    ingress: tuple[SyncMapping, ...] = ()
    device: str = ""
    selector: Selector | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node; ``version`` is its kubelet's, (major, minor), or None where it cannot be read."""

    name: str
    version: tuple[int, int] | None
    schedulable: bool = True

    @property
    def native(self) -> bool:
        """Whether it runs native sidecars."""
        return self.version is not None and self.version >= NATIVE_SIDECARS


class Catalog(Protocol):
    """Answers from memory, at once, from any thread."""

    @property
    def knows_devices(self) -> bool:
        """Whether a device that is not found does not exist; without a cluster nobody can say."""
        ...

    def namespace(self, name: str) -> NamespaceFacts:
        """The facts of the namespace ``name``; empty facts when it is not known."""
        ...

    def device(self, namespace: str, name: str) -> DeviceFacts | None:
        """The EdgeDevice ``name``, if there is one."""
        ...

    def devices(self, namespace: str) -> Collection[DeviceFacts]:
        """All EdgeDevices of ``namespace``, as they are at this moment."""
        ...

    def workload(self, namespace: str, name: str) -> WorkloadFacts | None:
        """The EdgeWorkload ``name``, if there is one."""
        ...

    @property
    def sccs(self) -> bool:
        """Whether OpenShift's SecurityContextConstraints decide about pods."""
        ...

    def native(self, node: str) -> bool:
        """Whether native sidecars run: on every node that pods are scheduled to, and on ``node`` if it is named."""
        ...


class GivenCatalog:
    """A catalog of facts at hand: manifests in a file, or a test's. Cluster versions are taken as new."""

    def __init__(self, *, knows_devices: bool = True) -> None:
        self._knows_devices = knows_devices
        self.namespaces: dict[str, NamespaceFacts] = {}
        self.devices_in: dict[str, dict[str, DeviceFacts]] = {}
        self.workloads_in: dict[str, dict[str, WorkloadFacts]] = {}
        self.nodes: dict[str, NodeFacts] = {}
        self.server: tuple[int, int] | None = NATIVE_SIDECARS
        self.sccs = False

    @property
    def knows_devices(self) -> bool:
        """See :class:`Catalog`."""
        return self._knows_devices

    def namespace(self, name: str) -> NamespaceFacts:
        """See :class:`Catalog`."""
        return self.namespaces.get(name) or NamespaceFacts()

    def device(self, namespace: str, name: str) -> DeviceFacts | None:
        """See :class:`Catalog`."""
        return self.devices_in.get(namespace, {}).get(name)

    def devices(self, namespace: str) -> Collection[DeviceFacts]:
        """See :class:`Catalog`."""
        return tuple(self.devices_in.get(namespace, {}).values())

    def workload(self, namespace: str, name: str) -> WorkloadFacts | None:
        """See :class:`Catalog`."""
        return self.workloads_in.get(namespace, {}).get(name)

    def native(self, node: str) -> bool:
        """See :class:`Catalog`."""
        return native(self.server, self.nodes.values(), self.nodes.get(node))


class EmptyCatalog(GivenCatalog):
    """Knows nothing (``WEBHOOK_CATALOG=none``): every decision is made from the pod alone."""

    def __init__(self) -> None:
        super().__init__(knows_devices=False)

    def start(self) -> None:
        """Nothing has to be followed."""

    def check(self) -> Check:
        """Always ready."""
        return Check(True, "ready")


def native(server: tuple[int, int] | None, nodes: Iterable[NodeFacts], pinned: NodeFacts | None) -> bool:
    """Whether native sidecars run everywhere that a pod may go.

    A pod that is pinned may go to a node that takes no others, as a DaemonSet's do.
    """
    if server is None or server < NATIVE_SIDECARS or (pinned is not None and not pinned.native):
        return False
    return all(node.native for node in nodes if node.schedulable)


def ours(texts: Mapping[str, Any]) -> dict[str, str]:
    """The labels or annotations among ``texts`` that have our prefix."""
    return {key: str(value) for key, value in texts.items() if key.startswith(f"{names.PREFIX}/")}
