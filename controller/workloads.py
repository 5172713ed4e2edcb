"""What an EdgeWorkload's pods need: workload, devices, nodes → DaemonSet and node labels, or why not. Pure.

One DaemonSet per EdgeWorkload, its template constant: which nodes run it is said by a label on the nodes of
the devices that match. Devices that come and go change labels, and so only their own pods. A device is the
node of its name; one without a node is named, never guessed.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from contract import names
from contract.selectors import Selector, parse_selector
from controller.resources import DAEMON_SETS, EDGE_WORKLOADS, Json

RUNS_HERE: Final = "true"
_LABEL_LIMIT: Final = 63  # characters behind the slash of a label's key
_DIGEST: Final = 16

# What the EdgeWorkload's own annotations say for all its pods; the rest of ours is decided by its spec.
HANDED_ON: Final = (
    names.S3_CREDENTIALS,
    names.INTERVAL,
    names.EXPORT_SCOPE,
    names.VOLUME,
    names.WAIT_FOR_INGRESS,
    names.SIDECAR_MODE,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a spec cannot run: one word, and a sentence that says what to change."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Placement:
    """The devices that a workload is meant for, and where they are."""

    devices: tuple[str, ...] = ()
    without_node: tuple[str, ...] = ()  # of them
    absent: str = ""  # spec.device, where no such EdgeDevice exists

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that are to run the pods."""
        return frozenset(self.devices) - frozenset(self.without_node)


def runs(workload: Json) -> bool:
    """Whether the workload has a pod; one with data alone only supplies mappings."""
    return bool(_spec(workload).get("pod") or _spec(workload).get("type"))


def refusal(workload: Json) -> Refusal | None:
    """Why its pod cannot run, or None. Most of it the CRD's rules have refused already, where they are current."""
    spec = _spec(workload)
    if spec.get("type", "pod") != "pod":
        return Refusal("UnknownType", f"spec.type: {spec['type']!r} is not known; 'pod' is all there is")
    pod = (spec.get("pod") or {}).get("spec") or {}
    if not pod.get("containers"):
        return Refusal("NoPod", "spec.pod.spec.containers is empty: there is nothing to run")
    if "device" in spec and "deviceSelector" in spec:
        return Refusal("DeviceAndSelector", "spec.device and spec.deviceSelector exclude each other; remove one")
    if "device" not in spec and "deviceSelector" not in spec:
        return Refusal("NoDevices", "spec.device or spec.deviceSelector must say where the pod runs")
    policy = pod.get("restartPolicy") or "Always"
    if policy != "Always":
        return Refusal(
            "RestartPolicy",
            f"spec.pod.spec.restartPolicy is {policy}: the pod runs as long as its device does; only Always can be",
        )
    if pod.get("nodeName"):
        return Refusal("NodeName", "spec.pod.spec.nodeName: where the pod runs is said by the device; remove it")
    try:
        _selector(workload)
    except ValueError as error:
        return Refusal("Selector", f"spec.deviceSelector: {error}")
    return None


def place(workload: Json, devices: Iterable[Json], nodes: Iterable[str]) -> Placement:
    """Where the workload is meant to run. ``devices``: those of its namespace; one that leaves counts no more."""
    staying = {one["metadata"]["name"]: one for one in devices if not one["metadata"].get("deletionTimestamp")}
    wanted = _spec(workload).get("device")
    if wanted is not None:
        matched = (str(wanted),) if wanted in staying else ()
        absent = "" if matched else str(wanted)
    else:
        absent = ""
        try:
            selector = _selector(workload)
        except ValueError:
            selector = None  # a mistake must not come to match everything; ``refusal`` tells of it
        matched = tuple(
            name
            for name, one in sorted(staying.items())
            if selector is not None and selector.matches(one["metadata"].get("labels") or {})
        )
    there = frozenset(nodes)
    return Placement(matched, tuple(name for name in matched if name not in there), absent)


