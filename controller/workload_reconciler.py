"""One EdgeWorkload: look, let ``workloads`` and ``live`` decide, act. All I/O for EdgeWorkloads but their status.

Every act is repeatable, so that a kill or another controller in between changes nothing but who does the rest.
What was found is kept for the status (``reporters`` writes it). A workload that goes takes its pods along and
has their files sent; a namespace that ends is never held up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from contract import names
from controller import live, workloads
from controller.cluster import Cluster
from controller.conditions import TRUE, Condition
from controller.draining import Drainer
from controller.errors import ClusterError, Conflict, Exists, NotFound
from controller.events import Recorder
from controller.requests import Requests
from controller.resources import (
    DAEMON_SETS,
    EDGE_DEVICES,
    EDGE_WORKLOADS,
    NAMESPACES,
    NODES,
    PODS,
    WORKLOAD_STATUS,
    Json,
    Key,
    key_of,
)
from controller.status import DRAINING, Structure, time_of
from controller.workloads import Placement, Refusal
from runtime.logs import fields

log = logging.getLogger(__name__)

_FEW: Final = 20  # devices for which nodes are looked up one by one
_LOOK_AGAIN: Final = 2.0  # seconds, while pods end or files are sent
_NAME_TAKEN: Final = "NameTaken"


@dataclass(frozen=True, slots=True)
class Memory:
    """What the last look at a workload found."""

    uid: str
    generation: int
    structure: Structure


class WorkloadReconciler:
    """See the module. ``report`` marks a workload's status to be written."""

    def __init__(
        self,
        cluster: Cluster,
        events: Recorder,
        drainer: Drainer,
        release_limit: float,
        report: Callable[[Key], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster, self._events, self._drainer = cluster, events, drainer
        self._release_limit = release_limit
        self._report = report
        self._now = now
        self._requests = Requests(cluster, EDGE_WORKLOADS, drainer, events, now)
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Memory] = {}

    def everything(self) -> Iterator[Key]:
        """All workloads."""
        return (key_of(workload) for workload in self._cluster.list(EDGE_WORKLOADS))

    def meant_for(self) -> dict[tuple[str, str], frozenset[str]]:
        """The devices that each known workload runs on, or would."""
        with self._lock:
            return {key: frozenset(one.structure.placement.devices) for key, one in self._known.items()}

    def structure(self, namespace: str, name: str) -> Structure | None:
        """What was last found of one."""
        with self._lock:
            found = self._known.get((namespace, name))
        return found.structure if found else None

    def reconcile(self, namespace: str, name: str) -> float | None:
        """Make the workload's pods as they should be; see :class:`controller.reconcile.Reconciler`."""
        workload = self._cluster.find(EDGE_WORKLOADS, namespace, name)
        if workload is None:
            self._label_nodes(namespace, name, frozenset())
            with self._lock:
                self._known.pop((namespace, name), None)
            return None
        if workload["metadata"].get("deletionTimestamp"):
            return self._leave(workload)
        return self._keep(workload)

    # While it is there

    def _keep(self, workload: Json) -> float | None:
        namespace, name = workload["metadata"]["namespace"], workload["metadata"]["name"]
        runs = workloads.runs(workload)
        refused = workloads.refusal(workload) if runs else None
        placement = self._placement(workload)
        desired: int | None = None
        if runs and refused is None:
            if self._hold(workload):
                return 0.0  # it has a new version now; look again
            self._label_nodes(namespace, name, placement.nodes)
            desired, refused = self._run(workload)
        elif not runs:
            self._end_pods(workload)
            self._label_nodes(namespace, name, frozenset())
            self._let_go(workload)
        faults = self._follow(workload)
        draining, again = self._requests.follow(workload, lambda id_: self._drainer.of_workload(namespace, name, id_))
        self._remember(workload, Structure(placement, runs, desired, refused, faults, draining))
        return again

    def _placement(self, workload: Json) -> Placement:
        devices = list(self._cluster.list(EDGE_DEVICES, workload["metadata"]["namespace"]))
        matched = workloads.place(workload, devices, ()).devices
        if len(matched) <= _FEW:
            nodes = {name for name in matched if self._cluster.find(NODES, "", name) is not None}
        else:
            nodes = {one["metadata"]["name"] for one in self._cluster.list(NODES)}
        return workloads.place(workload, devices, nodes)

    def _run(self, workload: Json) -> tuple[int | None, Refusal | None]:
        """Have the DaemonSet there; how many pods it wants."""
        namespace, name = workload["metadata"]["namespace"], workload["metadata"]["name"]
        wanted = workloads.daemon_set(workload)
        there = self._cluster.find(DAEMON_SETS, namespace, name)
        if there is None:
            with suppress(Exists):  # made in between; whose it is, the next look tells
                there = self._cluster.create(DAEMON_SETS, namespace, wanted)
                log.info("pods are run", **fields(namespace=namespace, workload=name))
        elif not workloads.is_ours(there, workload):
            message = f"there is a DaemonSet {name} that is not this workload's; rename one of the two"
            return None, Refusal(_NAME_TAKEN, message)
        elif workloads.differs(there, wanted):
            metadata = {**wanted["metadata"], "resourceVersion": there["metadata"]["resourceVersion"]}
            there = self._cluster.update(DAEMON_SETS, {**wanted, "metadata": metadata})
            log.info("pods are replaced", **fields(namespace=namespace, workload=name))
        return int(((there or {}).get("status") or {}).get("desiredNumberScheduled") or 0), None

    def _follow(self, workload: Json) -> tuple[str, ...]:
        """Let the pods' mappings follow ``spec.data``; sentences about what cannot."""
        namespace, name = workload["metadata"]["namespace"], workload["metadata"]["name"]
        data = live.read(workload)
        if data.faults:
            return data.faults
        pods = [pod for pod in self._cluster.list(PODS, namespace) if live.belongs(pod, name)]
        faults: dict[str, None] = {}
        for edit in live.edits(data, pods):
            if edit.faults:
                pod = next(pod for pod in pods if pod["metadata"]["uid"] == edit.uid)
                self._events.warning(pod, "MappingsInvalid", f"mappings kept as they were: {'; '.join(edit.faults)}")
                faults |= dict.fromkeys(f"pod {edit.pod}, {fault}" for fault in edit.faults)
                continue
            with suppress(NotFound, Conflict):  # it went, or is another one by now
                self._cluster.patch(PODS, namespace, edit.pod, edit.patch)
                log.info("mappings rewritten", **fields(namespace=namespace, workload=name, pod=edit.pod))
        return tuple(faults)

    # Nodes

    def _label_nodes(self, namespace: str, name: str, wanted: frozenset[str]) -> None:
        key = workloads.node_label(namespace, name)
        carrying = {
            one["metadata"]["name"]: one["metadata"]["labels"][key] for one in self._cluster.list(NODES, labels=key)
        }
        for node, value in sorted(workloads.relabelled(wanted, carrying).items()):
            with suppress(NotFound):
                self._cluster.patch(NODES, "", node, workloads.label_patch(key, value))

    # Leaving

    def _leave(self, workload: Json) -> float | None:
        namespace, name = workload["metadata"]["namespace"], workload["metadata"]["name"]
        if names.WORKLOAD_FINALIZER not in (workload["metadata"].get("finalizers") or ()):
            return None
        if self._is_ending(namespace):
            with suppress(ClusterError):  # what cannot be tidied up must not hold the namespace
                self._label_nodes(namespace, name, frozenset())
            self._let_go(workload)
            return None
        self._label_nodes(namespace, name, frozenset())
        self._end_pods(workload)
        waited = self._waited(workload)
        left = self._left(workload) if waited < self._release_limit else None
        if left is not None:
            self._remember(workload, Structure(runs=True, draining=left))
            return _LOOK_AGAIN
        self._let_go(workload)
        return None

    def _left(self, workload: Json) -> Condition | None:
        """What is still waited for, or None."""
        namespace, name, uid = (workload["metadata"][key] for key in ("namespace", "name", "uid"))
        pods = [pod for pod in self._cluster.list(PODS, namespace, labels=f"{names.WORKLOAD}={name}") if _is_run(pod)]
        if pods:
            message = f"{len(pods)} pods send what they have, and end"
            return Condition(DRAINING, TRUE, "PodsEnding", message)
        drained = self._drainer.carry_out(self._drainer.of_workload(namespace, name, uid))
        return self._requests.tell(workload, drained)

    def _end_pods(self, workload: Json) -> None:
        namespace, name = workload["metadata"]["namespace"], workload["metadata"]["name"]
        there = self._cluster.find(DAEMON_SETS, namespace, name)
        if there is not None and workloads.is_ours(there, workload) and not there["metadata"].get("deletionTimestamp"):
            self._cluster.delete(DAEMON_SETS, namespace, name, uid=there["metadata"]["uid"])

    def _is_ending(self, namespace: str) -> bool:
        found = self._cluster.find(NAMESPACES, "", namespace)
        return found is None or bool(found["metadata"].get("deletionTimestamp"))

    def _waited(self, workload: Json) -> float:
        return self._now() - time_of(workload["metadata"]["deletionTimestamp"])

    # The finalizer

    def _hold(self, workload: Json) -> bool:
        held = workload["metadata"].get("finalizers") or []
        if names.WORKLOAD_FINALIZER in held:
            return False
        self._set_finalizers(workload, [*held, names.WORKLOAD_FINALIZER])
        return True

    def _let_go(self, workload: Json) -> None:
        held = workload["metadata"].get("finalizers") or []
        if names.WORKLOAD_FINALIZER in held:
            with suppress(NotFound):
                self._set_finalizers(workload, [one for one in held if one != names.WORKLOAD_FINALIZER])

    def _set_finalizers(self, workload: Json, finalizers: list[str]) -> None:
        metadata = workload["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
        self._cluster.patch(EDGE_WORKLOADS, metadata["namespace"], metadata["name"], patch)

    # Remembering

    def _remember(self, workload: Json, structure: Structure) -> None:
        metadata = workload["metadata"]
        key = (metadata["namespace"], metadata["name"])
        with self._lock:
            self._known[key] = Memory(metadata["uid"], metadata.get("generation") or 0, structure)
        self._report(Key(WORKLOAD_STATUS, *key))


def _is_run(pod: Json) -> bool:
    """Whether it is one of the DaemonSet's; others of that workload are not ours to end."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(one.get("kind") == DAEMON_SETS.kind for one in owners)
