"""What the controller asks of the API server, as RBAC writes it: what the chart must grant, and no more.

``tests/controller/test_rights.py`` holds it against the calls that the scenarios record. Cluster-wide unless
a namespace is named.
"""

from __future__ import annotations

from typing import Final

OURS: Final = "management.project-flotta.io"

# (group, resource) → verbs, by a ClusterRole.
CLUSTER: Final[dict[tuple[str, str], frozenset[str]]] = {
    (OURS, "edgedevices"): frozenset({"get", "list", "watch", "patch"}),
    (OURS, "edgedevices/status"): frozenset({"patch"}),
    (OURS, "edgedevices/finalizers"): frozenset({"update"}),  # where OwnerReferencesPermissionEnforcement is on
    (OURS, "edgeworkloads"): frozenset({"get", "list", "watch", "patch"}),
    (OURS, "edgeworkloads/status"): frozenset({"patch"}),
    (OURS, "edgeworkloads/finalizers"): frozenset({"update"}),  # likewise
    ("apps", "daemonsets"): frozenset({"get", "list", "watch", "create", "update", "delete"}),
    ("batch", "jobs"): frozenset({"get", "list", "watch", "create"}),
    ("", "nodes"): frozenset({"get", "list", "watch", "patch"}),
    ("objectbucket.io", "objectbucketclaims"): frozenset({"get", "list", "watch", "create", "patch", "delete"}),
    ("storage.k8s.io", "storageclasses"): frozenset({"get"}),
    ("apiextensions.k8s.io", "customresourcedefinitions"): frozenset({"list", "watch"}),
    ("", "namespaces"): frozenset({"get"}),
    ("", "pods"): frozenset({"list", "watch", "patch"}),
    ("", "events"): frozenset({"create", "patch"}),
}
# In the controller's own namespace, by a Role; get and update by the Lease's name.
OWN_NAMESPACE: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("coordination.k8s.io", "leases"): frozenset({"get", "create", "update"}),
}


def allows(group: str, resource: str, verb: str, *, own_namespace: bool) -> bool:
    """Whether these rights allow a call; ``own_namespace``: it is about the controller's own."""
    granted = CLUSTER.get((group, resource), frozenset())
    if own_namespace:
        granted |= OWN_NAMESPACE.get((group, resource), frozenset())
    return verb in granted


def granted() -> set[tuple[str, str, str]]:
    """Every group, resource and verb."""
    rows = [*CLUSTER.items(), *OWN_NAMESPACE.items()]
    return {(group, resource, verb) for (group, resource), verbs in rows for verb in verbs}
