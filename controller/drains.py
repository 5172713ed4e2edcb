"""Drains: a Job on a directory's node that sends what is left there. Pure.

The Job's pod is admitted as any other: by its labels and annotations it gets the directory, the bucket and
a sidecar, egress only. Its own container waits until that sidecar says that everything is sent, and fails
where it does not in time or where there is no sidecar; a drain never claims success by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from contract import names
from controller.directories import Directory
from controller.resources import JOBS, Json

_KEPT_FOR: Final = 3600  # seconds that a finished Job stays, for whoever asks what became of it
_DIGEST: Final = 10
_LONGEST: Final = 40  # characters of the workload's name in a Job's
_TRIES: Final = 2
_NOBODY: Final = 65532


class Outcome(Enum):
    """How far a drain has come."""

    RUNNING = "running"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Drain:
    """One directory to be sent. ``request`` tells this time from earlier ones."""

    request: str
    namespace: str
    device: str
    workload: str
    directory: Directory

    @property
    def job_name(self) -> str:
        """The same for the same drain, so that a restart finds it again."""
        said = "\0".join((self.request, self.device, self.workload, *self.directory.key))
        digest = hashlib.sha256(said.encode()).hexdigest()[:_DIGEST]
        return f"drain-{self.workload[:_LONGEST].strip('-.')}-{digest}"

    @property
    def place(self) -> tuple[str, str, str, str, str]:
        """The directory, as sightings name it."""
        return (self.namespace, self.device, self.workload, *self.directory.key)

    def __str__(self) -> str:
        return f"{self.workload} on {self.directory.node}"


def job(drain: Drain, image: str, seconds: float) -> Json:
    """The Job, which ends after at most ``seconds``."""
    directory = drain.directory
    labels = {names.MANAGED_BY: names.MANAGED_BY_US, names.DRAIN: names.dns_label(drain.workload)}
    # Sent is what was to be sent; nothing is fetched for a workload that is not there.
    annotations = {
        **directory.annotations,
        names.INGRESS: "[]",
        names.WORKLOAD: drain.workload,
        names.OWNER_KIND: directory.kind,
        names.DEVICE: drain.device,
    }
    pod = {
        "restartPolicy": "Never",
        "affinity": _on(directory.node),
        "tolerations": [{"operator": "Exists"}],  # a device that is cordoned or slow to come back has its data too
        "terminationGracePeriodSeconds": 60,
        "enableServiceLinks": False,
        "automountServiceAccountToken": bool(directory.service_account),
        "containers": [_container(image, seconds)],
    }
    if directory.security:
        pod["securityContext"] = directory.security
    if directory.service_account:
        pod["serviceAccountName"] = directory.service_account
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": drain.job_name,
            "namespace": drain.namespace,
            "labels": labels,
            "annotations": {names.WORKLOAD: drain.workload, names.DEVICE: drain.device},
        },
        "spec": {
            "backoffLimit": _TRIES,
            "activeDeadlineSeconds": int(seconds),
            "ttlSecondsAfterFinished": _KEPT_FOR,
            "template": {
                "metadata": {"labels": {**labels, names.INJECT: names.ENABLED}, "annotations": annotations},
                "spec": pod,
            },
        },
    }


def outcome(found: Json) -> Outcome:
    """What became of a Job."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    ended = {one.get("type") for one in conditions if one.get("status") == "True"}
    if ended & {"Complete", "SuccessCriteriaMet"}:
        return Outcome.SENT
    return Outcome.FAILED if ended & {"Failed", "FailureTarget"} else Outcome.RUNNING


def why(found: Json) -> str:
    """Why a Job failed, in Kubernetes' word."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((str(one.get("reason")) for one in conditions if one.get("type") == "Failed"), "Failed")


def listed(drains: Iterable[Drain], most: int = 5) -> str:
    """Some drains in words."""
    said = [str(one) for one in drains]
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more


def _on(node: str) -> Json:
    # As a DaemonSet's pods are pinned: the scheduler still sees to it that the node has room.
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def _container(image: str, seconds: float) -> Json:
    return {
        "name": "wait",
        "image": image,
        "command": ["python", "-m", "sidecar", "wait", "--seconds", str(int(seconds))],
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
