"""``python -m controller let-go``: what an uninstall runs when the controller is gone.

Takes our finalizers off devices and workloads, so that they, and their namespaces, can be deleted while
no controller runs, and removes the Lease that chose among controllers. Claims and their data are left as
they are.
"""

from __future__ import annotations

from typing import Final

from contract.names import PREFIX
from controller.cluster import Cluster
from controller.errors import Conflict, NotFound
from controller.resources import EDGE_DEVICES, EDGE_WORKLOADS, LEASES, Json, Resource

_ATTEMPTS: Final = 5  # of one object that others change at the same time


def let_go(cluster: Cluster) -> int:
    """Take our finalizers off everything; how many objects had one. Safe to repeat.

    Raises:
        ClusterError: the API server refused, or an object kept changing.
    """
    return sum(_let_go(cluster, resource) for resource in (EDGE_DEVICES, EDGE_WORKLOADS))


def remove_lease(cluster: Cluster, lease: str) -> None:
    """Remove the Lease ``NAMESPACE/NAME`` if it is there.

    Raises:
        ClusterError: the API server refused.
    """
    namespace, _, name = lease.partition("/")
    found = cluster.find(LEASES, namespace, name)
    if found is not None:
        cluster.delete(LEASES, namespace, name, uid=found["metadata"]["uid"])


def _let_go(cluster: Cluster, resource: Resource) -> int:
    try:
        held = [one for one in cluster.list(resource) if _ours(one)]
    except NotFound:  # the CRDs are gone, and all objects with them
        return 0
    for one in held:
        _release(cluster, resource, one)
    return len(held)


def _release(cluster: Cluster, resource: Resource, found: Json) -> None:
    namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
    for attempt in range(_ATTEMPTS):
        metadata = found["metadata"]
        kept = [one for one in metadata.get("finalizers") or () if not one.startswith(f"{PREFIX}/")]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": kept}}
        try:
            cluster.patch(resource, namespace, name, patch)
            return
        except NotFound:
            return
        except Conflict:
            again = cluster.find(resource, namespace, name)
            if again is None:
                return
            if attempt == _ATTEMPTS - 1:
                raise
            found = again


def _ours(found: Json) -> bool:
    return any(one.startswith(f"{PREFIX}/") for one in found["metadata"].get("finalizers") or ())
