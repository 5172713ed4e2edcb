"""The resources that the controller talks about: names and paths, no calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from contract.names import API_GROUP

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API; the core group is empty."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """Path of its group and version, where discovery lists what is served."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path of one object, or of all in ``namespace``, or of all."""
        within = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return self.root + within + "".join(f"/{part}" for part in (self.plural, name, subresource) if part)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One object to look at: its kind (``EdgeDevice``), namespace and name."""

    kind: str
    namespace: str
    name: str


EDGE_DEVICES: Final = Resource(API_GROUP, "v1alpha1", "edgedevices", "EdgeDevice")
EDGE_WORKLOADS: Final = Resource(API_GROUP, "v1alpha1", "edgeworkloads", "EdgeWorkload")
CLAIMS: Final = Resource("objectbucket.io", "v1alpha1", "objectbucketclaims", "ObjectBucketClaim")
DAEMON_SETS: Final = Resource("apps", "v1", "daemonsets", "DaemonSet")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EVENTS: Final = Resource("", "v1", "events", "Event")
# Two statuses are written apart from the work on their objects; the queue knows them by kinds of their own.
DEVICE_STATUS: Final = "EdgeDeviceStatus"
WORKLOAD_STATUS: Final = "EdgeWorkloadStatus"
STORAGE_CLASSES: Final = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)


def key_of(one: Json) -> Key:
    """The key of an object as the API server gives it."""
    metadata = one["metadata"]
    return Key(one["kind"], metadata.get("namespace", ""), metadata["name"])