def daemon_set(workload: Json) -> Json:
    """The DaemonSet that runs it; depends on nothing but the workload, so that devices never restart each other."""
    metadata = workload["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    labels = {names.MANAGED_BY: names.MANAGED_BY_US, names.WORKLOAD: name}
    pod = copy.deepcopy(_spec(workload)["pod"]["spec"])
    pod["nodeSelector"] = {**(pod.get("nodeSelector") or {}), node_label(namespace, name): RUNS_HERE}
    handed_on = {key: value for key, value in (metadata.get("annotations") or {}).items() if key in HANDED_ON}
    spec = {
        "selector": {"matchLabels": labels},
        # A device that is switched off must not keep the others from an update: each is on its own.
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
        "template": {
            "metadata": {
                "labels": {**labels, names.INJECT: names.ENABLED},
                "annotations": {**handed_on, names.WORKLOAD: name},
            },
            "spec": pod,
        },
    }
    return {
        "apiVersion": DAEMON_SETS.api_version,
        "kind": DAEMON_SETS.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": {names.TEMPLATE: _digest(spec)},
            "ownerReferences": [_owner(workload)],
        },
        "spec": spec,
    }


def is_ours(daemon_set: Json, workload: Json) -> bool:
    """Whether we made it for exactly this workload."""
    owners = daemon_set["metadata"].get("ownerReferences") or ()
    return any(one.get("uid") == workload["metadata"]["uid"] for one in owners)


def differs(there: Json, wanted: Json) -> bool:
    """Whether the DaemonSet that is there must be written anew.

    Compared by hash, since the API server fills in and rewrites much; beside it what decides where and
    whether pods sync, should somebody have edited that.
    """
    old, new = there["spec"]["template"], wanted["spec"]["template"]
    return (
        (there["metadata"].get("annotations") or {}).get(names.TEMPLATE)
        != wanted["metadata"]["annotations"][names.TEMPLATE]
        or old["spec"].get("nodeSelector") != new["spec"]["nodeSelector"]
        or any((old["metadata"].get(key) or {}) != new["metadata"][key] for key in ("labels", "annotations"))
    )


def node_label(namespace: str, name: str) -> str:
    """Key of the label that nodes carry which are to run this workload; no two workloads share one.

    Neither a namespace nor a workload has a dot in its name, so ``run.<namespace>.<name>`` names one. Where
    that is too long for a key, ``run-`` and a hash stand for it.
    """
    _, _, run = names.RUN.partition("/")
    plain = f"{run}.{namespace}.{name}"
    if len(plain) > _LABEL_LIMIT:
        digest = hashlib.sha256(f"{namespace}/{name}".encode()).hexdigest()[:_DIGEST]
        kept = name[: _LABEL_LIMIT - len(run) - _DIGEST - 2].strip("-")
        plain = f"{run}-{kept}-{digest}"
    return f"{names.PREFIX}/{plain}"


def relabelled(wanted: frozenset[str], carrying: Mapping[str, str]) -> dict[str, str | None]:
    """Node → what the label must become (None: taken off). ``carrying``: nodes that have it, and its value."""
    changes: dict[str, str | None] = {node: RUNS_HERE for node in wanted if carrying.get(node) != RUNS_HERE}
    return changes | {node: None for node in carrying if node not in wanted}


def label_patch(key: str, value: str | None) -> Json:
    """The patch of a node that sets or takes off our label, and touches nothing else."""
    return {"metadata": {"labels": {key: value}}}


def _selector(workload: Json) -> Selector | None:
    raw = _spec(workload).get("deviceSelector")
    return None if raw is None else parse_selector(raw)


def _owner(workload: Json) -> Json:
    metadata = workload["metadata"]
    owner = {"apiVersion": EDGE_WORKLOADS.api_version, "kind": EDGE_WORKLOADS.kind, "controller": True}
    return {**owner, "name": metadata["name"], "uid": metadata["uid"]}


def _digest(spec: Json) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:_DIGEST]


def _spec(workload: Json) -> Json:
    return workload.get("spec") or {}
