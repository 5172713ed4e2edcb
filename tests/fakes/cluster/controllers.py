"""The cluster's own controllers, as far as scenarios need them. Each looks at everything, and does what is left to do.

Namespaces end when they are empty; dependants of what is gone are collected; DaemonSets have a pod on each
node that their selector matches; Jobs have a pod; pods that have a node run.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.fakes.cluster.failures import Refused
from tests.fakes.cluster.resources import Json
from tests.fakes.cluster.store import Store

HASH = "controller-revision-hash"


def namespaces(store: Store) -> None:
    kind = store.kind("namespaces")
    for namespace in store.peek(kind):
        if not namespace["metadata"].get("deletionTimestamp"):
            continue
        name, left = namespace["metadata"]["name"], 0
        for other in list(store.kinds.values()):
            for one in store.list(other, name) if other.namespaced else ():
                if not one["metadata"].get("deletionTimestamp"):
                    store.delete(other, name, one["metadata"]["name"])
                left += store.find(other, name, one["metadata"]["name"]) is not None
        if not left:
            store.empty_namespace(name)


def garbage(store: Store, looked: dict[str, int]) -> None:
    if looked.get("removals") == store.removals:
        return  # nobody lost an owner
    looked["removals"] = store.removals
    everything = [(kind, one) for kind in list(store.kinds.values()) for one in store.peek(kind)]
    known = {one["metadata"]["uid"] for _, one in everything}
    for kind, one in everything:
        owners = one["metadata"].get("ownerReferences") or []
        orphan = bool(owners) and not any(owner["uid"] in known for owner in owners)
        if orphan and not one["metadata"].get("deletionTimestamp"):
            store.delete(kind, one["metadata"].get("namespace", ""), one["metadata"]["name"])


def daemon_sets(store: Store) -> None:
    kind = store.kind("daemonsets", "apps")
    for found in store.peek(kind):
        if not found["metadata"].get("deletionTimestamp"):
            _daemon_set(store, found)


def _daemon_set(store: Store, found: Json) -> None:
    kind, namespace = store.kind("daemonsets", "apps"), found["metadata"]["namespace"]
    template = found["spec"]["template"]
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
    wanted = {node["metadata"]["name"] for node in store.peek(store.kind("nodes")) if _fits(template["spec"], node)}
    ready = 0
    pods = _owned_pods(store, found)
    for pod in pods:
        node, stale = pod["spec"].get("nodeName"), pod["metadata"]["labels"].get(HASH) != digest
        if (node not in wanted or stale) and not pod["metadata"].get("deletionTimestamp"):
            store.delete(store.kind("pods"), namespace, pod["metadata"]["name"])
    placed = {pod["spec"].get("nodeName") for pod in _owned_pods(store, found)}
    for node in sorted(wanted - placed):
        _start(store, _pod_of(found, template, generate=f"{found['metadata']['name']}-", labels={HASH: digest}), node)
    running = [pod for pod in _owned_pods(store, found) if pod["status"]["phase"] == "Running"]
    ready = sum(pod["spec"].get("nodeName") in wanted for pod in running)
    status = {
        "currentNumberScheduled": ready,
        "desiredNumberScheduled": len(wanted),
        "numberReady": ready,
        "numberAvailable": ready,
        "numberMisscheduled": 0,
        "updatedNumberScheduled": ready,
        "observedGeneration": found["metadata"]["generation"],
    }
    _set_status(store, kind.plural, kind.group, found, status)


def _fits(spec: Json, node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items())


def _owned_pods(store: Store, owner: Json) -> list[Json]:
    pods = store.peek(store.kind("pods"))
    uid = owner["metadata"]["uid"]
    return [pod for pod in pods if any(one["uid"] == uid for one in pod["metadata"].get("ownerReferences") or [])]


def _pod_of(owner: Json, template: Json, *, generate: str, labels: dict[str, str]) -> Json:
    pod = copy.deepcopy(template)
    metadata = pod.setdefault("metadata", {})
    metadata.pop("name", None)
    metadata["generateName"] = generate
    metadata["namespace"] = owner["metadata"]["namespace"]
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata["ownerReferences"] = [{**reference, **{key: owner["metadata"][key] for key in ("name", "uid")}}]
    return pod


def _start(store: Store, pod: Json, node: str) -> None:
    """A daemon's pod: pinned by affinity as the real controller does, then bound as the scheduler does."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    pod["spec"].setdefault("affinity", {})["nodeAffinity"] = required
    kind, namespace = store.kind("pods"), pod["metadata"]["namespace"]
    try:
        created = store.create(kind, namespace, pod)
    except Refused:
        return  # denied by admission: tried again with the next change
    created["spec"]["nodeName"] = node
    store.update(kind, namespace, created["metadata"]["name"], created)


def jobs(store: Store) -> None:
    kind = store.kind("jobs", "batch")
    for job in store.peek(kind):
        if job["metadata"].get("deletionTimestamp") or (job.get("status") or {}).get("conditions"):
            continue  # what has ended stays so
        pods = _owned_pods(store, job)
        if not pods and not (job.get("status") or {}).get("succeeded"):
            labels = {"batch.kubernetes.io/job-name": job["metadata"]["name"], "job-name": job["metadata"]["name"]}
            template = job["spec"]["template"]
            pod = _pod_of(job, template, generate=f"{job['metadata']['name']}-", labels=labels)
            try:
                pods = [store.create(store.kind("pods"), job["metadata"]["namespace"], pod)]
            except Refused:
                continue
        succeeded = sum(pod["status"]["phase"] == "Succeeded" for pod in pods)
        failed = sum(pod["status"]["phase"] == "Failed" for pod in pods)
        status: Json = {"active": len(pods) - succeeded - failed, "succeeded": succeeded, "failed": failed}
        if succeeded:
            status["conditions"] = [{"type": "Complete", "status": "True"}]
        elif failed > job["spec"].get("backoffLimit", 6):
            status["conditions"] = [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]
        _set_status(store, kind.plural, kind.group, job, status)


def kubelet(store: Store) -> None:
    """Whatever has a node runs there, and is ready."""
    kind = store.kind("pods")
    for pod in store.peek(kind):
        if pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending":
            conditions = [{"type": "Ready", "status": "True"}]
            status = {"phase": "Running", "podIP": "127.0.0.1", "conditions": conditions}
            _set_status(store, kind.plural, kind.group, pod, {**pod["status"], **status})


def _set_status(store: Store, plural: str, group: str, one: Json, status: dict[str, Any]) -> None:
    kind, namespace, name = store.kind(plural, group), one["metadata"]["namespace"], one["metadata"]["name"]
    current = store.find(kind, namespace, name)
    if current is not None and current.get("status") != status:
        store.update(kind, namespace, name, {**current, "status": status}, subresource="status")


def all_of(store: Store) -> list[Callable[[], None]]:
    """Every controller, bound to its store."""
    looked: dict[str, int] = {}
    plain = [partial(controller, store) for controller in (daemon_sets, jobs, kubelet, namespaces)]
    return [*plain, partial(garbage, store, looked)]
