"""Admission on the fake cluster: pods that ask for it get what the controller looks at, as the webhook leaves it."""

from __future__ import annotations

import copy
import itertools
import json

from contract import names
from contract.mapping import Direction, parse_mappings
from contract.spec import OWNER, Owner, annotation_to_json
from tests.fakes.cluster import FakeCluster, Json, ResourceType

WORKLOADS = "edgeworkloads.management.project-flotta.io"


def admit_pods(fake: FakeCluster) -> None:
    """Have ``fake`` inject pods. All its pods have one address, so each sidecar has a port of its own."""
    ports = itertools.count(names.PORT)

    def hook(operation: str, kind: ResourceType, new: Json) -> Json:
        asked = (new["metadata"].get("labels") or {}).get(names.INJECT) == names.ENABLED
        return injected(fake, new, next(ports)) if operation == "CREATE" and kind.kind == "Pod" and asked else new

    fake.admit(hook)


def injected(fake: FakeCluster, pod: Json, port: int = names.PORT) -> Json:
    """The pod with what the controller looks at."""
    pod = copy.deepcopy(pod)
    metadata = pod["metadata"]
    annotations = metadata.setdefault("annotations", {})
    owner = next(iter(metadata.get("ownerReferences") or ()), {"kind": "Pod", "name": metadata.get("name", "")})
    kind, workload = owner["kind"], owner["name"]
    if names.WORKLOAD in annotations:
        kind, workload = annotations.get(names.OWNER_KIND, "Workload"), annotations[names.WORKLOAD]
    found = fake.find(WORKLOADS, workload, metadata["namespace"])
    data = ((found or {}).get("spec") or {}).get("data") or {}
    mappings = [
        parse_mappings(
            direction,
            json.loads(annotations[key])
            if (key := f"{names.PREFIX}/{direction}") in annotations
            else data.get(direction),
        )
        for direction in Direction
    ]
    annotations[names.MAPPINGS] = annotation_to_json(*mappings)
    device = annotations.get(names.DEVICE) or _pinned(pod)
    annotations[names.STATUS] = json.dumps({"workload": workload, "device": device})
    record = Owner(metadata["namespace"], "", kind, workload)
    sidecar = {
        "name": names.SIDECAR_CONTAINER,
        "image": "sidecar",
        "restartPolicy": "Always",
        "ports": [{"name": names.PORT_NAME, "containerPort": port}],
        "env": [{"name": OWNER, "value": record.to_json()}],
    }
    pod["spec"]["initContainers"] = [sidecar, *(pod["spec"].get("initContainers") or ())]
    return pod


def _pinned(pod: Json) -> str:
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity")) or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            return str(field["values"][0])
    return str(pod["spec"].get("nodeName") or "")
