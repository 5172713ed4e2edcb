"""A small fleet on the fake cluster, driven by hand: devices, nodes, workloads, and what their sidecars say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from contract import names
from controller.asking import NoAnswer
from controller.cluster import Cluster
from controller.draining import Drainer
from controller.events import Recorder
from controller.polling import Poller
from controller.queueing import WorkQueue
from controller.reporters import DeviceReporter, WorkloadReporter
from controller.settings import DrainSettings
from controller.sightings import Sightings
from controller.telling import Teller
from controller.workload_reconciler import WorkloadReconciler
from tests.fakes.cluster import FakeCluster, Json
from tests.fakes.injection import WORKLOADS

DEVICES = "edgedevices.management.project-flotta.io"
DAEMON_SETS = "daemonsets.apps"
JOBS = "jobs.batch"
POD = {"spec": {"containers": [{"name": "app", "image": "example/app:1"}]}}
UP = {"source": "stats", "target": "statistics"}


def said(
    truth: str = "True", reason: str = "InSync", *, pending: int = 0, sent: float | None = None, **more: Any
) -> Json:
    """A sidecar's /status."""
    return {
        "role": "holder",
        "conditions": [{"type": "Synced", "status": truth, "reason": reason, "message": "so it is"}],
        "mappings": [
            {"direction": "egress", "pending_files": pending, "pending_bytes": pending * 10, "last_transfer": sent}
        ],
        **more,
    }


@dataclass
class Fleet:
    """See the module. ``answers``: what a pod's sidecar says, by its name; a pod without one is silent."""

    fake: FakeCluster
    cluster: Cluster
    release_limit: float = 600.0
    now: float = 1_800_000_000.0
    answers: dict[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sightings, self.events, self.queue = Sightings(), Recorder(self.cluster), WorkQueue()
        self.teller = Teller(self.queue, self.sightings, self.events, self.time)
        self.drainer = Drainer(self.cluster, self.sightings, DrainSettings())
        self.workloads = WorkloadReconciler(
            self.cluster, self.events, self.drainer, self.release_limit, self.queue.add, self.time
        )
        self.devices = DeviceReporter(self.cluster, self.sightings, self.events, self.drainer, self.time)
        self.statuses = WorkloadReporter(self.cluster, self.sightings, self.events, self.workloads.structure, self.time)
        self.poller = Poller(self.cluster, self.sightings, self._answer, self.teller, now=self.time)

    def time(self) -> float:
        return self.now

    def _answer(self, address: str) -> Json:
        for sighting in self.sightings.all():
            if sighting.pod.address == address and sighting.pod.name in self.answers:
                return self.answers[sighting.pod.name]
        raise NoAnswer("connection refused")

    def now_of_the_cluster(self) -> float:
        """The time by which the cluster stamps deletions."""
        return time.time()

    # Making

    def device(self, name: str, *, node: bool = True, **labels: str) -> None:
        metadata = {"name": name, "labels": {"dc": "home", **labels}}
        self.fake.create({"apiVersion": names.API_VERSION, "kind": "EdgeDevice", "metadata": metadata, "spec": {}})
        if node:
            self.node(name)

    def node(self, name: str) -> None:
        self.fake.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})

    def workload(self, name: str = "os-stats", **spec: Any) -> None:
        body = {"type": "pod", "pod": POD, "deviceSelector": {"matchLabels": {"dc": "home"}}, "data": {"egress": [UP]}}
        chosen = {key: value for key, value in {**body, **spec}.items() if value is not None}
        metadata = {"name": name}
        self.fake.create(
            {"apiVersion": names.API_VERSION, "kind": "EdgeWorkload", "metadata": metadata, "spec": chosen}
        )

    def pod(self, name: str, node: str, owner: str = "", **annotations: str) -> Json:
        """A plain pod, opted in, bound to ``node``; ``owner``: of a DaemonSet-like controller."""
        ours = {f"{names.PREFIX}/{key}": value for key, value in annotations.items()}
        metadata: Json = {"name": name, "labels": {names.INJECT: names.ENABLED}, "annotations": ours}
        if owner:
            uid = self.fake.get("nodes", node)["metadata"]["uid"]  # something that is there, for garbage collection
            metadata["ownerReferences"] = [{"kind": "StatefulSet", "name": owner, "uid": uid, "apiVersion": "v1"}]
        return self.fake.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**POD["spec"], "nodeName": node}}
        )

    # Doing

    def settle(self, name: str = "os-stats") -> None:
        """Work on a workload until nothing is left to do at once."""
        for _ in range(8):
            if self.workloads.reconcile("default", name) != 0.0:
                return
        raise AssertionError("it does not settle")

    def look(self) -> None:
        """What the poller does in one round."""
        self.poller.look()
        for sighting in self.poller.due():
            self.poller.ask(sighting)

    def report(self, name: str = "os-stats") -> Json:
        """Look, write the workload's and all devices' statuses; the workload's."""
        self.look()
        for device in self.fake.list(DEVICES):
            self.devices.reconcile("default", device["metadata"]["name"])
        self.statuses.reconcile("default", name)
        found = self.fake.find(WORKLOADS, name)
        return (found or {}).get("status") or {}

    def say(self, answer: Json | Callable[[Json], Json]) -> None:
        """Every pod that is there says this from now on."""
        for pod in self.pods():
            self.answers[pod["metadata"]["name"]] = answer(pod) if callable(answer) else answer

    # Looking

    def pods(self) -> list[Json]:
        return self.fake.list("pods", "default")

    def placed(self) -> set[str]:
        """The nodes that run pods of a DaemonSet."""
        return {pod["spec"]["nodeName"] for pod in self.pods() if not pod["metadata"].get("deletionTimestamp")}

    def conditions(self, status: Json) -> dict[str, tuple[str, str]]:
        return {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions") or ()}

    def device_entry(self, device: str, workload: str = "os-stats") -> Json | None:
        listed = (self.fake.get(DEVICES, device).get("status") or {}).get("workloads") or []
        return next((one for one in listed if one["name"] == workload), None)

    def reasons(self, kind: str = "") -> list[str]:
        return [one["reason"] for one in self.fake.list("events") if kind in ("", one["involvedObject"]["kind"])]

    def end_job(self, kind: str = "Complete", reason: str = "") -> str:
        """Play the Job's pod to its end; the Job's name."""
        [job] = [one for one in self.fake.list(JOBS) if not (one.get("status") or {}).get("conditions")]
        name = str(job["metadata"]["name"])
        phase = "Succeeded" if kind == "Complete" else "Failed"
        for pod in self.pods():
            if pod["metadata"].get("labels", {}).get("job-name") == name:
                self.fake.patch("pods", pod["metadata"]["name"], {"status": {"phase": phase}}, subresource="status")
        condition = {"type": kind, "status": "True", "reason": reason}
        self.fake.patch(JOBS, name, {"status": {"conditions": [condition]}}, subresource="status")
        return name
