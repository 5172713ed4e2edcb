"""The commands for people: ``status``, ``explain pod`` and ``repair``, with the caller's own rights."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from controller import explaining, overview, pods
from controller.cluster import Cluster
from controller.errors import ClusterError, Forbidden, NotFound, Unavailable
from controller.missed import Missed, missed
from controller.resources import EDGE_DEVICES, EDGE_WORKLOADS, NAMESPACES, PODS, Json, Resource

FINE: Final = 0
SOMETHING: Final = 1  # is left to do, or is not there
_CLEAR: Final = "\x1b[H\x1b[2J"
_MISSED_COLUMNS: Final = ("NAMESPACE", "POD", "ASKED BY", "OWNER", "RESULT")


@dataclass(frozen=True, slots=True)
class View:
    """What to show and how; an empty namespace is every one."""

    namespace: str = ""
    as_json: bool = False


def show_status(cluster: Cluster, view: View, *, every: float = 0.0) -> int:
    """Print devices and workloads; with ``every`` again after so many seconds, until interrupted."""
    while True:
        text = _status(cluster, view)
        print((_CLEAR if every and sys.stdout.isatty() else "") + text, end="", flush=True)
        if not every:
            return FINE
        time.sleep(every)


def _status(cluster: Cluster, view: View) -> str:
    found = overview.summary(
        _listed(cluster, EDGE_DEVICES, view.namespace), _listed(cluster, EDGE_WORKLOADS, view.namespace)
    )
    if view.as_json:
        return json.dumps(found, indent=2) + "\n"
    return overview.tables(found, datetime.now(UTC))


def explain_pod(cluster: Cluster, namespace: str, name: str) -> int:
    """Print what is known of a pod."""
    pod = cluster.find(PODS, namespace, name)
    if pod is None:
        print(f"there is no pod {namespace}/{name}", file=sys.stderr)
        return SOMETHING
    device = str(pods.status_of(pod).get("device") or "")
    found = cluster.find(EDGE_DEVICES, namespace, device) if device else None
    for line in explaining.explain(pod, _namespace(cluster, namespace), found):
        print(line)
    return FINE


def repair(cluster: Cluster, view: View, *, restart: bool) -> int:
    """Print the pods that missed injection, and evict those that something makes anew if ``restart`` says so.

    Evictions respect disruption budgets. 1 when pods are left that need somebody.
    """
    namespaces = {one["metadata"]["name"]: one for one in _namespaces(cluster, view.namespace)}
    found = missed(cluster.list(PODS, view.namespace), namespaces)
    results = [(one, _restart(cluster, one) if restart else _advice(one)) for one in found]
    if view.as_json:
        print(json.dumps([_as_json(one, result) for one, result in results], indent=2))
    elif results:
        rows = [(one.namespace, one.name, one.asked_by, one.owner or overview.NOTHING, said) for one, said in results]
        print(overview.table(_MISSED_COLUMNS, rows), end="")
    else:
        print("Every pod that asks for the sidecar has it.")
    done = all(said == "evicted" for _, said in results)
    return FINE if done else SOMETHING


def _restart(cluster: Cluster, one: Missed) -> str:
    if not one.replaceable:
        return _advice(one)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": one.name, "namespace": one.namespace},
        "deleteOptions": {"preconditions": {"uid": one.uid}},
    }
    try:
        cluster.request("POST", PODS.path(one.namespace, one.name, "eviction"), body=eviction)
    except NotFound:
        return "evicted"  # it went by itself
    except Unavailable as error:
        return f"not now: {error.message}"
    except ClusterError as error:
        return f"refused: {error.message}"
    return "evicted"


def _advice(one: Missed) -> str:
    return "repair --restart evicts it" if one.replaceable else "delete it and create it again"


def _as_json(one: Missed, result: str) -> Json:
    names = {"namespace": one.namespace, "name": one.name, "uid": one.uid}
    return {**names, "askedBy": one.asked_by, "owner": one.owner, "result": result}


def _listed(cluster: Cluster, resource: Resource, namespace: str) -> Iterator[Json]:
    try:
        yield from cluster.list(resource, namespace)
    except NotFound:
        print(f"this cluster has no {resource.plural}; apply the CRDs in manifests/", file=sys.stderr)


def _namespaces(cluster: Cluster, namespace: str) -> list[Json]:
    if namespace:
        found = _namespace(cluster, namespace)
        return [found] if found else []
    return list(cluster.list(NAMESPACES))


def _namespace(cluster: Cluster, name: str) -> Json | None:
    try:
        return cluster.find(NAMESPACES, "", name)
    except Forbidden:
        return None  # only its label would be of use
