"""Why a pod was injected, skipped or denied: one word and one sentence for each.

The word is the metric label and the audit annotation, the sentence is what the user reads in the
warning, the refusal and ``explain``. Nothing else in this room invents a reason.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """One word for each way a review can end; :attr:`sentence` says it to a person."""

    INJECTED = "injected"

    NOT_REQUESTED = "not_requested"
    DISABLED = "disabled"
    UNKNOWN_LABEL = "unknown_label"
    OTHER_KIND = "other_kind"
    OTHER_OPERATION = "other_operation"

    NO_STORAGE = "no_storage"
    RESTART_POLICY = "restart_policy"
    WINDOWS = "windows"

    INVALID_POD = "invalid_pod"
    INVALID_NAME = "invalid_name"
    INVALID_ANNOTATION = "invalid_annotation"
    INVALID_WORKLOAD = "invalid_workload"
    NO_DEVICE = "no_device"
    UNKNOWN_ANNOTATION = "unknown_annotation"
    EXPORT_TAKEN = "export_taken"
    NAME_TAKEN = "name_taken"
    OVERRIDE_REFUSED = "override_refused"
    SHARED_PROCESSES = "shared_processes"
    POD_SECURITY = "pod_security"
    SCC = "scc"
    POD_NAME_TAKEN = "pod_name_taken"
    GATE_NEEDS_NATIVE = "gate_needs_native"

    NOT_READY = "not_ready"
    INTERNAL = "internal"

    @property
    def sentence(self) -> str:
        """What a person is told."""
        return SENTENCES[self]


SENTENCES: Final = {
    Reason.INJECTED: "data-sync was added",
    Reason.NOT_REQUESTED: "neither the pod nor its namespace asks for data-sync",
    Reason.DISABLED: "the label inject: disabled keeps data-sync out",
    Reason.UNKNOWN_LABEL: "the label inject is neither 'enabled' nor 'disabled'",
    Reason.OTHER_KIND: "only pods are injected",
    Reason.OTHER_OPERATION: "pods are injected when they are created, not later",
    Reason.NO_STORAGE: "no storage is known for this pod",
    Reason.RESTART_POLICY: (
        "a classic sidecar would keep a pod from finishing whose restartPolicy is not Always; it needs a native one"
    ),
    Reason.WINDOWS: "the pod runs on Windows, data-sync on Linux",
    Reason.INVALID_POD: "the pod is not what Kubernetes calls a pod",
    Reason.INVALID_NAME: "the workload has no name that can be a directory",
    Reason.INVALID_ANNOTATION: "an annotation cannot be used",
    Reason.INVALID_WORKLOAD: "the EdgeWorkload's mappings cannot be used",
    Reason.NO_DEVICE: "a mapping needs the device's name, and no device is known for this pod",
    Reason.UNKNOWN_ANNOTATION: "an annotation is unknown",
    Reason.EXPORT_TAKEN: "a container already mounts something at or below /export",
    Reason.NAME_TAKEN: "a name that belongs to data-sync is taken",
    Reason.OVERRIDE_REFUSED: "a container named data-sync may only override resources and tunables",
    Reason.SHARED_PROCESSES: (
        "shareProcessNamespace: true would let every container read the storage keys through /proc"
    ),
    Reason.POD_SECURITY: "the namespace's Pod Security level forbids what data-sync would need",
    Reason.SCC: "OpenShift's SecurityContextConstraints would refuse the pod with data-sync",
    Reason.POD_NAME_TAKEN: "export-scope: pod needs POD_NAME to be the pod's name in every container",
    Reason.GATE_NEEDS_NATIVE: "wait-for-ingress needs a native sidecar: a classic one starts after the app",
    Reason.NOT_READY: "data-sync does not yet know the cluster",
    Reason.INTERNAL: "data-sync made a mistake of its own; the pod was admitted unchanged, see the webhook's log",
}
