"""Which pods should have the sidecar and have not, and what would give it to them. Pure.

A pod is admitted once: created while no webhook answered, it runs without the sidecar until it is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from contract.names import DISABLED, ENABLED, INJECT
from controller import pods
from controller.resources import Json

# Owners that make a pod anew when it goes.
_REPLACING: Final = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"})
_EXCLUDED: Final = frozenset({"kube-system", "kube-public", "kube-node-lease"})


@dataclass(frozen=True, slots=True)
class Missed:
    """A pod without the sidecar that asks for one."""

    namespace: str
    name: str
    uid: str
    asked_by: str  # what asks: the pod's label or its namespace's
    owner: str  # kind/name of what made it; empty for a bare pod

    @property
    def replaceable(self) -> bool:
        """Whether evicting it makes a new one."""
        return self.owner.partition("/")[0] in _REPLACING


def missed(found: Iterable[Json], namespaces: Mapping[str, Json]) -> list[Missed]:
    """Those of the pods, by namespace and name; ``namespaces`` by their name."""
    rows = [_missed(pod, asked) for pod in found if (asked := _asked_by(pod, namespaces))]
    return sorted(rows, key=lambda one: (one.namespace, one.name))


def _missed(pod: Json, asked_by: str) -> Missed:
    metadata = pod["metadata"]
    owners = metadata.get("ownerReferences") or []
    controller = next((one for one in owners if one.get("controller")), None)
    owner = f"{controller['kind']}/{controller['name']}" if controller else ""
    return Missed(metadata.get("namespace", ""), metadata["name"], metadata["uid"], asked_by, owner)


def _asked_by(pod: Json, namespaces: Mapping[str, Json]) -> str:
    metadata = pod["metadata"]
    namespace = metadata.get("namespace", "")
    if pods.is_injected(pod) or pods.is_over(pod) or metadata.get("deletionTimestamp") or namespace in _EXCLUDED:
        return ""
    own = (metadata.get("labels") or {}).get(INJECT)
    if own in (ENABLED, DISABLED):
        return "pod" if own == ENABLED else ""
    around = (namespaces.get(namespace) or {"metadata": {}})["metadata"].get("labels") or {}
    return "namespace" if around.get(INJECT) == ENABLED else ""
