"""Which resources the fake cluster serves: built-in ones by table, custom ones by their CRDs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource as discovery tells of it."""

    group: str  # empty for the core group
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = True  # has a status subresource
    custom: bool = False  # comes from a CRD

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """``plural.group``, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def discovery(self) -> list[Json]:
        """Its rows of an APIResourceList."""
        verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        row = {"name": self.plural, "singularName": self.kind.lower(), "kind": self.kind, "namespaced": self.namespaced}
        rows: list[Json] = [{**row, "verbs": verbs}]
        if self.status:
            rows.append(
                {**row, "name": f"{self.plural}/status", "singularName": "", "verbs": ["get", "patch", "update"]}
            )
        return rows


def _type(api_version: str, plural: str, kind: str, *, namespaced: bool = True, status: bool = False) -> ResourceType:
    group, _, version = api_version.rpartition("/")
    return ResourceType(group, version, plural, kind, namespaced, status)


BUILT_IN = (
    _type("v1", "namespaces", "Namespace", namespaced=False, status=True),
    _type("v1", "nodes", "Node", namespaced=False, status=True),
    _type("v1", "pods", "Pod", status=True),
    _type("v1", "configmaps", "ConfigMap"),
    _type("v1", "secrets", "Secret"),
    _type("v1", "services", "Service", status=True),
    _type("v1", "serviceaccounts", "ServiceAccount"),
    _type("v1", "persistentvolumeclaims", "PersistentVolumeClaim", status=True),
    _type("v1", "events", "Event"),
    _type("apps/v1", "daemonsets", "DaemonSet", status=True),
    _type("apps/v1", "deployments", "Deployment", status=True),
    _type("apps/v1", "replicasets", "ReplicaSet", status=True),
    _type("apps/v1", "statefulsets", "StatefulSet", status=True),
    _type("batch/v1", "jobs", "Job", status=True),
    _type("batch/v1", "cronjobs", "CronJob", status=True),
    _type("coordination.k8s.io/v1", "leases", "Lease"),
    _type("storage.k8s.io/v1", "storageclasses", "StorageClass", namespaced=False),
    _type(
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        status=True,
    ),
    _type(
        "admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        namespaced=False,
    ),
)


def from_definition(definition: Json) -> ResourceType:
    """The type that a CustomResourceDefinition's storage version adds."""
    spec = definition["spec"]
    version = next(one for one in spec["versions"] if one.get("storage"))
    return ResourceType(
        group=spec["group"],
        version=version["name"],
        plural=spec["names"]["plural"],
        kind=spec["names"]["kind"],
        namespaced=spec["scope"] == "Namespaced",
        status="status" in (version.get("subresources") or {}),
        custom=True,
    )
