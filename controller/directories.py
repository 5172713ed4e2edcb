"""Directories on nodes that may hold unsent files: what must be known of one to drain it later. Pure.

Kept in ``status.workloads[].directories`` of the device whose storage they use, from the first pod on, so that
they are found again when the pods, their Deployment and this controller's memory are long gone. One that was
left with nothing unsent is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from contract import names
from contract.mapping import MappingError
from contract.spec import mappings_from_annotation, mappings_to_json
from controller.pods import annotations_of
from controller.resources import Json

MOST: Final = 100  # of one workload on one device; more pods of one device's storage than that have no node in common
# What finds the same directory and the same bucket again, beside workload and device.
_KEPT: Final = (names.S3_CONFIG_MAP, names.S3_SECRET, names.S3_CREDENTIALS, names.VOLUME, names.EXPORT_SCOPE)
_SECURITY: Final = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions")


@dataclass(frozen=True, slots=True)
class Directory:
    """One exported directory on ``node``. ``kind``: of the owner in its record."""

    node: str
    kind: str
    annotations: dict[str, str] = field(default_factory=dict, hash=False)  # for a pod that is to use it again
    security: Json = field(default_factory=dict, hash=False)  # pod-level securityContext, as far as files show it
    service_account: str = ""  # only where it gives the credentials

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others of the same workload and device."""
        return self.node, self.kind

    @property
    def drainable(self) -> bool:
        """Whether a pod that is made later can have it; a pod's own directory goes by that pod's name."""
        return self.annotations.get(names.EXPORT_SCOPE) != "pod"

    def to_json(self) -> Json:
        """As the device's status keeps it."""
        kept: Json = {"node": self.node, "kind": self.kind, "annotations": self.annotations}
        if self.security:
            kept["securityContext"] = self.security
        if self.service_account:
            kept["serviceAccountName"] = self.service_account
        return kept


def from_json(raw: object) -> Directory | None:
    """The directory that a status keeps; None where somebody wrote something else there."""
    if not isinstance(raw, dict):
        return None
    node, kind, annotations = raw.get("node"), raw.get("kind"), raw.get("annotations") or {}
    security, account = raw.get("securityContext") or {}, raw.get("serviceAccountName") or ""
    texts = isinstance(annotations, dict) and all(isinstance(one, str) for pair in annotations.items() for one in pair)
    if not (isinstance(node, str) and node and isinstance(kind, str) and kind and texts and isinstance(account, str)):
        return None
    kept = {key: value for key, value in annotations.items() if key in (*_KEPT, names.EGRESS)}
    shown = {key: security[key] for key in _SECURITY if key in security} if isinstance(security, dict) else {}
    return Directory(node, kind, kept, shown, account)


def of_pod(raw: Json, kind: str) -> Directory | None:
    """The directory that an injected pod uses; None where nothing of it stays: no node, or a volume that dies."""
    spec, annotations = raw.get("spec") or {}, annotations_of(raw)
    node = str(spec.get("nodeName") or "")
    if not node or not kind or annotations.get(names.VOLUME) == "emptyDir":
        return None
    try:
        egress, _ = mappings_from_annotation(annotations.get(names.MAPPINGS, "{}"))
    except MappingError:
        return None
    if not egress:
        return None  # it fetches only
    kept = {key: annotations[key] for key in _KEPT if key in annotations}
    security = spec.get("securityContext") or {}
    chain = annotations.get(names.S3_CREDENTIALS) == "chain"
    return Directory(
        node=node,
        kind=kind,
        annotations={**kept, names.EGRESS: mappings_to_json(egress)},
        security={key: security[key] for key in _SECURITY if key in security},
        service_account=str(spec.get("serviceAccountName") or "") if chain else "",
    )


def of_device(device: Json) -> list[tuple[str, Directory]]:
    """Workload and directory, for all that the device's status keeps."""
    found = []
    for entry in (device.get("status") or {}).get("workloads") or ():
        for raw in entry.get("directories") or ():
            directory = from_json(raw)
            if directory is not None:
                found.append((str(entry["name"]), directory))
    return found
